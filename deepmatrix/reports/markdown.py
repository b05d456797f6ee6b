"""Results as Markdown, good as a job summary of GitHub Actions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepmatrix.boundary.opening import open_plain
from deepmatrix.boundary.writing import write_named
from deepmatrix.config.documents import did_you_mean
from deepmatrix.drawing.escaping import markdown as escape
from deepmatrix.drawing.escaping import markdown_code, markdown_prose
from deepmatrix.drawing.layout import Table
from deepmatrix.errors import ArgumentError
from deepmatrix.reports import unfinished
from deepmatrix.reports.tables import result_tables
from deepmatrix.reports.tables.own_models import headlines, overview
from deepmatrix.results import remarks
from deepmatrix.results.rows import Results

#: A job summary of GitHub Actions may have 1 MiB; a larger one fails to upload.
LONGEST = 1_000_000

#: Of more models than this the verdicts are counted, not listed.
MANY_MODELS = 20

#: What a report says of its run: its title the kind, before the name, and its last line the preset.
TITLE, PRESET = re.compile("#+ ([^`\n]*[^`\n ])"), re.compile("<sub>preset `([^`]+)`")

#: Where another document takes the report. The first mark may name tables,
#: ``<!-- report: Cells; Portability: digits-conv -->``: then it takes only these.
BEGIN, END = re.compile("<!-- report(?:: ([^\n]*?))? -->"), "<!-- /report -->"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a page has between its marks: the title of a report, without a run's name, its preset.

    Both are empty where it has no report, and the preset where the report names none.
    """

    title: str = ""
    preset: str = ""


def document(results: Results, titles: Sequence[str] = ()) -> str:
    """Return the report with all tables, or only those with these *titles*.

    It is cut, and says so, where it is too long for a job summary.

    Raises:
        ArgumentError: there is no table of such a title.
    """
    tables = select(result_tables(results), titles)
    first = [table for table in tables if table.title == overview.TITLE]
    parts = [
        f"# {results.kind} {markdown_code(results.run)}",
        *map(markdown_table, first),
        *_headlines(results),
        _verdict(results),
        *(markdown_table(table) for table in tables if table not in first),
    ]
    parts += [_list("Expected failures", results.findings)] if results.findings else []
    parts += [_list("Warnings", results.warnings)] if results.warnings else []
    parts.append(
        f"<sub>preset {markdown_code(results.preset)}, seed {results.seed}, "
        f"deepmatrix {escape(results.version)}, "
        f"{escape(results.created[:19])} UTC{_engines(results)}</sub>"
    )
    return cut("\n\n".join(parts) + "\n")


def cut(text: str) -> str:
    """Return a page, cut at the end of a line where it is too long for a job summary."""
    if len(text.encode()) <= LONGEST:
        return text
    start = text.encode()[:LONGEST].decode(errors="ignore")
    return start.rsplit("\n", 1)[0] + "\n\n(cut: see results.json for the rest)\n"


def shown_in(path: Path) -> Shown:
    """Return what a Markdown file has between its marks; without any it has nothing.

    Raises:
        ArgumentError: it cannot be read, or has marks that are not as `filled` needs them.
    """
    text = _read(path)
    if not BEGIN.search(text) and END not in text:
        return Shown()
    report = text[_begin(path, text).end() : text.index(END)]
    title, preset = TITLE.match(report.lstrip()), PRESET.search(report)
    return Shown(title=title[1] if title else "", preset=preset[1] if preset else "")


def insert(path: Path, page: Callable[[Sequence[str]], str]) -> None:
    """Replace the text between the marks of a Markdown file. See `filled`."""
    write_named(path, filled(path, page))


def filled(path: Path, page: Callable[[Sequence[str]], str]) -> str:
    """Return a Markdown file with the text between its marks replaced by a page with a title.

    *page* is called with the titles that the first mark names, empty for all tables.

    Raises:
        ArgumentError: it cannot be read, or the marks are not there, once each and in their order.
    """
    text = _read(path)
    begin = _begin(path, text)
    titles = [title.strip() for title in (begin[1] or "").split(";") if title.strip()]
    report = page(titles).replace("\n#", "\n##").replace("# ", "### ", 1)
    before, after = text[: begin.end()], text[text.index(END) :]
    return f"{before}\n\n{report}\n{after}"


def _begin(path: Path, text: str) -> re.Match[str]:
    """Return the first mark of a page. Raises ArgumentError where its marks are not in place."""
    begins = list(BEGIN.finditer(text))
    if len(begins) != 1 or text.count(END) != 1 or text.index(END) < begins[0].end():
        raise ArgumentError(
            f"{path} must have one place for a report",
            hint=f"write <!-- report --> and {END} into it, once",
        )
    return begins[0]


def _read(path: Path) -> str:
    try:
        with open_plain(path) as file:
            return file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start})",
            hint="save it as UTF-8; it is unchanged",
        ) from None
    except OSError as error:
        raise ArgumentError(
            f"{path} cannot be read: {error.strerror}", hint="name a page that you may read"
        ) from None


def select(tables: list[Table], titles: Sequence[str]) -> list[Table]:
    """Return the tables of these titles, all where there are none.

    Raises ArgumentError for a title that no table has.
    """
    known_titles = [table.title for table in tables]
    for title in titles:
        if title not in known_titles:
            raise ArgumentError(f"there is no table '{title}'{did_you_mean(title, known_titles)}")
    return [table for table in tables if not titles or table.title in titles]


def _headlines(results: Results) -> Iterator[str]:
    """Yield, for each of a user's own models, its verdict and what judges it.

    Many models are counted only.
    """
    models = results.served_models
    if len(models) > 1:
        yield f"{overview.line(results)[0]}."
    for model in models if len(models) <= MANY_MODELS else ():
        verdict, _ = headlines.headline(results, model)
        judge = headlines.judge_line(model)
        yield f"**{escape(verdict)}**. {escape(judge[:1].upper() + judge[1:])}."


def _verdict(results: Results) -> str:
    if not results.problems:
        return f"**{unfinished.expectation(results).capitalize()}.**"
    lines = [f"**{len(results.problems)} not as expected:**", ""]
    problems = remarks.worst_first(results.portability, results.problems)
    return "\n".join([*lines, *(f"- {escape(problem)}" for problem in problems)])


def _list(title: str, sentences: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {escape(sentence)}" for sentence in sentences)])


def markdown_table(table: Table) -> str:
    """Return a table with its title and note."""
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    titles = [escape(title) for title in table.titles]
    lines = [[escape(text) for text in row.texts] for row in table.rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in (titles, rule, *lines))
    return f"## {escape(table.title)}\n\n{text}\n\n{markdown_prose(table.legend())}".rstrip()


def _engines(results: Results) -> str:
    """Name the engines, if any ran; results.json has all their facts."""
    names = {
        f"{facts.get('product') or facts.get('engine', '')} {facts.get('version', '')}".strip()
        for facts in results.engines.values()
    }
    return f"; {escape(', '.join(sorted(names)))}" if names else ""
