"""The commands that write files of this repository, one module each.

In come parsed options; out go pages, lock files and published schemas. Every module has
``add_options``, which declares its options, and ``run``, whose docstring is the command's help.
"""

from __future__ import annotations

from deepmatrix.errors import ArgumentError


def check_docstrings() -> None:
    """Raise ArgumentError where Python drops docstrings: what is made of them would lose them."""
    if __doc__ is None:
        raise ArgumentError(
            "this is made of docstrings, and this Python drops them",
            hint="run it without -OO and without PYTHONOPTIMIZE=2",
        )
