"""The keys of devices.yaml, and the board models, as Markdown."""

from __future__ import annotations

import re
from pathlib import Path

from markup import escaped

import hil
from hil.boards.table import models as all_models

INVENTORY = Path(hil.__file__).with_name("devices.yaml")

_KEY = re.compile(r"#   (?P<key>\w+)\s{2,}(?P<text>\S.*)")
_MORE = re.compile(r"# {5,}(?P<text>\S.*)")
_KIND = r"(?:virtual|board|process|url|all)"
_ITEM = 2
"""How much further to the right the items of a list stand."""
_KINDS = re.compile(rf"\s{{2,}}(?P<kinds>{_KIND}(?:, {_KIND})*)$")


def keys() -> dict[str, tuple[list[str], str]]:
    """By key, what the comment at the head of devices.yaml says of it, the items of a list one by
    one, and the kinds of target that have it."""
    found: dict[str, tuple[list[str], str]] = {}
    key, column = "", 0
    for line in INVENTORY.read_text(encoding="utf-8").splitlines():
        begins = _KEY.fullmatch(line)
        goes_on = _MORE.fullmatch(line) if key else None
        if begins:
            key, column = begins["key"], begins.start("text")
            found[key] = ([""], "all")
        elif not goes_on:
            key = ""
            continue
        match = begins or goes_on
        assert match
        kinds = _KINDS.search(match["text"])
        told, before = found[key]
        if match.start("text") == column + _ITEM:
            told.append("")
        told[-1] = f"{told[-1]} {_KINDS.sub('', match['text'])}".strip()
        found[key] = (told, kinds["kinds"] if kinds else before)
    return found


def devices() -> str:
    """One row a key."""
    lines = ["| key | kinds | meaning |", "|---|---|---|"]
    for key, (told, kinds) in keys().items():
        lines.append(f"| `{key}` | {kinds} | {'<br>- '.join(map(escaped, told))} |")
    return "\n".join(lines)


def models() -> str:
    """The board table: what the checks and the flashing know of each model."""
    lines = [
        "| model | board | epoch | clock after a power loss | flashed by | name on mDNS |",
        "|---|---|---|---|---|---|",
    ]
    for model in all_models():
        kept = "kept" if model.port.rtc_kept_on_power_loss else "lost"
        mdns = "yes" if model.mdns else "no"
        method = model.flash_method or "-"
        lines.append(
            f"| `{model.key}` | {model.title} | {model.epoch} | {kept} | {method} | {mdns} |"
        )
    return "\n".join(lines)
