"""A run's manifest, ``plan.json``: its plan and the matrix file, and what must hold between them.

Cells, models and workloads name files and folders of the run: each name is checked before it is
used. A run may come from somebody else.
"""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from deepmatrix import __version__
from deepmatrix.boundary.bounds import Id, Line, relative_path
from deepmatrix.boundary.files import Damaged, describe, read_json
from deepmatrix.config.families import FAMILIES
from deepmatrix.config.matrix import Matrix
from deepmatrix.errors import ArgumentError
from deepmatrix.paths import RUN_NAME
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Plan
from deepmatrix.workloads import networks
from harness.formats import FORMATS
from harness.record import PHASES

#: 1: first version. 2: cells hold their ``system``; ``known`` is ``expected_failures``, ``stated``
#: ``overrides``, ``patience`` ``deadline_factor``.
RUN_SCHEMA: Final = 2

#: Bytes of a plan: one of all cells has less than one million.
LARGEST: Final = 64 << 20

#: What the user can do where a plan is unreadable, and where another version wrote it.
DAMAGED: Final = "without its plan a run cannot go on: start a new one"
OTHER_VERSION: Final = "use the version that wrote it, or start a new run"

_NAME: Final = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*")
_VERSION: Final = re.compile(r"\d+\.\d+")

#: Characters of a name that is part of an id.
LONGEST_NAME: Final = 60

#: Characters before the name of a producer by which two runs are told apart, as in ``base-``.
LONGEST_MARK: Final = 5


class Manifest(BaseModel):
    """The plan of a run and the matrix file's content: enough to finish it without that file."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    schema_version: Literal[2] = RUN_SCHEMA
    id: Id
    created: Line
    version: Line
    plan: Plan
    matrix: Matrix
    #: The run beside it whose records it takes over, where the same would make them.
    reuse: Id = ""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if problem := next(_problems(self), None):
            raise ValueError(problem)
        return self


class _Written(BaseModel):
    """What every version of a manifest says of itself."""

    schema_version: int = Field(ge=0, le=1_000_000)
    version: Line


_WRITTEN = TypeAdapter(_Written)
_MANIFEST = TypeAdapter(Manifest)


def new_manifest(
    plan: Plan, matrix: Matrix, *, version: str, name: str = "", reuse: str = ""
) -> Manifest:
    """Return the manifest of a run that starts now; without a *name* it is called by the time.

    Raises ArgumentError where the plan is too large, or has what no run may have.
    """
    if plan.oversize:
        raise ArgumentError(
            f"the plan is too large: {plan.oversize}",
            hint="select fewer cells or models, or lower the rounds of the preset",
        )
    now = datetime.datetime.now(datetime.UTC)
    try:
        return Manifest(
            id=name or f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
            created=now.isoformat(),
            version=version,
            plan=plan,
            matrix=matrix,
            reuse=reuse,
        )
    except ValidationError as error:
        raise ArgumentError(
            f"no run can be made of this: {describe(error)}",
            hint="give what it names another name, a shorter one perhaps",
        ) from None


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a run. Raises Damaged, also where another version wrote it."""
    written = read_json(path, _WRITTEN, largest=LARGEST, hint=DAMAGED)
    if written.schema_version != RUN_SCHEMA:
        raise Damaged(
            path,
            f"a run of schema {written.schema_version}, written by deepmatrix "
            f"{written.version}; this version reads schema {RUN_SCHEMA}",
            hint=OTHER_VERSION,
        )
    hint = DAMAGED if written.version == __version__ else OTHER_VERSION
    return read_json(path, _MANIFEST, largest=LARGEST, hint=hint)


def _problems(manifest: Manifest) -> Iterator[str]:
    """Yield what cannot be: names that leave the run, and names that point at nothing."""
    plan, workloads = manifest.plan, manifest.matrix.workloads
    if plan.oversize:
        yield f"plan: {plan.oversize}"
    if not RUN_NAME.fullmatch(manifest.id):
        yield f"'{manifest.id}' cannot name a run"
    if manifest.reuse and not RUN_NAME.fullmatch(manifest.reuse):
        yield f"reuse: '{manifest.reuse}' cannot name a run"
    ids = [cell.id for cell in plan.cells]
    if len(set(ids)) < len(ids):
        yield "plan.cells: two cells have one id"
    for cell in (*plan.cells, *(skipped.cell for skipped in plan.skipped)):
        yield from _problems_of_cell(cell, manifest.matrix)
    if len(set(plan.workloads)) < len(plan.workloads):
        yield "plan.workloads: one is there twice"
    yield from _missing("plan.workloads", plan.workloads, workloads)
    yield from _missing("plan.phases", plan.phases, PHASES)
    for name, workload in workloads.items():
        yield from _missing(f"matrix.workloads.{name}", [workload.network], networks.NETWORKS)
    yield from _problems_of_imports(plan, {*ids})
    yield from _problems_of_kept(plan, {*ids})


def _problems_of_cell(cell: Cell, matrix: Matrix) -> Iterator[str]:
    isa = [cell.isa] if cell.isa else []
    for name in (cell.name, cell.base, cell.architecture, *isa):
        yield from _unfit("plan.cells", name)
    if not _VERSION.fullmatch(cell.python):
        yield f"plan.cells: '{cell.python[:100]}' is no version of Python"
    yield from _missing("plan.cells", [cell.architecture], matrix.architectures)
    yield from _missing("plan.cells", [cell.device], ("cpu", "cuda"))
    yield from _missing("plan.cells", [cell.family], FAMILIES)


def _problems_of_imports(plan: Plan, cell_ids: Container[str]) -> Iterator[str]:
    names = [model.name for model in plan.imports]
    if len(set(names)) < len(names):
        yield "plan.imports: two models have one name"
    if plan.imports and plan.workloads:
        yield "plan.imports: a run has models or workloads, not both"
    if (plan.same or plan.original) and not plan.imports:
        yield "plan.imports: there is no model to compare others with"
    for model in plan.imports:
        yield from _unfit("plan.imports", model.name)
        yield from _missing("plan.imports", [model.format], FORMATS)
        yield from _missing("plan.imports", [model.cell], cell_ids)
        try:
            relative_path(model.file)
        except ValueError as error:
            yield f"plan.imports: {model.file[:100]!r}: {error}"


def _problems_of_kept(plan: Plan, cell_ids: Container[str]) -> Iterator[str]:
    artifacts = [kept.artifact for kept in plan.kept]
    if len({artifact.id for artifact in artifacts}) < len(artifacts):
        yield "plan.kept: one artifact is there twice"
    if plan.kept and (plan.imports or plan.workloads):
        yield "plan.kept: a run has artifacts of earlier runs, or makes its own, not both"
    for kept in plan.kept:
        yield from _unfit("plan.kept", kept.artifact.workload)
        yield from _unfit("plan.kept", kept.artifact.producer, LONGEST_NAME + LONGEST_MARK)
        yield from _missing("plan.kept", [kept.artifact.format], FORMATS)
        yield from _missing("plan.kept", kept.consumers, cell_ids)


def _unfit(place: str, name: str, longest: int = LONGEST_NAME) -> Iterator[str]:
    if not _NAME.fullmatch(name) or len(name) > longest:
        yield f"{place}: {name[:100]!r} cannot be part of an id"


def _missing(place: str, names: Iterable[str], known: Container[str]) -> Iterator[str]:
    """Yield a line for each name that is not known."""
    for name in names:
        if name not in known:
            yield f"{place}: there is no {name[:100]!r}"
