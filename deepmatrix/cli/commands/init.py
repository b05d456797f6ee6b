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

#: How deep models are looked for: in the current folder, and in folders below it.
DEPTH = 3

HEAD = """\
# What `{command}` verifies. Paths start at this file's folder.
version: 1

# Cells for all models: those that `{plan}` lists, or fewer.
# native: true  # leave out what runs emulated
# exclude: ["*-arm64-*"]
# Or only these cells of all there are, the optional ones too: globs on their ids.
# only: ["onnxruntime-debian12-amd64-cpu", "openvino*-debian12-amd64-cpu"]

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
    console = make_console()
    named = [path for path in options.models if format_of(path)]
    all_models = _distinct(named or _models(Path()))
    wanted = all_models if named else all_models[:MOST_MODELS]
    models = [path for path in wanted if project.can_name(path)]
    for path in wanted:
        if path not in models:
            line = f"{path}: left out, as the file cannot name it; rename it"
            print_line(console, line, "yellow", wrap=False)
    if wanted and not models:
        raise ArgumentError(
            f"the file can name none of the {len(wanted)} models here", hint="rename them"
        )
    if not models:
        raise ArgumentError(
            f"there is no model in this folder and up to {DEPTH - 1} folders below it",
            hint=f"name one: {command_line('init', 'model.onnx')}",
        )
    write_named(project.FILE, document(models))
    for model in models:
        print_line(console, f"• {model}", wrap=False)
    if len(wanted) < len(all_models):
        line = f"there are more models than these {MOST_MODELS}: add them to {project.FILE}"
        print_line(console, line, "yellow", wrap=False)
    print_line(console, f"written: {project.FILE}; next: {command_line('verify')}", "green")


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """Return paths without those that lead to where an earlier one leads."""
    first: dict[Path, Path] = {}
    for path in paths:
        first.setdefault(path.resolve(), path)
    return list(first.values())


def document(models: list[Path]) -> str:
    """Return the text of a project's file; the first model has every key as a comment."""
    head = HEAD.format(command=command_line("verify"), plan=command_line("plan"))
    entries = [f"  - model: {_quoted(path.as_posix())}\n" for path in models]
    entries.insert(1, EXAMPLES)
    return head + "".join(entries)


def _quoted(text: str) -> str:
    """Return text in quotes, as YAML reads it; what cannot be printed is escaped."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(x if x.isprintable() else f"\\U{ord(x):08x}" for x in quoted)


def _models(folder: Path) -> Iterator[Path]:
    """Yield what is recognised as a model below a folder, one more than is listed at most."""
    levels = itertools.chain.from_iterable(
        folder.glob("/".join(["*"] * depth)) for depth in range(1, DEPTH + 1)
    )
    paths = itertools.islice(levels, MOST_FILES)
    in_order = sorted(paths, key=lambda path: (len(path.parts), path))
    return itertools.islice(_recognised(in_order), MOST_MODELS + 1)


def _recognised(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the models among paths, but not what lies inside one, nor behind a linked folder."""
    listed: set[Path] = set()
    for path in paths:
        is_hidden = any(part.startswith(".") or part == RUNS.name for part in path.parts)
        is_hidden = is_hidden or any(folder.is_symlink() for folder in path.parents)
        if is_hidden or not listed.isdisjoint(path.parents):
            continue
        with contextlib.suppress(ArgumentError, OSError):
            format_of(path)
            listed.add(path)
            yield path
