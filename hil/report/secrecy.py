"""What must not be seen in evidence: a target's passwords, keys and tokens, in the forms in which
something might print them.

What a check sends and gets is redacted by its type already (:mod:`hil.auth.redaction`). This is
about all the rest: an application that prints its key, an error that quotes a password.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..auth import redaction
from ..link.console import find_tracebacks
from . import runs

if TYPE_CHECKING:
    from ..auth.client import Api
    from ..target import Target
    from ..target_spec import TargetSpec


class Secrets:
    """Those of one target, as they come to be known: a password that was changed stays one."""

    def __init__(self, spec: TargetSpec) -> None:
        named = (spec.password, spec.api_key, spec.wifi.key if spec.wifi else None)
        self._known = {os.environ.get(one.name, "") for one in named if one} - {""}
        self._api: Api | None = None
        self._fields: tuple[str, ...] = redaction.HIDDEN_FIELDS
        self._told: tuple[str, ...] = tuple(self._known)

    def of(self, target: Target) -> None:
        """It is up: these are its credentials, now and whenever it is asked."""
        self._api = target.api
        self._fields = target.profile.hidden_fields

    def key(self, key: bytes) -> None:
        """A signing key: as text, as a repr, in hex, and in base64."""
        if len(key) < 4:  # hidden nowhere: whoever wants it tries all there are
            return
        forms = {key.hex(), repr(bytes(key))[2:-1], base64.b64encode(key).decode().rstrip("=")}
        forms.add(base64.urlsafe_b64encode(key).decode().rstrip("="))
        if (text := key.decode("utf-8", "replace")).isprintable():
            forms.add(text)
        self._add(forms)

    def hide(self, text: str) -> str:
        """The text without any of them."""
        if self._api is not None:
            api = self._api
            self._add(
                (
                    api.credentials.password,
                    api.credentials.basic,
                    *api.others.values(),
                    *api.hidden,
                    *filter(None, (api.api_key,)),
                )
            )
        # The whole secret first: in a repr of JSON, a quotation mark in it looks like its end.
        return redaction.fields(redaction.known(text, self._told), self._fields)

    def hide_printed(self, line: str) -> str:
        """A line that an application has printed."""
        return redaction.printed(self.hide(line))

    def _add(self, more: Iterable[str]) -> None:
        fresh = {str(one) for one in more if one} - self._known
        if fresh:
            self._known |= fresh
            self._told = tuple(self._known)


class ConsoleFile:
    """``console.log``, and ``tracebacks.txt`` of what is one in it: by whole lines, since a secret
    may come in two pieces.

    :param append: writes to the file of this name
    """

    def __init__(self, append: Callable[[str, bytes], None], secrets: Secrets) -> None:
        self._append = append
        self._secrets = secrets
        self._lock = threading.Lock()
        self._rest = ""
        self._raised: list[str] = []

    def add(self, text: str) -> None:
        """What came, in the order in which it did."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            self._write(lines)

    def end(self) -> None:
        """Nothing more will come."""
        with self._lock:
            lines, self._rest = [self._rest] if self._rest else [], ""
            self._write([*lines, ""] if self._raised else lines)

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        shown = [self._secrets.hide_printed(line) for line in lines]
        text = "".join(f"{line}\n" for line in shown)
        self._append(runs.CONSOLE_FILE, text.encode("utf-8", "replace"))
        for line in shown:
            self._look_for_tracebacks(line)

    def _look_for_tracebacks(self, line: str) -> None:
        if not self._raised and "Traceback (most recent call last):" not in line:
            return
        self._raised.append(line)
        if len(self._raised) == 1 or line.startswith("  "):
            return
        for found in find_tracebacks("\n".join(self._raised)):
            self._append(runs.TRACEBACKS_FILE, f"{found}\n\n".encode("utf-8", "replace"))
        self._raised.clear()
