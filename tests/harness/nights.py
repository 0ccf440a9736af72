"""Runs as a bench leaves them, by the hundred and in no time: folders of evidence, no boards."""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from hil.report import events, runs

FIRST = 1_795_910_400.0  # 2026-11-29T00:00:00Z
DAY = 86_400.0


def check_ids() -> list[str]:
    """All of the catalogue."""
    with (files("hil") / "checks.csv").open(encoding="utf-8") as file:
        return [row["id"] for row in csv.DictReader(file)]


@dataclass(frozen=True, kw_only=True)
class Board:
    """One target in one night.

    :ivar verdicts: what is not ``passed``
    :ivar down: the message, where it does not come up
    :ivar respond_s: of each exchange, times what is usual for the check
    """

    unique_id: str = "e4627202"
    firmware: str = "v4.7"
    firmware_sha256: Mapping[str, str] = field(default_factory=dict)
    application: str = "a"
    verdicts: Mapping[str, events.VerdictWord] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)
    down: str = ""
    respond_s: float = 0.030
    boot_s: float = 3.0


def write_run(
    artifacts: Path,
    night: int,
    boards: Mapping[str, Board],
    *,
    checks: Sequence[str],
    revision: str | None = None,
    killed: bool = False,
) -> Path:
    """One run, 24 hours after that of the night before.

    :returns: its folder
    """
    at = FIRST + night * DAY
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at)) + f"-{night:04x}"
    folder = artifacts / name
    begin = events.RunBegin(
        at=at, run=name, hil="0.1", python="3", host="bench", inventory="devices.yaml",
        targets=tuple(boards), revision=revision,
    )  # fmt: skip
    end = events.RunEnd(at=at + 60, took_s=60.0, exit_status=0)
    write(folder / runs.RUN_FILE, [begin] if killed else [begin, end])
    for target, board in boards.items():
        told = _target(name, target, at, board, checks)
        write(folder / target / runs.EVIDENCE_FILE, told[: len(told) // 2] if killed else told)
    return folder


def weight(check: str) -> int:
    """How many times as long as the quickest check this one's requests take: 1 to 7."""
    return 1 + int(check.rpartition("-")[2]) % 7


def write(path: Path, told: Sequence[events.Event]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(runs.to_line, told)))


def _target(
    run: str, target: str, at: float, board: Board, checks: Sequence[str]
) -> list[events.Event]:
    told: list[events.Event] = [
        events.TargetBegin(
            at=at, run=run, target=target, kind="board", model="openmv-n6", profile="camera"
        ),
        events.Phase(at=at, phase="reset"),
    ]
    if board.down:
        told.append(events.Down(at=at + 9, fault="board", message=board.down))
        return [*told, *(_verdict(at + 9, check, "error", board.down) for check in checks)]
    told.append(
        events.Up(
            at=at + 9, about="a camera", base_url="http://127.0.0.1", took_s=board.boot_s + 1,
            unique_id=board.unique_id, firmware=board.firmware,
            firmware_sha256=dict(board.firmware_sha256),
            application_sha256=hashlib.sha256(board.application.encode()).hexdigest(),
        )
    )  # fmt: skip
    for i, check in enumerate(checks):
        usual = weight(check)  # a login with its hash takes longer than a 404
        told += [events.CheckBegin(at=at + i, check=check)] + [
            events.Exchange(
                at=at + i, check=check, sent="GET / HTTP/1.1", got="200", outcome="accepted",
                status=200, took_s=board.respond_s * usual * (1 + 0.03 * ((i + j) % 5 - 2)),
            )
            for j in range(3)
        ]  # fmt: skip
        if i % 40 == 0:
            told.append(events.Boot(at=at + i, check=check, kind="hard", took_s=board.boot_s))
        word = board.verdicts.get(check, "passed")
        told.append(_verdict(at + i, check, word, board.messages.get(check, f"{word} it is")))
    return [*told, events.PutBack(at=at + 60, took_s=0.5)]


def _verdict(at: float, check: str, word: events.VerdictWord, message: str) -> events.Verdict:
    faults: dict[str, events.Fault] = {"finding": "firmware", "error": "board"}
    return events.Verdict(
        at=at, check=check, severity="must", title=check, source="s", verdict=word,
        fault=faults.get(word), message="" if word == "passed" else message,
    )  # fmt: skip
