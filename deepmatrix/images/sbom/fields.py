"""The format of Debian's and Python's metadata: paragraphs of ``Name: value``, as in mail."""

from __future__ import annotations

from collections.abc import Iterator

Paragraph = dict[str, list[str]]
"""The values of each field, by its name in lower case. A value may have several lines."""


def paragraphs(text: str) -> Iterator[Paragraph]:
    """Yield the paragraphs of a text; a line that belongs to no field is skipped."""
    paragraph: Paragraph = {}
    values: list[str] = []
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if not line.strip():
            if paragraph:
                yield paragraph
            paragraph, values = {}, []
        elif line[0] in " \t":
            if values:
                values[-1] += f"\n{line.strip()}"
        elif colon:
            values = paragraph.setdefault(name.strip().lower(), [])
            values.append(value.strip())
    if paragraph:
        yield paragraph


def first(paragraph: Paragraph, name: str) -> str:
    """Return the first line of a field's first value; empty where there is none."""
    return paragraph.get(name, [""])[0].partition("\n")[0].strip()
