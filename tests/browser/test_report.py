"""The HTML report in a browser: accessible, valid, quiet, and whole without script."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from deepmatrix.drawing import escaping
from deepmatrix.drawing.layout import Column, Table, row
from deepmatrix.reports import html
from deepmatrix.reports.html.verdicts import EVALUATOR
from deepmatrix.results.counting import EXPECTED
from tests.browser.conftest import PAGES
from tests.unit.pages import HOSTILE, drifting

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
def test_axe_finds_nothing_but_minor_things(
    name: str, scheme: str, width: int, open_page: Open
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(
        name, color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    )
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    found = Axe().run(page).response["violations"]
    worse = [
        (violation["id"], violation["nodes"][0]["html"], violation["nodes"][0]["failureSummary"])
        for violation in found
        if violation["impact"] in ("moderate", "serious", "critical")
    ]
    assert worse == []


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
OVERFLOWING = """[...document.querySelectorAll(".sortable td:not(:has(svg)), .heat tbody th")]
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
    page.select_option("select[name=verdict]", EXPECTED)
    lines = page.locator("tr[data-verdict]:not([hidden])")
    assert {line.get_attribute("data-kind") for line in lines.all()} == {EXPECTED}
    assert all(line.is_visible() for line in lines.all())
    assert page.locator("#filter output").inner_text().startswith(f"{lines.count()} of 51 ")


#: Every line of a verdict: its cell, its model, what it is counted as, and whether it is shown.
VERDICTS = """[...document.querySelectorAll("tr[data-verdict]")].map((line) => [
  line.firstElementChild.textContent, line.closest(".model").dataset.name,
  line.dataset.kind ?? line.dataset.verdict, !line.closest("[hidden]")])"""


@pytest.mark.parametrize(
    ("field", "text"),
    [("cell", "Runtime-cpp"), ("cell", " arm64 onnx "), ("model", "torch ONNX")],
)
def test_the_filter_shows_all_lines_with_the_parts_of_a_name_and_no_other(
    field: str, text: str, open_page: Open
) -> None:
    page = open_page("matrix")
    page.fill(f"input[name={field}]", text)
    lines = page.evaluate(VERDICTS)
    assert {is_shown for *_, is_shown in lines} == {True, False}
    for cell, model, _, is_shown in lines:
        name = {"cell": cell, "model": model}[field]
        assert is_shown == all(part in name.lower() for part in text.lower().split()), name


def test_what_is_not_a_match_is_all_that_a_verdict_counts_as_otherwise(open_page: Open) -> None:
    page = open_page("verification")
    page.select_option("select[name=verdict]", label="not a match")
    lines = page.evaluate(VERDICTS)
    assert {kind for *_, kind, _ in lines} > {"match", EVALUATOR}
    for *_, kind, is_shown in lines:
        assert is_shown == (kind not in ("match", EVALUATOR)), kind


@pytest.mark.parametrize("name", ["matrix", "verification", "interrupted"])
def test_the_head_the_map_and_the_filter_count_the_same(name: str, open_page: Open) -> None:
    page = open_page(name)
    counts = dict(
        reversed(text.split()[1:3] if "expected" not in text else (text.split()[1], EXPECTED))
        for text in page.locator("header .count").all_inner_texts()
    )
    assert sum(map(int, counts.values())) > 1
    total = sum(map(int, counts.values()))
    assert page.locator(".heat td[class]:not(.v-judge)").count() == total
    for word, count in counts.items():
        page.select_option("select[name=verdict]", word)
        words = page.locator("#filter output").inner_text()
        assert words == f"{count} of {total} verdicts of consumers"
        drawn = ".expected" if word == EXPECTED else f".v-{word}:not(.expected)"
        assert page.locator(f".heat td{drawn}").count() == int(count)


#: How many fields of a column of verdicts have a text, and how many of them are seen in part.
FIELDS = """(column) => {
  document.querySelectorAll(".model").forEach((each) => each.style.contentVisibility = "visible");
  const fields = [...document.querySelectorAll(`tr[data-verdict] > :nth-child(${column})`)];
  const boxes = fields.filter((field) => field.textContent.trim())
    .map((field) => field.getBoundingClientRect());
  const isCut = (box) => !box.width || box.left < 0 || box.right > innerWidth;
  return [boxes.length, boxes.filter(isCut).length];
}"""


