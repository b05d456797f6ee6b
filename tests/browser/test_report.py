"""The HTML report in a browser: accessible, valid, quiet, and whole without script."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepmatrix.drawing import escaping
from tests.browser.conftest import PAGES
from tests.unit.pages import HOSTILE

ROOT = Path(__file__).resolve().parents[2]

UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}

Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, written: dict[str, Path]) -> Iterator[Open]:
    """Open a page; its requests, messages and dialogs are collected."""
    contexts = []

    def opened(name: str, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.requests_made, page.said = [], []
        page.on("request", lambda request: page.requests_made.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("dialog", lambda dialog: (page.said.append(dialog.message), dialog.dismiss()))
        page.goto(written[name].as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_axe_finds_nothing_serious(name: str, scheme: str, width: int, open_page: Open) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(
        name, color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    )
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    found = Axe().run(page).response["violations"]
    serious = [
        (violation["id"], violation["nodes"][0]["html"], violation["nodes"][0]["failureSummary"])
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("name", PAGES)
def test_the_page_asks_for_nothing_and_breaks_none_of_its_own_rules(
    name: str, open_page: Open, written: dict[str, Path]
) -> None:
    page = open_page(name)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert page.requests_made == [written[name].as_uri()]
    assert page.said == []


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_no_wider_than_a_phone(name: str, open_page: Open) -> None:
    page = open_page(name, viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


#: The texts of a page's tables that are wider than the place they stand in.
OVERFLOWING = """[...document.querySelectorAll("td[class^=m-]")]
  .filter((field) => field.scrollWidth > field.clientWidth + 1)
  .map((field) => field.innerText)"""


#: Returns the short words in fields of tables that are broken within, over two lines.
BROKEN_WORDS = r"""() => [...document.querySelectorAll("td, th")].flatMap((field) => {
  const walker = document.createTreeWalker(field, NodeFilter.SHOW_TEXT);
  const broken = [];
  while (walker.nextNode()) {
    for (const word of walker.currentNode.data.matchAll(/(?<![^\s-])[A-Za-z]{2,14}(?![^\s-])/g)) {
      const range = new Range();
      range.setStart(walker.currentNode, word.index);
      range.setEnd(walker.currentNode, word.index + word[0].length);
      const tops = new Set([...range.getClientRects()].map((box) => box.top));
      if (tops.size > 1 && !field.closest(".heat thead")) broken.push(word[0]);
    }
  }
  return broken;
})"""


@pytest.mark.parametrize("name", ["matrix", "verification", "comparison", "evaluation"])
def test_no_short_word_of_a_table_is_broken_on_a_phone(name: str, open_page: Open) -> None:
    page = open_page(name, viewport={"width": 390, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate(BROKEN_WORDS) == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1400])
def test_no_text_of_a_table_runs_into_the_next_column(
    name: str, width: int, open_page: Open
) -> None:
    page = open_page(name, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert page.evaluate(OVERFLOWING) == []


def test_without_script_every_verdict_can_be_read(open_page: Open) -> None:
    page = open_page("verification", java_script_enabled=False)
    text = page.locator("main").inner_text()
    assert page.locator("#filter").is_hidden()
    for word in ("match", "drift", "unsupported", "not-run"):
        assert word in text


def test_hostile_names_are_shown_as_text(open_page: Open) -> None:
    page = open_page("hostile")
    shown = "".join(page.locator("body").inner_text().split())
    for name in HOSTILE:
        assert "".join(escaping.terminal_lines(name).split()) in shown
    assert page.said == []
    assert page.locator("img").count() == 0


def test_the_filter_leaves_the_lines_that_were_asked_for(open_page: Open) -> None:
    page = open_page("matrix")
    page.select_option("select[name=verdict]", "drift")
    lines = page.locator("tr[data-verdict]:not([hidden])")
    assert {line.get_attribute("data-verdict") for line in lines.all()} == {"drift"}
    assert all(line.is_visible() for line in lines.all())
    assert "1 of 51" in page.locator("#filter output").inner_text()


def test_a_link_of_the_map_leads_to_what_the_filter_hides(open_page: Open) -> None:
    page = open_page("matrix")
    page.select_option("select[name=verdict]", "drift")
    link = page.locator(".heat td:not(.v-drift) a").first
    target = page.locator(f"tr{link.get_attribute('href')}")
    assert not target.is_visible()
    link.click()
    target.wait_for(state="visible", timeout=2_000)


def test_each_link_of_the_menu_ends_at_its_heading(open_page: Open) -> None:
    page = open_page("matrix")
    for link in page.locator("nav a").all():
        link.click()
        page.wait_for_timeout(300)
        heading = page.locator(link.get_attribute("href") or "").bounding_box()
        assert heading is not None
        assert -1 < heading["y"] < 1000, link.inner_text()


@pytest.mark.parametrize("name", [name for name in PAGES if name != "hostile"])
def test_paper_has_what_is_folded_and_all_columns(name: str, open_page: Open) -> None:
    page = open_page(name)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 1050, "height": 800})  # A4, landscape
    tables = page.locator("table").all()
    assert all(table.is_visible() for table in tables)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1050
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"


def test_numbers_with_units_are_sorted_by_what_they_count(open_page: Open) -> None:
    page = open_page("matrix")
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    table = page.locator("table:has(th:has-text('peak memory'))").last
    heading = table.locator("th", has_text="peak memory")
    heading.locator("button").click()
    column = heading.evaluate("(field) => field.cellIndex + 1")
    texts = table.locator(f"tbody tr > :nth-child({column})").all_inner_texts()
    numbers = [float(text.split()[0]) * UNITS[text.split()[1]] for text in texts if text != "–"]
    assert len(numbers) > 1
    assert numbers == sorted(numbers)
    assert texts == sorted(texts, key="–".__eq__)


def test_the_worst_line_can_be_put_first(open_page: Open) -> None:
    page = open_page("matrix")
    page.select_option("select[name=order]", "worst")
    first = page.locator("tr[data-verdict]").first
    assert first.get_attribute("data-verdict") == "error"


def test_a_link_of_the_map_opens_the_fold_that_it_leads_into(open_page: Open) -> None:
    page = open_page("matrix")
    link = page.locator(".heat a").first
    target = page.locator(f"tr{link.get_attribute('href')}")
    assert not target.is_visible()
    link.click()
    assert target.is_visible()


def test_a_table_is_sorted_by_the_keyboard(open_page: Open) -> None:
    page = open_page("matrix")
    page.locator("#latency").scroll_into_view_if_needed()
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    table = page.locator("section:has(#latency) table").first
    heading = table.locator("th", has_text="p50")
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    column = heading.evaluate("(field) => field.cellIndex + 1")
    fields = table.locator(f"tbody tr > :nth-child({column})")
    values = [float(field.get_attribute("data-value") or "nan") for field in fields.all()]
    assert values == sorted(values)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_valid(name: str, browser: Any, written: dict[str, Path]) -> None:  # noqa: ARG001
    """By html-validate's standard rules, but for style: how markup is laid out is no fault."""
    command = [str(ROOT / "node_modules" / ".bin" / "html-validate"), "--formatter=json"]
    command += [f"--config={ROOT / 'tests' / 'browser' / 'validator.json'}", str(written[name])]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    faults = [
        (message["ruleId"], message["message"], message["line"])
        for file in json.loads(ended.stdout or "[]")
        for message in file["messages"]
    ]
    assert (faults, ended.returncode) == ([], 0)
