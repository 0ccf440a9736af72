"""The checklist in a browser: accessible by axe-core's rules, light and dark, on a desk, on a phone
and on paper, by keyboard, and without its script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from made_up_run import make
from playwright.sync_api import Browser, Page, sync_playwright

from hil.report import html, signing
from hil.report.checklist import checklist
from hil.report.runs import Run

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser(require_program: Callable[[str, str], Path]) -> Iterator[Browser]:
    chromium = require_program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with all that a page may have, but few checks: axe looks at every element."""
    folder = tmp_path_factory.mktemp("page")
    names = ["porch", "a-board-with-a-very-long-name", "gate"]
    groups = ["LOG", "EXP", "ROT", "BRR", "KEY"]
    run = Run.load(make(folder, names, absent=names[1], killed=True, only=groups))
    (folder / "page.html").write_text(html.page(run, checklist(run)), "utf-8")
    return (folder / "page.html").as_uri()


class Opened:
    """A page, and what went wrong in it."""

    def __init__(self, browser: Browser, file: str, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": DESK, **context})
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url, file))
        self.page.goto(file)

    def _asked(self, url: str, file: str) -> None:
        if url.partition("#")[0] != file:
            self.complaints.append(f"asked for {url}")

    def __enter__(self) -> Page:
        return self.page

    def __exit__(self, *_: object) -> None:
        self.context.close()
        assert self.complaints == []


# The time that axe takes grows faster than the page.
_FIRST_OF_ALIKE = """
for (const group of [...document.querySelectorAll("#matrix tbody")].slice(2)) group.remove();
for (const box of document.querySelectorAll("main tbody, main ul, main ol, main .ids"))
  for (const one of [...box.children].slice(6)) one.remove();
for (const one of [...document.querySelectorAll("details[data-standard]")].slice(3)) one.remove();
"""


