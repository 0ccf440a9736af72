"""The checklist as Markdown, read by a Markdown parser: evidence stays text there, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from made_up_run import HOSTILE, make
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hil.cli import main
from hil.report import markdown, signing
from hil.report.checklist import checklist
from hil.report.runs import Run
from hil.report.words import visible

# With HTML allowed, as most places show it: what is not escaped would be markup.
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

any_text = st.text(alphabet=st.sampled_from("ab1 .)-+=#*_`|<>[]()!\\&~\n\t\x00\u202e"), max_size=25)


def leaves(tokens: list[Token]) -> list[Token]:
    return [leaf for token in tokens for leaf in (token.children or [token])]


def shown(tokens: list[Token]) -> str:
    """What a reader sees of a paragraph."""
    return "".join(leaf.content for leaf in leaves(tokens))


@given(any_text)
def test_text_stays_text(text: str) -> None:
    tokens = READER.parse(markdown.text(text))
    kinds = {leaf.type for leaf in leaves(tokens)}
    assert kinds <= {"paragraph_open", "text", "text_special", "paragraph_close", "softbreak"}
    assert shown(tokens) == " ".join(visible(text).split())


@given(any_text)
def test_code_stays_code(text: str) -> None:
    one_line = " ".join(visible(text).split())
    if one_line:
        (code,) = leaves(READER.parse(markdown.code(text)))[1:-1]
        assert (code.type, code.content.strip()) == ("code_inline", one_line)


@given(any_text)
def test_a_block_stays_a_block(text: str) -> None:
    (block,) = READER.parse(markdown.block(text))
    assert (block.type, block.content.strip("\n")) == ("fence", visible(text).strip("\n"))


@given(st.lists(st.lists(any_text, min_size=2, max_size=2), min_size=1, max_size=4))
def test_a_table_keeps_its_cells(rows: list[list[str]]) -> None:
    told = markdown.table(["a", "b"], [[markdown.text(cell) for cell in row] for row in rows])
    tokens = READER.parse(told)
    cells = [
        shown([tokens[place + 1]]) for place, token in enumerate(tokens) if token.type == "td_open"
    ]
    assert cells == [" ".join(visible(cell).split()) for row in rows for cell in row]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("markdown"), gone="yard")


@pytest.fixture(scope="module")
def told(folder: Path) -> str:
    run = Run.load(folder)
    return markdown.document(run, checklist(run))


def test_hostile_evidence_is_code_and_no_markup(told: str) -> None:
    tokens = READER.parse(told)
    assert not {"html_block", "html_inline", "link_open", "image"} & {
        leaf.type for leaf in leaves(tokens)
    }
    fences = [token.content for token in tokens if token.type == "fence"]
    assert any(visible(HOSTILE) in content for content in fences)


def test_it_has_what_the_page_has(told: str) -> None:
    tokens = READER.parse(told)
    headings = [
        shown([tokens[place + 1]])
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag in ("h1", "h2")
    ]
    assert headings == [
        "4 findings: 2 checks broken on 2 targets",
        "Findings",
        "Errors of boards and bench",
        "Advisories",
        "Known deviations",
        "Targets",
        "Not checked, and why",
        "Requirements",
        "A token's life: the board's clock is moved",
        "A token's life: the board is reset",
        "A token's life: its signing key is changed",
        "Response times",
        "Boot times",
        "All checks",
        "Sign-off",
    ]
    rows = [line for line in told.splitlines() if line.startswith("| LOG-06")]
    assert rows == ["| LOG-06 a wrong password is refused | finding | finding |"]
    assert "POST /api/login HTTP/1.1" in told
    assert "**Usual cause:** an 'or' for an 'and'" in told
    assert "9f86d081884c7d65" * 4 in told


def test_a_signed_copy_says_who(folder: Path) -> None:
    run = Run.load(folder)
    signature = signing.sign(run, "Ada | Lovelace", decision="released")
    told = markdown.document(run, checklist(run, ["cra"]), signature)
    assert "Signed off by Ada \\| Lovelace on " in told
    assert f"SHA-256 `{signature.evidence.sha256}`" in told


def test_hil_report_prints_it(folder: Path, told: str) -> None:
    said = CliRunner().invoke(main, ["report", str(folder), "--format", "markdown", "-o", "-"])
    assert (said.exit_code, said.output) == (0, told)
