"""A run of boards that are not there, as large and as varied as a real one: for what reads runs."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Mapping
from pathlib import Path

from hil import catalogue
from hil.report import events, runs

BEGAN = 1795929672.0  # 2026-11-29 05:21:12 UTC
HOSTILE = (
    "</script><script>alert(1)</script><!-- --> <img src=x onerror=alert(1)> "
    "| `pipe` | [link](javascript:alert(1)) \x00\x1b[31m\u202egnp.exe\u202c " + "A" * 300
)
"""What an answer may say: markup, control characters, a bidirectional override, no break."""

TRACEBACK = """Traceback (most recent call last):
  File "microdot/microdot.py", line 1412, in dispatch_request
  File "main.py", line 88, in login
KeyError: pass
"""
GONE = "no answer for 40.0 s: Ctrl-C, soft reset, hard reset, bootloader were tried; last bytes b''"

# In the words of a check, by its id: the same on all boards but for those that say otherwise.
VERDICTS: Mapping[str, events.VerdictWord] = {
    "LOG-06": "finding",
    "EXP-03": "finding",
    "LOG-36": "advisory",
    "BAS-16": "advisory",
    "BRR-14": "known",
}
MESSAGES = {
    "LOG-06": "accepted what must be refused: a hole\n  promised  401\n  sent      POST /api/login"
    ' | Content-Type: application/json | | {"user": "owner", "password": <9 chars>}\n'
    '  got       200 OK {"token": <token: 131 chars>}\n' + HOSTILE,
    "EXP-03": "a token is refused as soon as exp has passed on the board's own clock (401)\n"
    "  sent      GET /api/me | Authorization: 'Bearer ' + <131 chars>\n  got       200 OK",
    "LOG-36": "after 20 wrong passwords in 1.9 s the 21st is answered as fast as the first",
    "BAS-16": "after 20 wrong passwords in 1.1 s the 21st is answered as fast as the first",
    "BRR-14": "microdot keeps the blank in the field's name, and so sees no token (401)",
}
_SLOW = {"LOG-08", "BAS-17", "JWT-42"}
_OF_OTHERS = ("REF", "REV", "KEY", "ROL", "DEV")


def make(
    artifacts: Path,
    targets: Iterable[str] = ("porch", "yard"),
    *,
    verdicts: Mapping[str, events.VerdictWord] = VERDICTS,
    gone: str = "",
    absent: str = "",
    killed: bool = False,
    only: Iterable[str] | None = None,
) -> Path:
    """Write a run.

    :param verdicts: other than ``passed`` or ``skipped``, by check
    :param gone: a target that fails in the middle
    :param absent: one that does not come up
    :param killed: it ends in the middle of its last target
    :param only: the groups of checks that it has, e.g. ``LOG``; None: all
    :returns: its folder
    """
    name = "20261129T052112Z-3f2a"
    folder, names = artifacts / name, tuple(targets)
    folder.mkdir(parents=True)
    begin = events.RunBegin(
        at=BEGAN,
        run=name,
        hil="0.1.0",
        python="3.11.2",
        host="bench-1",
        inventory="devices.yaml",
        targets=names,
        arguments=("-m", "hil", "--devices", "devices.yaml"),
        revision="0123abcd" * 5,
        url="https://ci.example/runs/1",
    )
    lines = [runs.to_line(begin)]
    if not killed:
        lines.append(runs.to_line(events.RunEnd(at=BEGAN + 95, took_s=95.2, exit_status=1)))
    (folder / runs.RUN_FILE).write_bytes(b"".join(lines))
    entries = [entry for entry in _catalogue() if only is None or entry.check.group in set(only)]
    for number, target in enumerate(names):
        (folder / target).mkdir()
        last = killed and target == names[-1]
        told = _target(name, target, number, entries, verdicts, gone == target, absent == target)
        if last:
            told = told[: len(told) * 2 // 3]
            told.append(events.CheckBegin(at=told[-1].at, check="TRN-01"))
        data = b"".join(map(runs.to_line, told))
        (folder / target / runs.EVIDENCE_FILE).write_bytes(data[:-9] if last else data)
        (folder / target / runs.CONSOLE_FILE).write_text("camera: listening on port 80\n" * 400)
    (folder / names[0] / runs.TRACEBACKS_FILE).write_text(TRACEBACK * 20)
    return folder


@functools.cache
def _catalogue() -> list[catalogue.Entry]:
    return catalogue.load()


def _target(
    run: str,
    target: str,
    number: int,
    entries: list[catalogue.Entry],
    verdicts: Mapping[str, events.VerdictWord],
    gone: bool,
    absent: bool,
) -> list[events.TargetEvent]:
    chance = random.Random(target)
    at = BEGAN + 0.5
    board = events.TargetBegin(
        at=at, run=run, target=target, kind="board", model="openmv-n6", profile="camera"
    )
    told: list[events.TargetEvent] = [board]
    for phase in ("lock", "power", "flash", "deploy", "reset", "answer"):
        at += 0.4
        told.append(events.Phase(at=at, phase=phase))
    if absent:
        message = (
            f"{target}: its port is missing\n  -> is it plugged in? 'hil doctor {target}' tells"
        )
        told.append(events.Down(at=at, fault="bench", message=message))
        return told
    up = events.Up(
        at=at,
        about=f"OpenMV N6 at /dev/ttyACM{number}, MicroPython 1.26.0, http://{target}.local",
        base_url=f"http://10.0.0.{number + 10}",
        unique_id="00340028" * 3,
        firmware="MicroPython 1.26.0; OpenMV 4.8.1",
        firmware_sha256={"firmware": "9f86d081884c7d65" * 4},
        application_sha256="a3f5" * 16,
        profile_sha256="c0ffee00" * 8,
        epoch=2000,
        absent={"power": "devices.yaml lists no 'power' for it"},
        notes=("its card is in",) if number else (),
        took_s=4.0,
    )
    told.append(up)
    clock = events.Exchange(at=at, sent="GET / HTTP/1.1", got="200 OK", outcome="accepted")
    told.append(clock)
    for place, entry in enumerate(entries):
        check = entry.check
        if gone and place > len(entries) // 2:
            told.append(_verdict(at, entry, "skipped", GONE))
            continue
        told.append(events.CheckBegin(at=at, check=check.id))
        if check.group in _OF_OTHERS:
            said = f"the profile 'camera' promises no {check.group}"
            told.append(_verdict(at, entry, "skipped", said, not_promised=True))
            continue
        if check.id in ("ROT-16", "ROT-17", "EXP-04", "TRN-20"):
            told.append(
                _verdict(at, entry, "skipped", "needs its power, but devices.yaml has none")
            )
            continue
        if gone and place == len(entries) // 2:
            told.append(_verdict(at, entry, "error", GONE, fault="board"))
            continue
        pairs = 200 if check.id in _SLOW else 0
        did = list(_course(check.id, at, chance, number, pairs))
        told += did
        at = did[-1].at + 0.01
        told.append(
            _verdict(at, entry, verdicts.get(check.id, "passed"), MESSAGES.get(check.id, ""))
        )
    told.append(events.PutBack(at=at + 1, took_s=1.0))
    return told


def _verdict(
    at: float,
    entry: catalogue.Entry,
    word: events.VerdictWord,
    message: str = "",
    *,
    not_promised: bool = False,
    fault: events.Fault | None = None,
) -> events.Verdict:
    broken = word in ("finding", "advisory", "known")
    return events.Verdict(
        at=at,
        check=entry.check.id,
        severity=entry.check.severity.value,
        title=entry.title,
        source=entry.check.source,
        verdict=word,
        fault="firmware" if broken else fault,
        message=message,
        not_promised=not_promised,
        promise=entry.promise,
        cause=entry.cause,
        clock="2026-11-29T06:21:13Z on the board, +3600.0 s from the host's" if broken else "",
        took_s=0.31,
    )


def _course(
    check: str, at: float, chance: random.Random, number: int, pairs: int
) -> Iterable[events.TargetEvent]:
    """Requests, and in some checks a reset, another key or another time."""
    token = events.TokenSeen(id=f"t{chance.randrange(1 << 30):08x}", iat=at, exp=at + 3600)
    ahead = 0.2

    def exchange(status: int, what: str = "GET /api/me", probe: str = "") -> events.Exchange:
        nonlocal at
        probe = probe or f"{chance.randrange(1 << 40):010x}"
        took = 0.011 * (1 + number / 3) * chance.lognormvariate(0, 0.4)
        at += took + 0.002
        return events.Exchange(
            at=at,
            check=check,
            sent=f"{what} HTTP/1.1 | Host: 10.0.0.{number + 10} | Authorization: 'Bearer ' + "
            f"<131 chars> | X-Probe: {probe} | Connection: close",
            got=f'{status} N/A {{"error": "token", "id": "{chance.randrange(1 << 40):010x}"}}',
            headers=(
                "Content-Type: application/json; charset=UTF-8",
                f"Content-Length: {chance.randrange(20, 99)}",
                'WWW-Authenticate: Bearer realm="camera", error="invalid_token"',
            ),
            outcome="accepted" if status == 200 else "refused",
            status=status,
            took_s=took,
            board=events.BoardMoment(unix=at + ahead, uncertainty_s=0.5),
            token=token,
        )

    yield exchange(200, "POST /api/login")
    for place in range(chance.randrange(2, 9)):
        yield exchange(200 if place % 2 else 401)
    for _ in range(pairs):
        yield exchange(401, "POST /api/login", "a")
        yield exchange(200, "POST /api/login", "b")
    if check.startswith("EXP"):
        for moved, status in ((3500.0, 200), (3605.0, 401 if check != "EXP-03" else 200)):
            ahead = moved
            moment = events.BoardMoment(unix=at + ahead, uncertainty_s=0.5)
            yield events.ClockSeen(at=at, check=check, action="skew", offset_s=moved, board=moment)
            yield exchange(status)
    if check.startswith("ROT"):
        if int(check[-2:]) % 2:
            yield events.KeyChange(at=at, check=check, action="written")
        at += 2.9 + number / 4
        kind = chance.choice(("hard", "hard", "soft", "wdt"))
        yield events.Boot(
            at=at, check=check, kind=kind, took_s=2.9 + chance.random() / 3 + number / 4
        )
        yield exchange(401 if int(check[-2:]) % 2 else 200)
    if check.startswith("LOG-3"):
        yield events.Remark(at=at, check=check, name="pairs", value=f"{pairs}, no difference")
