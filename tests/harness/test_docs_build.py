"""The pages build, offline and without a warning, and the generated ones tell all that there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

from markdown_pages import PROJECT

import hil.fixtures
from hil.report import events
from hil.target_entry import FIELDS

DOCS = PROJECT / "docs"

# What makes the generated pages lies beside them, where Sphinx finds it.
sys.path.append(str(DOCS / "_ext"))


def test_the_pages_build_without_a_warning_and_fetch_nothing(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    html = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert {path.stem for path in DOCS.rglob("*.md")} <= {
        name.removesuffix(".html") for name in html
    }
    # What a browser would fetch by itself; a link is followed by its reader.
    fetched = (
        r"""<(?:script|img|iframe|source)[^>]+src="(?:https?:)?//|<link[^>]+href="(?:https?:)?//"""
    )
    for name, text in html.items():
        assert not re.search(fetched, text), name
    checks = html["checks.html"]
    assert checks.count("<tr") > 260
    assert "EXP-04" in checks
    assert "machine.unique_id() in hexadecimal" in html["devices.html"]


def test_every_key_of_devices_yaml_is_told() -> None:
    from generate_bench import keys

    assert set(keys()) == set(FIELDS)
    assert all(text and all(text) for text, _ in keys().values())


def test_every_key_of_a_profile_is_told() -> None:
    from generate_profile import meanings, parts

    silent = {
        f"{part.__name__}.{k}" for part in parts() for k, v in meanings(part).items() if not v
    }
    assert not silent


def test_every_fixture_is_told() -> None:
    from generate_fixtures import found

    folder = Path(hil.fixtures.__file__).parent
    in_source = sum(path.read_text().count("@pytest.fixture") for path in folder.glob("*.py"))
    assert len(found()) == in_source
    assert all(told for _, told in found().values())


def test_every_event_of_the_evidence_is_told() -> None:
    from generate_evidence import evidence

    told = evidence()
    for event in get_args(events.Event):
        head, _, section = told.partition(f"### `{event.event}`\n")
        assert head
        about = section.partition("| field |")[0].strip()
        # A dataclass without a docstring has its signature for one.
        assert not about.startswith(event.__name__), event
        assert len(about.split()) > 2, event


def test_every_option_of_pytest_is_told() -> None:
    from generate_command import pytest_options

    told = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    group = told.partition("hardware in the loop:\n")[2].partition("\n\n")[0]
    options = set(re.findall(r"^  (--[\w-]+)", group, re.MULTILINE))
    assert "--target" in options
    assert options == set(re.findall(r"^\| `(--[\w-]+)", pytest_options(), re.MULTILINE))


def test_every_variable_of_the_environment_is_told() -> None:
    told = (DOCS / "reference" / "environment.md").read_text(encoding="utf-8")
    table = told.partition("The project's own tests")[0]
    sources = (PROJECT / "hil").rglob("*.py")
    read = {
        name
        for path in sources
        for name in re.findall(r"\bHIL_[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    assert read == set(re.findall(r"`(HIL_[A-Z_]+)`", table))
