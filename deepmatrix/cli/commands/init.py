"""``init``: write a project's file for one's own models."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from deepmatrix.boundary.writing import write_named
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.errors import ArgumentError
from deepmatrix.invocation import command_line
from deepmatrix.models import project
from deepmatrix.models.formats import format_of
from deepmatrix.paths import RUNS

#: At most so many files are looked at, and so many models listed.
MOST_FILES, MOST_MODELS = 10_000, 20

#: How deep models are looked for below the current folder.
DEPTH = 3

HEAD = """\
# What `{command}` verifies. Paths start at this file's folder.
version: 1

# Cells for all models: globs on their ids, as `{plan}` lists them.
# only: ["*-amd64-cpu"]
# exclude: ["*-arm64-*"]
# native: true  # leave out what runs emulated

# Images that another machine has built and pushed are pulled instead of built.
# images: {{registry: registry.example.org/deepmatrix}}

models:
"""

EXAMPLES = """\
    # Inputs: .npz, .npy, folders of them, or a Python function that returns a dict of arrays.
    # inputs: [inputs.npz]
    # inputs: ["my_inputs:make"]
    # reference: outputs.npz  # the right outputs for these inputs
    # Without inputs, samples are drawn; say what they look like:
    # shapes: ["x=1x3x224x224", "batch=4"]
    # ranges: ["x=0:255"]
    # original: float32.onnx  # the model that this one was quantised from
    # repeats: 100            # find answers that differ only sometimes
    # Budgets: exceeding one fails the verification.
    # max_p99: 5ms
    # max_error: 1.0e-5
    # max_image: 500MB
    # What is allowed of an error, instead of what follows from the model's precision.
    # tolerances:
    #   - {error: 1.0e-2, cells: "openvino_default-*", outputs: logits, reason: bfloat16 is fine}
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "models",
        nargs="*",
        type=Path,
        metavar="MODEL",
        help="models to list; by default those below the current folder",
    )


def run(options: argparse.Namespace) -> None:
    """Write ``deepmatrix.yaml`` into the current folder, with every key explained.

    Raises:
        ArgumentError: the file is there already, or there is nothing to list.
    """
    if project.FILE.exists():
        raise ArgumentError(
            f"{project.FILE} is there already", hint="edit it, or move it away to get a new one"
        )
    models = [path for path in options.models if format_of(path)] or list(_models(Path()))
    if not models:
        raise ArgumentError(
            "there is no model below this folder",
            hint=f"name one: {command_line('init', 'model.onnx')}",
        )
    write_named(project.FILE, document(models))
    console = make_console()
    for model in models:
        print_line(console, f"• {model}", wrap=False)
    print_line(console, f"written: {project.FILE}; next: {command_line('verify')}", "green")


def document(models: list[Path]) -> str:
    """Return the text of a project's file; the first model has every key as a comment."""
    head = HEAD.format(command=command_line("verify"), plan=command_line("plan"))
    entries = [f"  - model: {json.dumps(path.as_posix(), ensure_ascii=False)}\n" for path in models]
    entries.insert(1, EXAMPLES)
    return head + "".join(entries)


def _models(folder: Path) -> Iterator[Path]:
    """Yield what is recognised as a model below a folder."""
    levels = itertools.chain.from_iterable(
        folder.glob("/".join(["*"] * depth)) for depth in range(1, DEPTH + 1)
    )
    paths = itertools.islice(levels, MOST_FILES)
    return itertools.islice(_recognised(paths), MOST_MODELS)


def _recognised(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the models among paths, but not what lies inside one."""
    listed: set[Path] = set()
    for path in paths:
        is_hidden = any(part.startswith(".") or part == RUNS.name for part in path.parts)
        if is_hidden or not listed.isdisjoint(path.parents):
            continue
        with contextlib.suppress(ArgumentError, OSError):
            format_of(path)
            listed.add(path)
            yield path
