"""BAS-18: where passwords may cross the network in the clear."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hil.errors import Finding

CHECKS = Path(__file__).parents[1] / "test_basic.py"


@pytest.fixture(scope="module")
def judge() -> Callable[..., None]:
    """The check's own function."""
    check: Callable[..., None] = runpy.run_path(str(CHECKS))[
        "test_passwords_cross_no_network_in_the_clear"
    ]
    return check


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://192.0.2.20", False),
        ("http://192.0.2.20", True),
        ("http://127.66.152.243:8080", False),
        ("http://[::1]:8080", False),
        ("http://localhost:8080", False),
    ],
)
def test_tls_a_trusted_network_and_the_host_itself_are_fine(
    judge: Callable[..., None], url: str, trusted: bool
) -> None:
    judge(SimpleNamespace(name="porch", base_url=url, trusted_network=trusted))


@pytest.mark.parametrize("url", ["http://192.0.2.20", "http://omv-porch.local", "http://[fd00::2]"])
def test_anything_else_is_a_finding_that_says_what_to_write(
    judge: Callable[..., None], url: str
) -> None:
    with pytest.raises(Finding) as caught:
        judge(SimpleNamespace(name="porch", base_url=url, trusted_network=False))
    told = str(caught.value)
    assert told.startswith(f"{url} takes passwords in the clear; promised: TLS")
    assert "write 'trusted_network: true' under 'porch' in devices.yaml" in told
