"""The checklist's page as text: sound HTML, nothing from outside, evidence stays text, small."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest
from click.testing import CliRunner
from made_up_run import HOSTILE, make

from hil.cli import main
from hil.report import events, html, runs, signing
from hil.report.checklist import checklist
from hil.report.requirements import STANDARDS
from hil.report.runs import Run
from hil.report.words import visible

SVG = "{http://www.w3.org/2000/svg}"


def text_of(folder: Path, *standards: str) -> str:
    run = Run.load(folder)
    return html.page(run, checklist(run, standards))


def parsed(text: str) -> Element:
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    tree: Element = parser.parse(text)
    return tree


def words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("html"), ["porch", "yard"], gone="yard")


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return text_of(folder)


@pytest.fixture(scope="module")
def page(text: str) -> Element:
    return parsed(text)


def section(page: Element, name: str) -> Element:
    return next(one for one in page.iter("section") if one.get("aria-labelledby") == name)


def inflated(page: Element) -> Any:
    packed = next(one for one in page.iter("script") if one.get("id") == "courses")
    return json.loads(gzip.decompress(base64.b64decode(packed.text or "")))


def test_ids_are_unique_and_every_link_within_the_page_arrives(page: Element) -> None:
    ids = Counter(one.get("id") for one in page.iter() if one.get("id"))
    assert [name for name, number in ids.items() if number > 1] == []
    links = {a.get("href", "")[1:] for a in page.iter("a") if a.get("href", "").startswith("#")}
    assert links
    assert links <= ids.keys()
    for one in page.iter():
        for attribute in ("aria-labelledby", "aria-controls", "aria-describedby"):
            assert set((one.get(attribute) or "").split()) <= ids.keys()


def test_nothing_comes_from_outside(text: str, page: Element) -> None:
    for one in page.iter():
        assert not {"src", "srcset", "action", "data", "poster", "background"} & one.attrib.keys()
        assert one.tag == "a" or "href" not in one.attrib
        assert not any(str(name).startswith(("on", "style")) for name in one.attrib), one.attrib
        assert one.tag not in ("link", "iframe", "object", "embed", "img", "base")
    style = next(page.iter("style")).text or ""
    assert not re.search(r"url\(|@import|@font-face", style)
    links = {a.get("href", "") for a in page.iter("a")} - {""}
    outside = {link for link in links if not link.startswith("#")}
    assert all(
        link.startswith(("https://www.rfc-editor.org/rfc/rfc", "https://ci.example/"))
        for link in outside
    )
    assert "https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4" in outside


def test_only_its_own_style_and_script_may_act(page: Element) -> None:
    policy = next(
        one.get("content", "")
        for one in page.iter("meta")
        if one.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        *_, own = page.iter(tag)
        digest = base64.b64encode(hashlib.sha256((own.text or "").encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_hostile_evidence_stays_text(text: str, page: Element) -> None:
    scripts = [(one.get("id"), len(one.text or "") > 100) for one in page.iter("script")]
    assert scripts == [("courses", True), (None, True)]
    found = words(section(page, "findings"))
    assert " ".join(visible(HOSTILE).split()) in found
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = "a'\"><script>alert(1)</script>&"
    folder = make(tmp_path, ["x"], only=["LOG"])
    begin = Run.load(folder).begin
    (folder / runs.RUN_FILE).write_bytes(
        runs.to_line(replace(begin, run=name, host=name, arguments=(name,), url=f"https://{name}"))
    )
    verdict = Run.load(folder).targets["x"].verdicts["LOG-06"]
    told = [
        replace(verdict, check=name, title=name, source=f"{name}; https://a.example/?<b>"),
        replace(verdict, check="A-<b>", verdict="skipped", message=name),
        events.Boot(at=1, check=name, kind=name, took_s=1),
    ]
    with (folder / "x" / runs.EVIDENCE_FILE).open("ab") as file:
        file.write(b"".join(map(runs.to_line, told)))
    run = Run.load(folder)
    signature = signing.sign(run, name, role=name, decision=name, comment=name)
    page = parsed(html.page(run, checklist(run), signature))
    assert len(list(page.iter("script"))) == 2
    assert words(page).count("<script>alert(1)</script>") > 12
    assert (next(page.iter("title")).text or "").endswith(f"run {name}")


def test_what_must_be_read_needs_no_script(page: Element) -> None:
    told = words(section(page, "findings"))
    assert "a wrong password is refused" in told
    for part in (
        "accepted what must be refused: a hole",
        "an 'or' for an 'and', or a comparison with an unset password",
        "POST /api/login HTTP/1.1 | Host: 10.0.0.10 | Authorization: 'Bearer ' + <131 chars>",
        "on the board, +3600.0 s from the host's",
    ):
        assert part in told
    assert "yard: the board's fault" in words(section(page, "errors"))
    assert "the profile 'camera' promises no KEY" in words(section(page, "gaps"))
    firmware = words(section(page, "targets"))
    assert "9f86d081884c7d65" * 4 in firmware
    assert "SHA-256, application" in firmware


def test_every_check_is_in_the_table_with_a_word_for_each_target(page: Element) -> None:
    (table,) = (one for one in page.iter("table") if one.get("id") == "matrix")
    rows = {
        row.get("id"): [words(cell) for cell in row.iter("td")]
        for row in table.iter("tr")
        if (row.get("id") or "").startswith("check-")
    }
    assert len(rows) == 260
    assert rows["check-LOG-06"] == ["finding", "finding"]
    assert rows["check-KEY-01"] == ["not promised", "skipped"]
    assert all(all(cells) and len(cells) == 2 for cells in rows.values())


def test_what_every_check_did_is_packed_in_the_page(folder: Path, page: Element) -> None:
    packed = inflated(page)
    course = {entry[0]: entry for entry in packed["checks"]["LOG-06"]}
    assert list(course) == ["porch", "yard"]
    _, word, told, steps, left_out = course["porch"]
    assert (word, told["word"], left_out) == ("finding", "finding", 0)
    assert " ".join(told["message"].split()).endswith("A" * 300)
    exchanges = Run.load(folder).targets["porch"].exchanges("LOG-06")
    assert steps[0][2] == exchanges[0].sent
    alike = [step[7] for step in packed["checks"]["LOG-08"][0][3] if len(step) > 7]
    assert sum(alike) > 300
    assert packed["sources"]["LOG-06"] == "OpenMV docs"


def test_each_requirement_has_a_standing_and_links_to_its_checks(page: Element) -> None:
    told = section(page, "requirements")
    standards = [one for one in told.iter("details") if one.get("data-standard")]
    assert [one.get("data-standard") for one in standards] == list(STANDARDS)
    rows = {
        words(row.find("th")).partition(" ")[2].partition(" ")[0]: row  # type: ignore[arg-type]
        for row in standards[0].iter("tr")
        if row.get("class")
    }
    row = rows["v5.0.0-6.3.1"]
    assert row.get("class") == "finding"
    assert "LOG-36 advisory" in words(row)
    assert "#check-LOG-36" in {a.get("href") for a in row.iter("a")}
    said = words(told).lower()
    assert "evidence towards" in said
    assert not re.search(r"\b(compliant|conforms|certified|meets|covers)\b", said)


def test_the_reader_chooses_the_standards(folder: Path) -> None:
    page = parsed(text_of(folder, "etsi", "cra"))
    shown = [one for one in page.iter("details") if one.get("data-standard")]
    assert [one.get("data-standard") for one in shown] == ["etsi", "cra"]


def test_plots_tell_in_words_what_they_show(page: Element) -> None:
    plots = [one for one in page.iter(f"{SVG}svg") if one.get("role") == "img"]
    assert len(plots) == 5
    for one in plots:
        title, told = one.find(f"{SVG}title"), one.find(f"{SVG}desc")
        assert title is not None
        assert told is not None
        assert one.get("aria-labelledby") == f"{title.get('id')} {told.get('id')}"
        assert "porch: " in words(told) or "accepted 200" in words(told)
    figures = list(section(page, "plots").iter("figure"))
    assert all(len(list(figure.iter("table"))) == 1 for figure in figures)


def test_a_killed_run_says_so_at_the_top(tmp_path: Path) -> None:
    page = parsed(text_of(make(tmp_path, killed=True)))
    assert words(next(page.iter("h1"))).startswith("Not finished")
    header = next(one for one in page.iter("header"))
    assert header.get("class") == "result unfinished"


def test_an_unsigned_page_has_a_block_to_fill_in(folder: Path, page: Element) -> None:
    block = section(page, "sign-off")
    run = Run.load(folder)
    assert signing.fingerprint(folder, run.targets).sha256 in words(block)
    assert [words(one) for one in block.iter("dt")] == [
        "Name",
        "Role",
        "Date",
        "Signature",
        "Comment",
    ]
    assert "does not prove who" in words(section(page, "evidence"))


def test_eight_boards_fit_into_a_megabyte(tmp_path: Path) -> None:
    names = [f"cam-{n}" for n in range(1, 9)]
    folder = make(tmp_path, names, gone="cam-4", absent="cam-6")
    size = len(text_of(folder).encode())
    assert size < 1_000_000, f"{size} bytes"


def test_many_findings_do_not_unfold_the_page(
    folder: Path, page: Element, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a limit, what a finding sent is a link away, at its check."""
    inline = section(page, "findings").findall(".//details")
    assert inline
    monkeypatch.setattr(html, "_PLAIN_BYTES", 0)
    found = section(parsed(text_of(folder)), "findings")
    assert not found.findall(".//details")
    links = [one.get("href") for one in found.iter("a") if words(one) == "what was sent and got"]
    assert len(links) == len(inline)
    assert all(str(link).startswith("#check-") for link in links)


def test_hil_report_writes_it(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "here" / "it.html"
    said = CliRunner().invoke(main, ["report", str(folder), "-o", str(out)])
    assert said.exit_code == 0, said.output
    assert said.output == f"{out}: 4 findings: 2 checks broken on 2 targets\n"
    assert out.read_text() == text_of(folder)
    said = CliRunner().invoke(main, ["report", str(folder)])
    assert (folder / "checklist.html").read_text() == out.read_text()
