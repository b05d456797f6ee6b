"""The report of a run inside another document, between two marks."""

from __future__ import annotations

from pathlib import Path

from matrix.errors import ArgumentError
from matrix.runs import write_text

BEGIN, END = "<!-- report -->", "<!-- /report -->"


def insert(path: Path, page: str) -> None:
    """Replace what stands between the marks of a Markdown file by a page with a title.

    Raises:
        ArgumentError: the marks are not there, once each and in their order.
    """
    text = path.read_text(encoding="utf-8")
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended or BEGIN in rest or END in after:
        raise ArgumentError(
            f"{path} has no one place for a report", hint=f"write {BEGIN} and {END} into it, once"
        )
    report = page.replace("\n#", "\n##").replace("# ", "### ", 1)
    write_text(path, f"{before}{BEGIN}\n\n{report}\n{END}{after}")
