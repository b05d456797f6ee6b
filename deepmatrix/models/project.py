"""``deepmatrix.yaml``: a user's own models, with their inputs, tolerances and budgets.

In: the file. Out: `Project`, whose paths are relative to the file's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import Field, PositiveFloat, ValidationError

from deepmatrix.config import documents
from deepmatrix.config.documents import Problem, Section, Text
from deepmatrix.config.sections import Images
from harness.formats import MODEL_PATHS

#: The name of the file.
FILE = Path("deepmatrix.yaml")

#: A model's file, in examples.
EXAMPLE = next(iter(MODEL_PATHS.values()))


class Tolerance(Section):
    """What is allowed of an error, and why, instead of what follows from the model's precision.

    *cells* and *outputs* are globs. The first tolerance that matches counts.
    """

    error: PositiveFloat = Field(examples=[0.01])
    reason: Text = Field(examples=["bfloat16 is fine here"])
    cells: Text = "*"
    outputs: Text = "*"


class Entry(Section):
    """One model, with all that `verify` can be told of it; the keys are those of its options."""

    model: Text = Field(examples=[EXAMPLE])
    inputs: tuple[Text, ...] = ()
    reference: Text | None = None
    original: Text | None = None
    shapes: tuple[Text, ...] = ()
    ranges: tuple[Text, ...] = ()
    only: tuple[Text, ...] = ()
    exclude: tuple[Text, ...] = ()
    repeats: int | None = Field(default=None, ge=2, le=100_000, examples=[100])
    max_p99: Text | None = None
    max_error: PositiveFloat | None = Field(default=None, examples=[0.00001])
    max_image: Text | None = None
    tolerances: tuple[Tolerance, ...] = ()


class Project(Section):
    """The whole file. *only* and *exclude* hold for every model, beside its own.

    *images* replaces that of the matrix file.
    """

    version: int = Field(ge=1, le=1, examples=[1])
    only: tuple[Text, ...] = ()
    exclude: tuple[Text, ...] = ()
    native: bool = False
    images: Images | None = None
    models: tuple[Entry, ...] = Field(min_length=1, examples=[[{"model": EXAMPLE}]])


def load(path: Path, check: Callable[[Project], Iterable[Problem]]) -> Project:
    """Load and check a project's file; *check* yields what its form does not tell.

    Raises:
        ArgumentError: the file is not there.
        ConfigError: it is wrong; one line a problem, each ``path:line:column: what``.
    """
    return documents.load(path, Project, check)


def can_name(path: Path) -> bool:
    """Return whether the file can name a model: on one line, in UTF-8."""
    try:
        Entry(model=path.as_posix())
    except ValidationError:
        return False
    return True


def schema() -> str:
    """Return the JSON Schema of the file, as published in the repository."""
    return documents.json_schema(Project, "deepmatrix project file")
