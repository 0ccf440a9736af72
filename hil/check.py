"""A check: one promise, with an id, a severity and the clause that makes it.

    @check("LOG-06", must, "OpenMV docs: login")
    def test_a_wrong_password_is_refused(api, credentials): ...

What a check needs of the bench is the fixtures it asks for; a target that cannot give one skips
the check with the reason. The decorator registers nothing and imports no pytest of its own: the
mark carries the data to whoever collects the file.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

_F = TypeVar("_F", bound=Callable[..., object])


class Severity(enum.Enum):
    """``must`` fails the run, ``should`` is an advisory (it fails only under ``--strict``)."""

    MUST = "must"
    SHOULD = "should"


must = Severity.MUST
should = Severity.SHOULD


@dataclass(frozen=True)
class Check:
    """:ivar id: from the catalogue, e.g. ``LOG-06``
    :ivar source: the clause or document that makes the promise, ``;`` between several
    """

    id: str
    severity: Severity
    source: str

    @property
    def group(self) -> str:
        """The id's prefix: LOG, BRR, EXP, ROT, BAS …"""
        return self.id.partition("-")[0]


def check(check_id: str, severity: Severity, source: str) -> Callable[[_F], _F]:
    """Mark a test function as the check ``check_id``.

    The function gets the pytest mark ``hil``, and the :class:`Check` as ``__hil_check__``.
    """

    def mark(function: _F) -> _F:
        import pytest

        # group_guard: around each group, the board is alive and has not reset by itself.
        marked: _F = pytest.mark.usefixtures("group_guard")(pytest.mark.hil(function))
        marked.__hil_check__ = Check(check_id, severity, source)  # type: ignore[attr-defined]
        return marked

    return mark
