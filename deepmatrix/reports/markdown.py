"""Results as Markdown, good as a job summary of GitHub Actions."""

from __future__ import annotations

from collections.abc import Sequence

from deepmatrix.config.documents import did_you_mean
from deepmatrix.errors import ArgumentError
from deepmatrix.reports.layout import Table
from deepmatrix.reports.tables import tables
from deepmatrix.results.rows import Results

#: A job summary of GitHub Actions may have 1 MiB; a larger one fails to upload.
LONGEST = 1_000_000


def document(results: Results, titles: Sequence[str] = ()) -> str:
    """Return the report, cut with a note where it is too long for a job summary.

    Where tables are named by their *titles* it has these only.

    Raises:
        ArgumentError: there is no table of such a title.
    """
    parts = [f"# Matrix `{results.run}`", _verdict(results)]
    parts += [markdown_table(table) for table in _chosen(tables(results), titles)]
    parts += [_list("Known to fail", results.findings)] if results.findings else []
    parts += [_list("Less than certain", results.warnings)] if results.warnings else []
    parts.append(
        f"<sub>preset `{results.preset}`, seed {results.seed}, deepmatrix {results.version}, "
        f"{results.created[:19]} UTC; {_engines(results)}</sub>"
    )
    text = "\n\n".join(parts) + "\n"
    if len(text.encode()) <= LONGEST:
        return text
    kept = text.encode()[:LONGEST].decode(errors="ignore")
    return kept.rsplit("\n", 1)[0] + "\n\n(cut: see results.json for the rest)\n"


def _chosen(found: list[Table], titles: Sequence[str]) -> list[Table]:
    known = [table.title for table in found]
    for title in titles:
        if title not in known:
            raise ArgumentError(f"there is no table '{title}'{did_you_mean(title, known)}")
    return [table for table in found if not titles or table.title in titles]


def _verdict(results: Results) -> str:
    if not results.problems:
        return "**All as expected.**"
    lines = [f"**{len(results.problems)} not as expected:**", ""]
    return "\n".join([*lines, *(f"- {_escape(problem)}" for problem in results.problems)])


def _list(title: str, sentences: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {_escape(one)}" for one in sentences)])


def markdown_table(table: Table) -> str:
    """Return a table with its title and note."""
    rule = ["---:" if index in table.numeric else "---" for index in range(len(table.columns))]
    lines = [table.columns, rule, *(row.texts for row in table.rows)]
    drawn = "\n".join("| " + " | ".join(_escape(text) for text in line) + " |" for line in lines)
    return f"## {table.title}\n\n{drawn}\n\n{table.note}".rstrip()


def _engines(results: Results) -> str:
    """Name the engines; the rest of their facts, host details among them, is in results.json."""
    said = [
        " ".join(facts[key] for key in ("engine", "product", "version") if facts.get(key))
        for facts in results.engines.values()
    ]
    return _escape(", ".join(sorted(set(said))))


def _escape(text: str) -> str:
    escaped = text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
    return escaped.replace("](", "]\\(")  # a cause is a cell's word: no image, no link
