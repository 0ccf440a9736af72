"""The owner's consent to change a board, as a value: without it, no destructive call is reached.

``provision: true`` in devices.yaml is the consent, and :meth:`hil.config.TargetSpec.consent` makes
the value. A :class:`~hil.link.board.BoardLink` opens with it only, and a REPL that has none runs
the programs of :mod:`hil.link.reading` and refuses any other. So a function that changes a board
need not ask: it is given a REPL, and it is the REPL that refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import BenchError

if TYPE_CHECKING:
    from .config import TargetSpec

_MADE_HERE = object()


class Consent:
    """To write on one board: files, secret, settings, clock; and to reset it.

    :ivar target: the board's name in devices.yaml
    """

    __slots__ = ("target",)

    def __init__(self, target: str, made_by: object) -> None:
        if made_by is not _MADE_HERE:
            raise TypeError("a Consent is made of a target in devices.yaml: TargetSpec.consent()")
        self.target = target

    def __repr__(self) -> str:
        return f"<consent to write on {self.target}>"


class NoConsentError(BenchError):
    """Something was about to change a board whose owner has not consented."""

    def __init__(
        self,
        target: str | None,
        what: str,
        why: str = "the board is only read",
        hint: str = "'provision: true' in its entry in devices.yaml is the consent to change it",
    ) -> None:
        super().__init__(f"{what} is refused: {why}", target=target, hint=hint)


def of(spec: TargetSpec) -> Consent:
    """The consent that a target's entry gives.

    :raises NoConsentError: it gives none
    """
    if spec.kind == "url":
        no_hand = "it is a URL, on which the bench has no hand"
        raise NoConsentError(spec.name, "to change it", no_hand, "list its board by 'kind: board'")
    if not spec.provision:
        raise NoConsentError(spec.name, "to change it")
    return Consent(spec.name, _MADE_HERE)


def require(consent: object, target: str | None, what: str) -> None:
    """Refuse unless ``consent`` is one.

    :param target: the board's name, for the message
    :param what: what is about to be done, for the message
    :raises NoConsentError: it is not
    """
    if not isinstance(consent, Consent):
        raise NoConsentError(target, what)
