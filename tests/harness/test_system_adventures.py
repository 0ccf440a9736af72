"""The checks against the servers of examples/adventures: what each build shows, exactly.

The table in its README says from which sentence of the document each finding follows. Left out for
the time they take: of the servers with tokens all groups but two. ``cd examples/adventures && hil
run`` leaves nothing out.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from check_run import CheckRun, every_system, run_checks, short_folder

DEVICES = Path(__file__).parents[2] / "examples" / "adventures" / "devices.yaml"
PACKAGES = ("starlette", "uvicorn", "oidc_provider_mock", "cryptography", "multipart")
TOKENS = "test_bearer or test_refresh"

CASES = {
    "api-key-sound": ("test_api_key", set(), set()),
    "basic-sound": ("test_basic", set(), {"BAS-16"}),
    "tokens-sound": (TOKENS, set(), set()),
    "oidc-sound": ("test_device_code", set(), set()),
    "oidc-sound-claims": ("id_token", set(), set()),
    "api-key-documented": ("test_api_key", {"KEY-08"}, {"KEY-09"}),
    "basic-documented": (
        "test_basic and not guessing",
        {"BAS-01", "BAS-02", "BAS-04", "BAS-12"},
        set(),
    ),
    "tokens-documented": (
        TOKENS,
        {"BRR-03", "REF-14"},
        {"BRR-04", "BRR-05", "REF-05", "REF-06", "REF-09", "REF-10"},
    ),
    "oidc-documented": (
        "test_device_code",
        set(),
        {"DEV-04", "DEV-09", "DEV-13"},
    ),
    "oidc-documented-claims": ("id_token", set(), set()),
}


def run(target: str, which: str) -> CheckRun:
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'hil[examples]'")
    with short_folder() as folder:
        return run_checks(folder, target, "-k", which, "-p", "no:anyio", devices=DEVICES)


SAMPLE = {"api-key-documented", "oidc-documented", "oidc-sound-claims"}


@pytest.mark.parametrize(
    "target",
    [pytest.param(one, marks=() if one in SAMPLE else every_system) for one in CASES],
)
def test_a_build_shows_what_follows_from_the_document_and_no_more(target: str) -> None:
    which, findings, advisories = CASES[target]
    ran = run(target, which)
    assert ran.having("passed"), ran.output
    assert (ran.having("error"), ran.having("failure")) == (set(), findings), ran.output
    assert ran.having("advisory") == advisories, ran.output
