"""Whose fault it is that an application does not answer after a reset."""

from __future__ import annotations

from hil.config import TargetSpec
from hil.errors import BoardError, Finding
from hil.link.board import BoardLink
from hil.reboot import no_answer

CONSENT = TargetSpec("back", "", "board", provision=True).consent()

RAISED = b"""Traceback (most recent call last):\r
  File "main.py", line 7, in <module>\r
ValueError: %s\r
"""


def test_what_an_application_raised_before_its_reset_does_not_count() -> None:
    """An error that it has survived explains no Wi-Fi that is lost an hour later."""
    link = BoardLink("back", "/dev/null", consent=CONSENT)
    link.console.append(RAISED % b"an hour ago")
    link.expect_reset()
    link.console.append(b"connecting\r\n")
    silent = no_answer("back", "no HTTP answer", link)
    assert isinstance(silent, BoardError)
    assert "Its last console line: 'connecting'" in str(silent)
    link.console.append(RAISED % b"now")
    raised = no_answer("back", "no HTTP answer", link)
    assert isinstance(raised, Finding)
    assert "ValueError: now" in str(raised)
