"""What others wrote stays text in every table and report, whatever it holds."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import BaseModel
from rich.console import Console

from deepmatrix import reports
from deepmatrix.conformance.suite import Conformity
from deepmatrix.drawing import escaping
from deepmatrix.drawing.console import print_table
from deepmatrix.drawing.layout import Column, Table, row
from deepmatrix.drawing.terminal import Terminal, print_line
from deepmatrix.reports import junit, markdown
from deepmatrix.reports.comment import MARKER
from deepmatrix.reports.review import Review
from deepmatrix.results.rows import Results
from tests.unit import verifications
from tests.unit.test_widths import whole_results

HOSTILE = (
    "[/bold]",
    "\x1b[2J\x1b]0;title\x07",
    "ok\nFAKE LINE",
    "\r✓ all as expected",
    "\u202egnp.x\u2066",
    "a|b`c`<script>alert(1)</script>",
    "![x](http://example.org/x.png) [y](javascript:1) <http://example.org>",
    "*a* _b_ **c** ~~d~~ $e$ \\",
    "# heading",
    "- [ ] item",
    "[x]: http://example.org",
    "\udcff\x00\ufffe",
    "]]>&amp;&#60;",
    "http://example.org www.example.org",
    "@octocat a@example.org owner/name#1 GH-2",
)
#: Any text, and pieces of markup in any order.
TEXTS = st.one_of(
    st.text(st.characters(codec=None), max_size=40),
    st.lists(st.sampled_from([*HOSTILE, *"*_[]()<>`|\\~#-+=.:/!&;@1a \n"]), max_size=8).map(
        "".join
    ),
)
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
#: What a report of ours has of Markdown itself; anything else came out of somebody's text.
OURS = {"heading", "paragraph", "inline", "text", "softbreak", "bullet_list", "list_item"}
OURS |= {"table", "thead", "tbody", "tr", "th", "td", "strong", "code_inline", "text_special"}

every_text = pytest.mark.parametrize("text", HOSTILE)


def tokens(text: str) -> Iterator[Token]:
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


def kinds(text: str) -> set[str]:
    return {token.type.removesuffix("_open").removesuffix("_close") for token in tokens(text)}


def content(text: str) -> str:
    return "".join(token.content for token in tokens(text) if token.type == "text")


#: What GitHub, and here what Markdown became, reads as a mention or a link to an issue.
REFERENCE = re.compile(r"@[^\W_]|#\d|\bGH-\d", re.IGNORECASE)


def seen(text: str) -> str:
    """Return what a reader of Markdown should see of a text: spaces count as one."""
    lines = text.replace("\N{NO-BREAK SPACE}", " ").split("\n")
    return re.sub(" +", " ", " ".join(map(escaping.terminal, lines))).strip()


def controls(text: str) -> set[str]:
    return {character for character in text if escaping.terminal(character) != character}


def console(width: int = 200) -> Console:
    return Console(file=io.StringIO(), width=width, no_color=True)


def printed(output: Console) -> str:
    return output.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@given(TEXTS)
def test_a_line_of_a_terminal_has_no_control_character(text: str) -> None:
    shown = escaping.terminal(text)
    assert shown.isprintable() or not controls(shown)
    assert escaping.terminal(shown) == shown
    shown.encode()


@given(TEXTS)
@example("1. a")
@example("a_b __c__ _d")
@example("- [x] done")
def test_markdown_shows_a_text_as_it_is(text: str) -> None:
    for page in (f"- {escaping.markdown(text)}", f"| {escaping.markdown(text)} |\n| --- |\n"):
        assert kinds(page) <= OURS - {"strong", "code_inline"}
        shown = content(page).replace("\N{ZERO WIDTH SPACE}", "")  # which only we write
        assert re.sub(" +", " ", shown).strip() == seen(text)


@given(TEXTS)
@example("@octocat, a@example.org")
@example("owner/name#12 and #3, gh-4")
def test_markdown_mentions_nobody_and_links_no_issue(text: str) -> None:
    for page in (escaping.markdown(text), escaping.markdown_prose(text.replace("`", ""))):
        assert not REFERENCE.search(content(page))


@given(TEXTS)
def test_a_span_of_code_is_one_span(text: str) -> None:
    page = f"# Run {escaping.markdown_code(text)} ended"
    (span,) = (token for token in tokens(page) if token.type == "code_inline")
    assert span.content.strip() == escaping.terminal(text).strip()
    assert kinds(page) == {"heading", "inline", "text", "code_inline"}


@given(TEXTS)
def test_html_has_no_element_of_somebody_elses(text: str) -> None:
    tags: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            tags.append(tag)
            assert dict(attrs) == {"title": escaping.terminal_lines(text)}

    Parser().feed(f'<p title="{escaping.html(text)}">{escaping.html(text)}</p>')
    assert tags == ["p"]


@given(TEXTS)
def test_xml_can_be_parsed(text: str) -> None:
    element = ET.Element("testcase", name=escaping.xml(text))
    element.text = escaping.xml(text)
    ET.fromstring(ET.tostring(element, encoding="unicode"))
    assert controls(escaping.xml(text)) <= {"\n"}


@given(TEXTS)
def test_an_annotation_is_one_command(text: str) -> None:
    line = f"::error title={escaping.annotation_property(text)}::{escaping.annotation(text)}"
    assert len(line.splitlines()) == 1
    properties, _, message = line.removeprefix("::error ").partition("::")
    assert "," not in properties
    decoded = message.replace("%0A", "\n").replace("%25", "%")
    assert decoded == escaping.terminal_lines(text)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_what_an_output_cannot_hold_becomes_a_plain_character(encoding: str) -> None:
    ours = "✓ ✗ 3× 5 µs … – · • → ↳ ± ─ ▰▱ ≠ ⊘ ○"
    shown = escaping.encodable(ours, encoding)
    assert shown.encode(encoding).decode(encoding) == shown
    assert len(shown) == len(ours)
    assert "?" not in shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@every_text
def test_a_terminal_of_any_encoding_prints_any_text(encoding: str, text: str) -> None:
    buffer = io.BytesIO()
    with io.TextIOWrapper(buffer, encoding=encoding) as file:
        print_line(Terminal(file=file, width=40), f"✗ {text}")
        file.flush()
        assert not controls(buffer.getvalue().decode(encoding).replace("\n", ""))


@given(TEXTS, TEXTS, st.integers(10, 120))
@settings(max_examples=50)
def test_every_table_keeps_its_lines(name: str, reason: str, width: int) -> None:
    columns = (Column("cell", key=True), Column("bytes", numeric=True), Column("why", below=True))
    table = Table(title=name, columns=columns, rows=(row(name, "12", reason),))
    output = console(width)
    print_table(output, table)
    assert not controls(printed(output).replace("\n", ""))
    page = markdown.markdown_table(table)
    assert kinds(page) <= OURS - {"strong"}
    assert sum(token.type == "tr_open" for token in tokens(page)) == 2


def poisoned(value: Any, poison: str) -> Any:
    """Return results whose every text ends with something hostile, keys too."""
    match value:
        case BaseModel():
            names = type(value).model_fields
            plain = {name for name in names if not _is_text(type(value), name)}
            return value.model_copy(
                update={
                    name: poisoned(getattr(value, name), poison) for name in names.keys() - plain
                }
            )
        case str():
            return value + poison
        case tuple():
            return tuple(poisoned(item, poison) for item in value)
        case dict():
            return {poisoned(k, poison): poisoned(item, poison) for k, item in value.items()}
    return value


def _is_text(model: type[BaseModel], name: str) -> bool:
    """Return whether a field holds texts of others: no word of ours, no time."""
    annotation = str(model.model_fields[name].annotation)
    return "Literal" not in annotation and name != "created"


@pytest.mark.parametrize("make", [whole_results, verifications.results])
@every_text
def test_no_text_of_others_breaks_a_report(make: Any, text: str) -> None:
    results: Results = poisoned(make(), text)
    output = console()
    reports.show(output, results, all_tables=True)
    assert not controls(printed(output).replace("\n", ""))
    assert "\nFAKE LINE" not in printed(output)
    page = markdown.document(results)
    page.encode()
    assert kinds(re.sub("</?sub>", "", page)) <= OURS
    ET.fromstring(junit.document(results))
    review = Review(runs=(results,))
    for page in (reports.comment_page(review), reports.summary_page(review)):
        page.encode()
        marker, _, rest = page.partition("\n")
        assert marker == MARKER
        assert kinds(re.sub("</?sub>", "", rest)) <= OURS
    for line in reports.annotation_lines(review):
        assert line.startswith("::error ")
        assert not controls(line)


@every_text
def test_no_text_of_a_suite_breaks_its_page(text: str) -> None:
    text = text.encode(errors="replace").decode()  # a file of a run is UTF-8
    conformity = Conformity.model_validate(
        {
            "cell": "onnx-debian12-amd64-cpu",
            "versions": {"onnx": text},
            "suite": "onnx 1",
            "passed": 3,
            "failed": {f"test_{text}": {"ending": "error", "reason": text}},
            "skipped": {},
        }
    )
    output = console()
    reports.show_conformance(output, [conformity])
    assert not controls(printed(output).replace("\n", ""))
    page = reports.conformance_page(text, [conformity])
    assert kinds(page) <= OURS
