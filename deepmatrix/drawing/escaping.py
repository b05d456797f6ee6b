"""What others wrote, shown as text and nothing else: one function for each target.

Names, versions, reasons and notes come from cells, models and files. They must not move a cursor,
end a line, turn text around, or become markup.
"""

from __future__ import annotations

import html as standard_html
import re
import unicodedata

#: Categories of characters that are not seen, or that change what is: control characters, formats
#: (bidirectional ones too), halves of surrogate pairs, separators of lines and paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

#: Characters that XML 1.0 cannot hold at all.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Symbols of our own, each with what stands for it where the output cannot hold it. One character
#: each, so that columns stay in line.
_PLAIN = str.maketrans(
    {
        "✓": "+",
        "✗": "x",
        "×": "x",
        "…": ".",
        "–": "-",
        "—": "-",
        "·": "-",
        "•": "*",
        "→": ">",
        "↳": ">",
        "µ": "u",
        "±": "~",
        "─": "-",
        "━": "-",
        "╸": "-",
        "╺": "-",
        "▰": "#",
        "●": "*",
        "│": "|",
        "┤": "|",
        "├": "|",
        "┼": "+",
        "┬": "+",
        "┴": "+",
        "┌": "+",
        "┐": "+",
        "└": "+",
        "┘": "+",
        "▱": ".",
        "≠": "!",
        "⊘": "o",
        "○": "o",
        **dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True)),
        "\N{NO-BREAK SPACE}": " ",
    }
)

#: What Markdown reads as markup wherever it stands.
_MARKUP = re.compile(r"[\\`*~$|]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")

#: Where it reads markup at the begin of a block: a heading, a rule, a list, a box to tick.
_BLOCK = re.compile(r"^(?:\d{0,9}(?=[#=+.)-](?!\w))|(?=\[))")

#: What GitHub turns into a link.
_ADDRESS = re.compile(r"://|\bwww\.", re.IGNORECASE)

#: Where it begins to mention somebody, or to link an issue: it reads the page that Markdown became,
#: so that a backslash does not help, and a space without width does.
_REFERENCE = re.compile(r"(?<=@)(?=[^\W_])|(?<=#)(?=\d)|(?<=\bGH-)(?=\d)", re.IGNORECASE)
_NO_WIDTH = "&#8203;"


def terminal(text: str) -> str:
    r"""Return a text for one line of a terminal: what is not seen becomes ``\x1b``."""
    return "".join(map(_seen, text)) if not text.isascii() or not text.isprintable() else text


def terminal_lines(text: str) -> str:
    """Return a text of several lines for a terminal."""
    return "\n".join(terminal(line) for line in text.split("\n"))


def encodable(text: str, encoding: str) -> str:
    """Return a text in the characters that an output of this encoding can hold."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    return text


def markdown(text: str) -> str:
    """Return a text for one line, or one cell of a table, of GitHub's Markdown."""
    return _BLOCK.sub(r"\g<0>\\", _inline(text.strip(" \n\N{NO-BREAK SPACE}")))


def markdown_prose(text: str) -> str:
    """Return our own words, which may quote `code` and names of others, for GitHub's Markdown."""
    parts = re.split("`([^`]*)`", text)  # outside and inside of code, in turn
    return "".join(
        markdown_code(part) if number % 2 else _inline(part) for number, part in enumerate(parts)
    )


def markdown_code(text: str) -> str:
    """Return a text as a span of code, for anywhere but a table."""
    line = terminal(text).strip() or " "
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"{fence}{line}{fence}"


def html(text: str) -> str:
    """Return a text for an HTML page, good for an attribute's value too."""
    return standard_html.escape(terminal_lines(text))


def xml(text: str) -> str:
    """Return a text that XML can hold; what writes the document escapes its markup."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", terminal_lines(text))


def annotation(text: str) -> str:
    """Return a message for a command of GitHub Actions, such as ``::error::MESSAGE``."""
    return terminal_lines(text).replace("%", "%25").replace("\n", "%0A")


def annotation_property(text: str) -> str:
    """Return the value of a property of such a command, as in ``::error title=VALUE::``."""
    return annotation(text).replace(":", "%3A").replace(",", "%2C")


def _inline(text: str) -> str:
    """Return a text for the middle of a line of Markdown."""
    line = " ".join(terminal(part) for part in text.replace("\N{NO-BREAK SPACE}", " ").split("\n"))
    escaped = standard_html.escape(_MARKUP.sub(r"\\\g<0>", line), quote=False)
    return _REFERENCE.sub(_NO_WIDTH, _ADDRESS.sub(_broken_address, escaped))


def _seen(character: str) -> str:
    if unicodedata.category(character) in _UNSEEN:
        return character.encode("unicode_escape").decode("ascii")
    return character


def _broken_address(match: re.Match[str]) -> str:
    return match[0].replace("/", "\\/").replace(".", "\\.")
