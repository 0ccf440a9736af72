"""Tokens whose dates count from 2000, as ``int(time.time())`` does on STM32 and ESP32."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from check_run import run_checks, short_folder
from mutants.mutant import Mutant

from hil.auth.profile import PACKAGED

SINCE_2000 = Mutant(
    "dates its tokens by the board's own count",
    "LOG-04",
    (
        ("auth/tokens.py", '"exp": now + LIFETIME,', '"exp": now - clock.EPOCH + LIFETIME,'),
        (
            "auth/tokens.py",
            "    # RFC 7519 §4.1.4:",
            "    exp, nbf, iat = exp + clock.EPOCH, nbf + clock.EPOCH, iat + clock.EPOCH\n"
            "    # RFC 7519 §4.1.4:",
        ),
    ),
    "the documentation's own line, on a board of the other epoch",
)
GROUPS = ("login", "expiry")
CHOSEN = "unix_timestamp or test_expiry"


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("epoch", "told"),
    [
        # Whatever is dated by the host means another moment on the board.
        (1970, lambda red: red > {"LOG-04", "EXP-01", "EXP-17"}),
        (2000, lambda red: red == {"LOG-04"}),
    ],
)
def test_the_profile_says_from_when_a_tokens_dates_count(
    epoch: int, told: Callable[[set[str]], bool]
) -> None:
    with short_folder() as folder:
        SINCE_2000.write(folder / "firmware")
        profile = (PACKAGED / "camera.yaml").read_text()
        (folder / "own.yaml").write_text(f"{profile}\nepoch: {epoch}\n")
        board = "kind: virtual\nmodel: openmv-n6\nprovision: true\nprofile: own.yaml\n"
        entry = f"{board}firmware: firmware"
        ran = run_checks(folder, entry, "-k", CHOSEN, groups=GROUPS, timeout=140)
    assert ran.having("error") == set(), ran.output
    assert told(ran.having("failure")), ran.output
