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
_KINDS = re.compile(rf"\s{{2,}}(?P<kinds>{_KIND}(?:, {_KIND})*)$")


def keys() -> dict[str, tuple[list[str], str]]:
    """By key, what the comment at the head of devices.yaml says of it, line by line, and the kinds
    of target that have it."""
    found: dict[str, tuple[list[str], str]] = {}
    key = ""
    for line in INVENTORY.read_text(encoding="utf-8").splitlines():
        begins = _KEY.fullmatch(line)
        goes_on = _MORE.fullmatch(line) if key else None
        if begins:
            key = begins["key"]
            found[key] = ([], "all")
        elif not goes_on:
            key = ""
            continue
        text = (begins or goes_on)["text"]  # type: ignore[index]
        kinds = _KINDS.search(text)
        lines, told = found[key]
        lines.append(_KINDS.sub("", text))
        found[key] = (lines, kinds["kinds"] if kinds else told)
    return found


def devices() -> str:
    """One row a key."""
    lines = ["| key | kinds | meaning |", "|---|---|---|"]
    for key, (told, kinds) in keys().items():
        lines.append(f"| `{key}` | {kinds} | {escaped(' '.join(told))} |")
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
