"""Choosing: which models of a user are served, on which cells, and why not the others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from deepmatrix.cli.own_models.refusing import NothingServed
from deepmatrix.config.matrix import Matrix
from deepmatrix.errors import ArgumentError
from deepmatrix.models import files
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.model_plan import First, find_unserved
from deepmatrix.planning.selection import Selection

#: Why each of some paths is not served.
Reasons = dict[Path, ArgumentError]


def first(options: argparse.Namespace) -> First:
    """Return the role of the first model. Raises ArgumentError where options give it two."""
    if options.original and options.same:
        raise ArgumentError("--original and --same cannot be combined", hint="leave one out")
    return "original" if options.original else "same" if options.same else "served"


def check_sweep(options: argparse.Namespace) -> None:
    """Raise ArgumentError for options that exclude each other."""
    if options.isa and options.native:
        raise ArgumentError(
            "--isa and --native cannot be combined: other instruction sets run emulated",
            hint="leave one out; --only chooses the cells that serve on each instruction set",
        )


def selection(options: argparse.Namespace) -> Selection:
    """Return the cells that the user selected."""
    include, exclude = tuple(options.only), tuple(options.exclude)
    return Selection(include=include, exclude=exclude, native=options.native)


def recognise(options: argparse.Namespace) -> tuple[list[files.Model], Reasons]:
    """Return the models that the user named, and why other paths are none.

    Raises NothingServed where none is a model, or not all that are compared with the first.
    """
    paths = [*([options.original] if options.original else []), *options.models]
    root = options.config.parent if options.config else Path()
    own_models, refused = files.recognise_each(paths, options.beside, root)
    _check_served(own_models, refused, options)
    return own_models, refused


def split_served(
    own_models: Sequence[files.Model],
    refused: Reasons,
    options: argparse.Namespace,
    matrix: Matrix,
    able: Capabilities,
) -> tuple[list[files.Model], Reasons]:
    """Return the models that a selected cell serves where it is *able*, *refused* with the others.

    Raises NothingServed where none is served, or not all that are compared with the first.
    """
    named = [(str(model.path), model.format, model.main) for model in own_models]
    role = first(options)
    unserved = find_unserved(matrix, named, selection(options), able, first=role, isas=options.isa)
    served = [model for model in own_models if str(model.path) not in unserved]
    reasons = {Path(path): error for path, error in unserved.items()}
    _check_served(served, refused | reasons, options)
    return served, refused | reasons


def _check_served(
    served: Sequence[files.Model], refused: Reasons, options: argparse.Namespace
) -> None:
    if refused and (not served or first(options) != "served"):
        raise NothingServed(refused)
