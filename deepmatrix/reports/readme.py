"""The report of a run inside another document, between two marks.

The first mark may name tables, ``<!-- report: Cells; Portability: digits-conv -->``: then there
are only these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from deepmatrix.boundary.files import write_text
from deepmatrix.errors import ArgumentError

BEGIN, END = re.compile("<!-- report(?:: ([^\n]*?))? -->"), "<!-- /report -->"


def insert(path: Path, page: Callable[[Sequence[str]], str]) -> None:
    """Replace the text between the marks of a Markdown file by a page with a title.

    *page* is called with the titles that the first mark names, empty for all tables.

    Raises:
        ArgumentError: it cannot be read, or the marks are not there, once each and in their order.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start})",
            hint="save it as UTF-8; it is unchanged",
        ) from None
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror}") from None
    begins = list(BEGIN.finditer(text))
    if len(begins) != 1 or text.count(END) != 1 or text.index(END) < begins[0].end():
        raise ArgumentError(
            f"{path} must have one place for a report",
            hint=f"write <!-- report --> and {END} into it, once",
        )
    titles = [title.strip() for title in (begins[0][1] or "").split(";") if title.strip()]
    report = page(titles).replace("\n#", "\n##").replace("# ", "### ", 1)
    before, after = text[: begins[0].end()], text[text.index(END) :]
    write_text(path, f"{before}\n\n{report}\n{after}")