@pytest.mark.parametrize("name", ["matrix", "verification", "hostile"])
@pytest.mark.parametrize("width", [390, 700, 1024, 1100, 1280, 1400])
def test_verdict_error_tolerance_and_why_are_seen_without_scrolling_to_a_side(
    name: str, width: int, open_page: Open
) -> None:
    page = open_page(name, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    for column in (1, 2, 3, 5, 6, 7):
        count, cut = page.evaluate(FIELDS, column)
        assert (count > 0, cut) == (True, 0), column


#: The tables that are wider than their place, by what they are.
SCROLLED = """[...document.querySelectorAll(".scroll")]
  .filter((place) => place.scrollWidth > place.clientWidth + 1 && !place.querySelector(".heat"))
  .map((place) => place.getAttribute("aria-label"))"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 768, 1121, 1260, 1400])
def test_no_table_but_a_map_is_scrolled_to_a_side_on_any_screen(
    name: str, width: int, open_page: Open
) -> None:
    page = open_page(name, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert page.evaluate(SCROLLED) == []


def test_the_map_of_the_default_preset_is_whole_on_a_desktop(open_page: Open) -> None:
    page = open_page("default", viewport={"width": 1400, "height": 900})
    assert (
        page.evaluate(
            "[...document.querySelectorAll('.heat')]"
            ".map((map) => map.scrollWidth > map.parentElement.clientWidth)"
        )
        == [False] * 4
    )


#: The parts of a run's report with figures of their own, each in its tables.
DRAWN = ["latency", "starts", "costs", "training"]


def test_what_a_stacked_line_is_of_stands_first_without_a_label(open_page: Open) -> None:
    page = open_page("comparison", viewport={"width": 390, "height": 800})
    fields = page.locator("table.stacked tbody tr").first.locator("> td")
    labels = fields.evaluate_all(
        "(fields) => fields.map((field) => getComputedStyle(field, '::before').content)"
    )
    assert labels[0] == "none"
    assert all(":" in label for label in labels[1:])


@pytest.mark.parametrize("part", DRAWN)
def test_each_figure_of_a_stacked_line_says_what_it_is_as_its_heading_does(
    part: str, open_page: Open
) -> None:
    page = open_page("matrix", viewport={"width": 768, "height": 900})
    table = page.locator(f"section[aria-labelledby={part}] table.stacked").first
    headings = [text.strip() for text in table.locator("thead th").all_text_contents()]
    labels = table.locator("tbody tr").first.evaluate(
        "(line) => [...line.children].map((field) => field.dataset.label ?? null)"
    )
    named = {label: heading for label, heading in zip(labels, headings, strict=True) if label}
    assert len(named) > 2
    assert list(named) == list(named.values())


@pytest.mark.parametrize("name", ["comparison", "evaluation"])
def test_no_table_of_changes_or_statements_is_scrolled_to_a_side_on_a_phone(
    name: str, open_page: Open
) -> None:
    page = open_page(name, viewport={"width": 390, "height": 800})
    assert page.evaluate(SCROLLED) == []
    field = page.locator("td[data-label]").nth(1)
    before = field.evaluate("(field) => getComputedStyle(field, '::before').content")
    assert field.get_attribute("data-label") in before


@pytest.mark.parametrize("name", ["evaluation", "history"])
def test_a_long_table_is_folded_after_its_first_lines_in_any_order(
    name: str, open_page: Open
) -> None:
    page = open_page(name)
    table = page.locator("table[data-first]").first
    lines = table.locator("tbody tr")
    count, first = lines.count(), int(table.get_attribute("data-first"))
    assert count > first
    assert lines.locator("visible=true").count() == first
    table.locator("th button").first.click()
    assert [line.is_visible() for line in lines.all()] == [at < first for at in range(count)]
    button = page.locator("button.more").first
    assert button.inner_text() == f"{count - first} more"
    button.click()
    assert lines.locator("visible=true").count() == count


def test_without_script_a_long_table_is_whole(open_page: Open) -> None:
    page = open_page("evaluation", java_script_enabled=False)
    table = page.locator("table[data-first]").first
    assert all(line.is_visible() for line in table.locator("tbody tr").all())


#: The sizes of the letters in drawings as they are seen, in pixels.
LETTERS = """[...document.querySelectorAll("svg text")].map((text) =>
  parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a)"""


@pytest.mark.parametrize("name", ["matrix", "verification", "history"])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_letters_of_drawings_can_be_read(name: str, width: int, open_page: Open) -> None:
    page = open_page(name, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert min(page.evaluate(LETTERS)) > 8


#: The headings of one word that are broken before their arrow.
BROKEN_HEADINGS = """[...document.querySelectorAll("th button")].filter((button) =>
  !/[ -]/.test(button.textContent)
  && button.offsetHeight > 1.5 * parseFloat(getComputedStyle(button).lineHeight))
  .map((button) => button.textContent)"""


@pytest.mark.parametrize("name", ["matrix", "evaluation"])
def test_the_arrow_of_a_column_stands_beside_its_name(name: str, open_page: Open) -> None:
    page = open_page(name, viewport={"width": 900, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert page.evaluate(BROKEN_HEADINGS) == []


@pytest.mark.parametrize("width", [390, 1400])
def test_long_names_leave_the_first_screen_to_what_is_wrong(width: int, open_page: Open) -> None:
    page = open_page("hostile", viewport={"width": width, "height": 1000})
    box = page.locator(".finding").first.bounding_box()
    assert box["y"] < 600
    assert all(each.bounding_box()["height"] < 1000 / 2 for each in page.locator(".finding").all())


def test_a_match_near_its_tolerance_is_told_apart_without_colour(open_page: Open) -> None:
    page = open_page("verification")
    styles = [
        page.locator(f".heat td.v-match{rest}").first.evaluate(
            "(e) => getComputedStyle(e).outlineStyle"
        )
        for rest in (".close", ":not(.close)")
    ]
    assert styles == ["solid", "none"]


def test_a_link_of_the_map_leads_to_what_the_filter_hides(open_page: Open) -> None:
    page = open_page("matrix")
    page.select_option("select[name=verdict]", EXPECTED)
    link = page.locator(".heat td:not(.expected) a").first
    target = page.locator(f"tr{link.get_attribute('href')}")
    assert not target.is_visible()
    link.click()
    target.wait_for(state="visible", timeout=2_000)


def test_what_a_link_leads_to_is_in_the_order_that_the_form_then_says(open_page: Open) -> None:
    page = open_page("matrix")
    planned = page.locator("tr[data-verdict]").evaluate_all("(lines) => lines.map(({id}) => id)")
    page.select_option("select[name=order]", "worst")
    page.select_option("select[name=verdict]", EXPECTED)
    page.locator(".heat td:not(.expected) a").first.click()
    # Not by wait_for_function: the page's policy forbids it to evaluate a text while it waits.
    expect(page.locator("[name=order]")).to_have_value("")
    expect(page.locator("tr[hidden]")).to_have_count(0)
    lines = page.locator("tr[data-verdict]").evaluate_all("(lines) => lines.map(({id}) => id)")
    assert lines == planned


@pytest.mark.parametrize("name", ["matrix", "evaluation"])
def test_each_link_of_the_menu_ends_at_its_heading(name: str, open_page: Open) -> None:
    page = open_page(name)
    assert page.locator("nav a").count() > 3
    for link in page.locator("nav a").all():
        link.click()
        page.wait_for_timeout(300)
        heading = page.locator(link.get_attribute("href") or "").bounding_box()
        assert heading is not None
        assert -1 < heading["y"] < 1000, link.inner_text()


@pytest.mark.parametrize("name", PAGES)
def test_paper_has_what_is_folded_and_all_columns(name: str, open_page: Open) -> None:
    page = open_page(name)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 1050, "height": 800})  # A4, landscape
    tables = page.locator("table, tbody tr").all()
    assert all(table.is_visible() for table in tables)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1050
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"


#: What stands before a table or a figure on paper, and may be the last thing on a page.
LONELY = """[...document.querySelectorAll("h2, h3, h4, summary, .legend")]
  .filter((words) => getComputedStyle(words).breakAfter !== "avoid")
  .map((words) => words.textContent)"""


@pytest.mark.parametrize("name", PAGES)
def test_no_heading_ends_a_page_of_paper(name: str, open_page: Open) -> None:
    page = open_page(name)
    page.emulate_media(media="print")
    assert page.evaluate(LONELY) == []


#: The fields of verdicts on paper whose text of one word, or heading, is broken within.
TORN = """[...document.querySelectorAll(".verdicts > thead th, .verdicts > tbody > tr > .number")]
  .filter((field) => {
    const range = new Range();
    range.selectNodeContents(field);
    const tops = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
    return field.textContent.trim().split(/[ ,]+/).length < 2 && tops.size > 1;
  }).map((field) => field.textContent)"""


@pytest.mark.parametrize("name", ["matrix", "verification"])
def test_no_number_of_a_verdict_is_broken_on_paper(name: str, open_page: Open) -> None:
    page = open_page(name)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1050, "height": 800})
    assert page.evaluate(TORN) == []


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


def test_times_with_intervals_are_sorted_by_their_units_in_both_orders(open_page: Open) -> None:
    times = ("1.20 [1.10, 1.30] ms", "71.2 [70.0, 72.5] µs", "–", "900 µs")
    table = Table(
        title="Times", columns=(Column("time", numeric=True),), rows=tuple(map(row, times))
    )
    page = open_page("matrix")
    page.set_content(html.tables_page("Times", [table]))
    page.locator("th button").click()
    assert page.locator("tbody td").all_inner_texts() == [times[1], times[3], times[0], times[2]]
    page.locator("th button").click()
    assert page.locator("tbody td").all_inner_texts() == [times[0], times[3], times[1], times[2]]
    assert page.locator("th").get_attribute("aria-sort") == "descending"


def test_numbers_with_separators_are_sorted_and_only_the_last_column_says_so(
    open_page: Open,
) -> None:
    lines = (("b", "1,200/s"), ("c", "900/s"), ("a", "10,000/s"), ("d", "2,000/s"))
    table = Table(
        title="Rates",
        columns=(Column("cell"), Column("rate", numeric=True)),
        rows=tuple(row(*texts) for texts in lines),
    )
    page = open_page("matrix")
    page.set_content(html.tables_page("Rates", [table]))
    for name, cells in (("cell", ["a", "b", "c", "d"]), ("rate", ["c", "b", "d", "a"])):
        page.locator("th button", has_text=name).click()
        assert page.locator("tbody td:first-child").all_inner_texts() == cells
        assert page.locator("th[aria-sort]").all_inner_texts() == [name]


def test_what_is_not_known_is_sorted_last(open_page: Open) -> None:
    results = drifting()
    cells = tuple(
        cell.model_copy(update={"serving_memory_bytes": number % 3 * 10**6 or None})
        for number, cell in enumerate(results.cells)
    )
    page = open_page("matrix")
    source = html.run_page(results.model_copy(update={"cells": cells}), html.Evidence())
    page.set_content(source)
    table = page.locator("section:has(#costs) table")
    table.locator("th:nth-child(4) button").click()
    texts = table.locator("td:nth-child(4)").all_inner_texts()
    assert 0 < texts.count("–") < len(texts)
    assert texts == sorted(texts, key="–".__eq__)


def test_the_worst_line_can_be_put_first(open_page: Open) -> None:
    page = open_page("verification")
    page.select_option("select[name=order]", "worst")
    lines = page.locator("tr[data-verdict]")
    badness = [float(line.get_attribute("data-badness")) for line in lines.all()]
    assert badness == sorted(badness, reverse=True)
    assert lines.first.get_attribute("data-verdict") == "drift"


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
