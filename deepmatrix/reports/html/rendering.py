"""Rendering: templates become pages that hold everything, and let nothing in.

Each page has a Content-Security-Policy that allows its own style and script, by their hashes, and
nothing else: no request leaves it, and markup that got past the escaping would not run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deepmatrix import __version__
from deepmatrix.drawing import escaping, numbers
from deepmatrix.drawing.layout import shortened
from deepmatrix.reports.html.evidence import Evidence, source_links

#: A longer text of others takes a few lines of its own, in which it is scrolled.
LONGEST_NAME = 800

#: A title that leads to where all of it stands is cut to this.
LONGEST_TITLE = 160


def render(template: str, runs: Mapping[str, Evidence], **values: Any) -> str:
    """Return a page made by a template. *runs*: what the sources of its tables are found by."""
    environment = _environment()
    style, script = (Markup(_source(name)) for name in ("style.css", "script.js"))
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(
        **values, runs=runs, style=style, script=script, policy=Markup(policy), version=__version__
    )


def load_templates() -> None:
    """Compile all templates, which takes a tenth of a second; pages are then made without it."""
    environment = _environment()
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("deepmatrix.reports.html"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["numbers"] = numbers
    environment.globals["source_links"] = source_links
    environment.globals["shortened"] = shortened
    environment.globals["longest"] = LONGEST_NAME
    environment.globals["longest_title"] = LONGEST_TITLE
    return environment


@cache
def _source(name: str) -> str:
    """Return a file beside the templates, as it is: our own style and script."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _visible(value: Any) -> Any:
    """Return a text with what is not seen made visible; escaping of markup comes after."""
    if type(value) is not str or (value.isascii() and value.isprintable()):
        return value
    return escaping.terminal_lines(value)


def _digest(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
