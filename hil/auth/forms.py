"""The forms of an HTML page, as a browser would send them: what a user fills in, and the rest as it
stands (HTML, "Constructing the entry list")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Form:
    """:ivar action: as it is written; empty: the page's own address
    :ivar method: ``get`` or ``post``
    :ivar values: by the name of the field, as they stand in the page
    """

    action: str = ""
    method: str = "get"
    values: dict[str, str] = field(default_factory=dict)

    def filled(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """With what the user writes into the fields that there are."""
        return {name: wanted.get(name, value) for name, value in self.values.items()}


def forms(page: str) -> list[Form]:
    """All forms of a page. Whatever the page is, this does not raise."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(given.get("action", ""), given.get("method", "get").lower())
            self.found.append(self._open)
        elif self._open is not None and tag in ("input", "textarea", "select", "button"):
            kind, name = given.get("type", "").lower(), given.get("name", "")
            ticked = kind not in ("checkbox", "radio") or "checked" in given
            if name and ticked and name not in self._open.values:
                self._open.values[name] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
