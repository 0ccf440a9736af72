"""A run as SARIF 2.1.0 (OASIS), for code scanning.

A rule is a check, a result a broken promise on one target. Which line of the firmware breaks it,
nobody knows from outside: a result is shown where its target is listed in ``devices.yaml``. What
passed or was skipped is no result, and what board or bench failed in is a notification.

What GitHub makes of a file: docs.github.com, "SARIF support for code scanning". It knows an alert
again by rule, file and ``primaryLocationLineHash``, here made of check and target, so that it stays
the same alert when ``devices.yaml`` is edited; and it closes the alerts of a category that the next
upload has not, so the category is the inventory: upload runs of all its checks only.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from . import requirements
from .events import Fault, RunBegin, Verdict, VerdictWord
from .runs import Run, TargetRun

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

_LEVELS: dict[VerdictWord, str] = {"finding": "error", "advisory": "warning", "known": "note"}
_SEVERITIES = {"must": "error", "should": "warning"}
_URL = re.compile(r"https?://[^\s;,)]+")
# GitHub takes no more of a rule.
_TAGS = 20
_NOTIFICATIONS = {
    "firmware-error": "A target could not be brought up, which is its firmware's fault.",
    "board-error": "A board failed, so nothing is known of what was checked.",
    "bench-error": "The bench failed, so nothing is known of what was checked.",
}


def document(run: Run) -> dict[str, Any]:
    """The whole run, as one SARIF run."""
    rules = _rules(run)
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    notifications = list(_notifications(run, index))
    result = {
        "tool": {
            "driver": {
                "name": "hil",
                "fullName": "hil: hardware-in-the-loop tests",
                "version": run.begin.hil,
                "rules": rules,
                "notifications": [_descriptor(*one) for one in _NOTIFICATIONS.items()],
            }
        },
        "automationDetails": {"id": f"hil/{_inventory(run)}/{run.name}"},
        "invocations": [_invocation(run, notifications)],
        "results": list(_results(run, index)),
        "columnKind": "unicodeCodePoints",
        "properties": _present(
            bench=run.begin.host, revision=run.begin.revision, url=run.begin.url
        ),
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [result]}


def _rules(run: Run) -> list[dict[str, Any]]:
    """The checks that the run has a verdict of, by id."""
    found: dict[str, Verdict] = {}
    for target in run.targets.values():
        found = target.verdicts | found
    return [_rule(found[check]) for check in sorted(found)]


def _rule(one: Verdict) -> dict[str, Any]:
    borne = requirements.bearing_on(one.check)
    direct = sorted(borne, key=lambda requirement: requirement.strength != "direct")
    title = _sentence(one.title)
    told = one.promise or title
    towards = ", ".join(requirement.cited for requirement in borne)
    rule = {
        "id": one.check,
        "shortDescription": {"text": title},
        "fullDescription": {"text": told},
        "help": {
            "text": f"{told}\n\nSource: {one.source}\n\n"
            f"Evidence towards: {towards or 'no requirement'}\n\n"
            f"What is sent and expected: hil checks explain {one.check}",
        },
        "defaultConfiguration": {"level": _SEVERITIES[one.severity]},
        "properties": {
            "tags": ["security", *(requirement.cited for requirement in direct)][:_TAGS],
            "problem.severity": _SEVERITIES[one.severity],
        },
    }
    url = _URL.search(one.source)
    return rule | ({"helpUri": url[0]} if url else {})


def _results(run: Run, index: dict[str, int]) -> Iterator[dict[str, Any]]:
    for target in run.targets.values():
        for one in target.verdicts.values():
            if one.verdict in _LEVELS:
                yield _result(run.begin, target, one, index[one.check])


def _result(begin: RunBegin, target: TargetRun, one: Verdict, index: int) -> dict[str, Any]:
    told = [f"{target.name}: {one.message or _sentence(one.title)}"]
    if one.cause:
        told.append(f"Usually: {one.cause}")
    if one.clock:
        told.append(f"Its clock: {one.clock}")
    mark = hashlib.sha256(f"{one.check}\0{target.name}".encode()).hexdigest()[:16]
    up = target.up
    result = {
        "ruleId": one.check,
        "ruleIndex": index,
        "level": _LEVELS[one.verdict],
        "message": {"text": "\n\n".join(told)},
        "locations": [_location(begin, target)],
        "partialFingerprints": {"checkAndTarget/v1": mark, "primaryLocationLineHash": f"{mark}:1"},
        "properties": _present(
            target=target.name,
            firmware=up.firmware if up else None,
            application_sha256=up.application_sha256 if up else None,
        ),
    }
    if one.verdict == "known":
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": one.message}
        ]
    return result


def _location(begin: RunBegin, target: TargetRun) -> dict[str, Any]:
    file, line = _listed(target)
    return {
        "physicalLocation": {
            "artifactLocation": {
                "uri": _uri(file or PurePath(begin.inventory).name),
                "uriBaseId": "%SRCROOT%",
            },
            "region": {"startLine": line},
        },
        "logicalLocations": [{"name": target.name, "kind": "target"}],
    }


def _listed(target: TargetRun) -> tuple[str, int]:
    """``devices.yaml:12`` in two; no file and the first line, where that was not recorded."""
    file, _, line = (target.begin.listed if target.begin else "").rpartition(":")
    return (file, int(line)) if line.isascii() and line.isdigit() and int(line) else ("", 1)


def _inventory(run: Run) -> str:
    return next((file for target in run.targets.values() if (file := _listed(target)[0])), "run")


def _uri(path: str) -> str:
    return quote(path.replace("\\", "/").lstrip("/"))


def _invocation(run: Run, notifications: list[dict[str, Any]]) -> dict[str, Any]:
    end = run.end
    return {
        "executionSuccessful": end is not None and not notifications,
        "machine": run.begin.host,
        "startTimeUtc": _time(run.begin.at),
        **({"endTimeUtc": _time(end.at), "exitCode": end.exit_status} if end else {}),
        "toolExecutionNotifications": notifications,
    }


def _notifications(run: Run, index: dict[str, int]) -> Iterator[dict[str, Any]]:
    """What nothing is known for: with whose fault it is."""
    for target in run.targets.values():
        if target.down:
            yield _notification(target.down.fault, target.down.message, target.down.at)
            continue  # its first check ended in the same, and all others were skipped for it
        for one in target.verdicts.values():
            if one.verdict == "error":
                told = _notification(one.fault, f"{target.name}: {one.message}", one.at)
                yield told | {"associatedRule": {"id": one.check, "index": index[one.check]}}
    for problem in run.end.problems if run.end else ("the run was killed, or goes on",):
        yield _notification("bench", problem, run.end.at if run.end else None)


def _descriptor(id_: str, text: str) -> dict[str, Any]:
    """GitHub asks for all three."""
    told = {"text": text}
    return {"id": id_, "shortDescription": told, "fullDescription": told, "help": told}


def _notification(fault: Fault | None, text: str, at: float | None) -> dict[str, Any]:
    return {
        "descriptor": {"id": f"{fault or 'bench'}-error"},
        "level": "error",
        "message": {"text": text},
        **({} if at is None else {"timeUtc": _time(at)}),
    }


def _present(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _sentence(title: str) -> str:
    return title[:1].upper() + title[1:] + "." if title else "A check."


def _time(at: float) -> str:
    """RFC 3339, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