def violations(page: Page, within: str = "html", **options: Any) -> list[str]:
    """What axe finds; of rows and items that are alike it looks at the first."""
    page.evaluate(_FIRST_OF_ALIKE)
    # Of what is in order, axe would tell every element.
    options = {"resultTypes": ["violations"], **options}
    found = Axe().run(page, context=within, options=options).response
    return [
        f"{one['id']}: {one['help']}: {node['html'][:160]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def unfold(page: Page) -> None:
    """All that is folded away, and what a check did."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.get_by_role("button", name="LOG-06").click()
    page.locator(".panel .steps li").first.wait_for()


def test_axe_has_nothing_to_say(browser: Browser, file: str) -> None:
    with Opened(browser, file, color_scheme="light") as page:
        unfold(page)
        assert violations(page) == []
        page.emulate_media(color_scheme="dark")
        assert violations(page, runOnly=["color-contrast"]) == []
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        colours = {"color-contrast": {"enabled": False}}
        assert violations(page, rules=colours) == []


def test_axe_would_have_something_to_say(browser: Browser, file: str) -> None:
    with Opened(browser, file) as page:
        page.evaluate("document.querySelector('h1').style.color = '#ddd'")
        (one,) = violations(page, ".result", runOnly=["color-contrast"])
        assert one.startswith("color-contrast")


def test_a_phone_scrolls_tables_and_never_the_page(browser: Browser, file: str) -> None:
    with Opened(browser, file, viewport=PHONE) as page:
        unfold(page)
        too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(too_wide) == 0
        assert page.evaluate("document.querySelector('.matrix').scrollWidth") > 390


def test_the_evidence_of_a_check_opens_by_keyboard(browser: Browser, file: str) -> None:
    with Opened(browser, file) as page:
        button = page.get_by_role("button", name="EXP-03")
        button.focus()
        page.keyboard.press("Enter")
        panel = page.locator(".panel")
        panel.locator(".steps li").first.wait_for()
        assert button.get_attribute("aria-expanded") == "true"
        assert panel.get_attribute("id") == button.get_attribute("aria-controls")
        told = panel.inner_text()
        assert "POST /api/login HTTP/1.1" in told
        assert "the board's clock: skew" in told
        assert "porch" in told
        page.keyboard.press("Enter")
        assert panel.count() == 0
        assert button.get_attribute("aria-expanded") == "false"


def test_checks_are_filtered_by_verdict_group_and_text(browser: Browser, file: str) -> None:
    with Opened(browser, file) as page:
        form, shown = page.locator("#filter"), page.locator("#shown")
        everything = int(shown.inner_text().split()[-2])
        assert shown.inner_text() == f"{everything} of {everything} checks"
        for box in form.get_by_role("checkbox").all():
            box.set_checked(box.get_attribute("value") == "finding")
        assert shown.inner_text() == f"2 of {everything} checks"
        visible = page.locator("#matrix tr[id]:visible .id")
        assert visible.all_inner_texts() == ["LOG-06", "EXP-03"]
        form.get_by_role("combobox").select_option("login")
        assert visible.all_inner_texts() == ["LOG-06"]
        form.get_by_role("searchbox").fill("no such thing")
        assert shown.inner_text() == f"0 of {everything} checks"
        # A link to a check brings it to light, whatever the filter.
        page.locator("#findings + .lead + article").get_by_role("link", name="LOG-06").click()
        page.locator(".panel .steps li").first.wait_for()
        assert shown.inner_text() == f"{everything} of {everything} checks"


def test_the_reader_chooses_standards_and_standings(browser: Browser, file: str) -> None:
    with Opened(browser, file) as page:
        page.locator("#choose-standards").get_by_label("EN 18031").uncheck()
        assert page.locator("details[data-standard=en18031]").is_hidden()
        asvs = page.locator("details[data-standard=asvs]")
        asvs.locator("summary").click()
        rows = asvs.locator("tbody tr:visible")
        before = rows.count()
        page.locator("#choose-standings").get_by_label("evidence incomplete").uncheck()
        assert 0 < rows.count() < before
        assert asvs.locator("tbody tr.evidence_incomplete:visible").count() == 0


def test_without_script_everything_essential_is_there(browser: Browser, file: str) -> None:
    with Opened(browser, file, java_script_enabled=False) as page:
        told = page.locator("main").inner_text()
        assert "Not finished" in told
        assert "accepted what must be refused: a hole" in told
        assert "its port is missing" in told
        assert "/TARGET/evidence.jsonl" in told
        assert page.locator("form, fieldset").filter(visible=True).count() == 0
        page.locator("details[data-standard=asvs] summary").click()
        assert "v5.0.0-6.3.1" in page.locator("details[data-standard=asvs]").inner_text()


def test_on_paper_the_evidence_of_findings_is_unfolded(browser: Browser, file: str) -> None:
    with Opened(browser, file) as page:
        evidence = page.locator("article.issue.finding details.evidence .steps").first
        assert evidence.is_hidden()
        page.emulate_media(media="print", color_scheme="dark")
        assert evidence.is_visible()
        assert page.locator("article.issue.advisory .steps").first.is_hidden()
        assert page.locator("nav").is_hidden()
        assert page.locator("#filter").is_hidden()
        assert page.locator("dl.blank").is_visible()
        paper = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(paper) == "rgb(255, 255, 255)"
        assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_a_signed_copy_is_accessible_too(browser: Browser, tmp_path: Path) -> None:
    run = Run.load(make(tmp_path, only=["LOG"]))
    signature = signing.sign(run, "Ada Lovelace", role="QA", decision="released", comment="ok")
    path = tmp_path / "signed.html"
    path.write_text(html.page(run, checklist(run, ["cra"]), signature), "utf-8")
    with Opened(browser, path.as_uri()) as page:
        assert violations(page, ".sign-off") == []
        assert violations(page, ".result") == []
        assert "Ada Lovelace" in page.locator("dl.signed").inner_text()
