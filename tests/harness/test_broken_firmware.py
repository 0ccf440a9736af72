"""The checks find what they claim to find: each way to break the firmware turns its checks red.

Each mutant is the reference firmware with one realistic mistake, on a virtual board of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hil import catalogue, provision

PROJECT = Path(__file__).parents[2]

ALWAYS_GREEN = "LOG-01"
"""A mutant is a working camera with a mistake, not a dead one: its owner can log in."""


@dataclass(frozen=True)
class Mutant:
    """:ivar changes: file, text that must be there once, text to put in its place
    :ivar red: the checks that must fail, each with a finding
    """

    name: str
    changes: tuple[tuple[str, str, str], ...]
    red: tuple[str, ...]


MUTANTS = (
    Mutant(
        "accepts alg none",
        (
            ("auth/jwt.py", '.get("alg") != "HS256"', '.get("alg") not in ("HS256", "none")'),
            ("auth/jwt.py", "if not equal(", 'if header["alg"] != "none" and not equal('),
        ),
        ("JWT-06",),
    ),
    Mutant(
        "skips the signature",
        (
            (
                "auth/jwt.py",
                "if not equal(hmac(key, signed)",
                "if False and not equal(hmac(key, signed)",
            ),
        ),
        ("JWT-01", "JWT-02", "BRR-20", "BRR-28"),
    ),
    Mutant(
        "is over after exp, and not at exp",
        (("auth/tokens.py", "return now < exp <=", "return now <= exp <="),),
        ("EXP-02",),
    ),
    Mutant(
        "ignores exp",
        (("auth/tokens.py", "return now < exp <= now + LIFETIME + _SLACK and", "return"),),
        ("EXP-02", "EXP-03", "EXP-05", "EXP-17"),
    ),
    Mutant(
        "has the old secret again after a rotation",
        (
            (
                "auth/secret.py",
                "            secret = os.urandom(SIZE)\n",
                "            import machine\n"
                "            from hashlib import sha256\n"
                "            secret = sha256(machine.unique_id()).digest()\n",
            ),
        ),
        ("ROT-02", "ROT-04", "ROT-05", "ROT-07"),
    ),
    Mutant(
        "does not write the secret down",
        (
            (
                "auth/secret.py",
                "            _write(secret)\n            if _read() != secret:\n",
                "            if False:\n",
            ),
        ),
        ("ROT-01",),
    ),
    Mutant(
        "counts exp from 2000",
        (
            ("auth/tokens.py", "import os\n", "import os\nimport time\n"),
            ("auth/tokens.py", '"exp": now + LIFETIME', '"exp": int(time.time()) + LIFETIME'),
        ),
        ("LOG-04",),
    ),
    Mutant(
        "knows Basic in one spelling only",
        (
            (
                "auth/guards.py",
                '    if scheme != "basic":\n',
                '    if not request.headers.get("authorization", "").startswith("Basic "):\n',
            ),
        ),
        ("BAS-05",),
    ),
    Mutant(
        "fails on a login that is no JSON",
        (
            (
                "app.py",
                '    except ValueError:\n        abort(400, "malformed JSON")\n'
                "    if not isinstance(body, dict):\n",
                '    except KeyError:\n        abort(400, "malformed JSON")\n'
                "    if not isinstance(body, dict):\n",
            ),
        ),
        ("LOG-16", "LOG-17", "LOG-19", "LOG-20"),
    ),
    Mutant(
        "sends no challenge",
        (
            (
                "auth/guards.py",
                ', 401, {"WWW-Authenticate": BEARER_REALM + shown}',
                ", 401",
            ),
        ),
        ("BRR-03",),
    ),
    Mutant(
        "takes a short secret",
        (("auth/secret.py", "return len(secret) == SIZE and", "return secret and"),),
        ("ROT-10",),
    ),
    Mutant(
        "remembers the last good password for ever",
        (("auth/passwords.py", "hmac(_ram_key, expected + owner", "hmac(_ram_key, owner"),),
        ("BAS-19",),
    ),
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a virtual board has a socket in it, and a socket's path is at most 107 long."""
    path = Path(tempfile.mkdtemp(prefix="hil-"))
    yield path
    shutil.rmtree(path)


def expect(folder: Path, firmware: Path, expected: dict[str, str]) -> None:
    """Run these checks on a virtual board with this firmware, and compare their verdicts.

    :param expected: for each check id ``passed`` or ``failure``; an ``error`` is neither
    """
    (folder / "devices.yaml").write_text(
        "targets:\n"
        f"  {folder.name}:\n"  # its host name comes of it: other boards run beside this one
        "    kind: virtual\n"
        "    model: openmv-n6\n"
        "    provision: true\n"
        f"    firmware: {firmware}\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\n")
    nodes = [
        f"{PROJECT / 'tests' / entry.file}::test_{entry.title.replace(' ', '_')}"
        for entry in catalogue.load()
        if entry.check.id in expected
    ]
    assert len(nodes) == len(expected), "a check is missing from the catalogue"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HIL_DEVICES"))}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # half a second for each run
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir", str(folder)),
            *("-m", "hil", "--devices", "devices.yaml", "--junitxml", "junit.xml"),
            *("-p", "hil.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider", *nodes),
        ],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (folder / "junit.xml").exists(), ran.stdout + ran.stderr
    found = {}
    for case in ElementTree.parse(folder / "junit.xml").iter("testcase"):  # noqa: S314 - our own
        properties = {p.get("name"): p.get("value") for p in case.iter("property")}
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[str(properties["check"])] = kinds[0] if kinds else "passed"
    assert found == expected, ran.stdout + ran.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_broken_firmware_turns_its_checks_red(mutant: Mutant, folder: Path) -> None:
    firmware = folder / "firmware"
    shutil.copytree(provision.reference(), firmware)
    for file, old, new in mutant.changes:
        text = (firmware / file).read_text()
        assert text.count(old) == 1, f"{file} has changed: {old!r} is there {text.count(old)} times"
        (firmware / file).write_text(text.replace(old, new))
    expect(folder, firmware, {ALWAYS_GREEN: "passed", **dict.fromkeys(mutant.red, "failure")})


def test_the_sound_firmware_turns_none_of_them_red(folder: Path) -> None:
    ids = {check for mutant in MUTANTS for check in mutant.red} | {ALWAYS_GREEN}
    expect(folder, provision.reference(), dict.fromkeys(ids, "passed"))
