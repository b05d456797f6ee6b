"""Selection: the cells that a preset, globs and tags choose."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from deepmatrix.config.cell_globs import nearest
from deepmatrix.config.documents import did_you_mean
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Preset
from deepmatrix.errors import ArgumentError
from deepmatrix.invocation import command_line
from deepmatrix.planning.cells import Cell, all_cells
from deepmatrix.planning.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What the user wants: a preset, changed by globs on cell ids and by tags.

    With *native* no model is served by a cell that runs emulated. *threads*: the numbers of threads
    that native cells also have, instead of the preset's.
    """

    preset: str = "default"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    native: bool = False
    threads: tuple[int, ...] = ()


def match_globs(ids: Iterable[str], globs: Iterable[str]) -> list[str]:
    """Return the ids that match any of the globs, in their order."""
    matches = _matcher(globs)
    return [cell_id for cell_id in ids if matches(cell_id)]


def check_globs(
    ids: Sequence[str],
    globs: Iterable[str],
    *,
    suggested: Iterable[str] = (),
    hint: str = f"`{command_line('plan', '--preset', 'full')}` lists all cells",
) -> None:
    """Raise ArgumentError for the first glob that matches none of the ids.

    The id that it may have meant is one of *suggested*, where one of these is near; they are not
    looked at before.
    """
    for glob in globs:
        if not fnmatch.filter(ids, glob):
            cell_id = nearest(glob, list(suggested)) or nearest(glob, ids)
            suggestion = f"; did you mean '{cell_id}'?" if cell_id else ""
            raise ArgumentError(f"'{glob}' matches no cell{suggestion}", hint=hint)


def find_preset(matrix: Matrix, name: str) -> Preset:
    """Return a preset by its name. Raises ArgumentError where there is none."""
    if name not in matrix.presets:
        raise ArgumentError(f"no preset '{name}'{did_you_mean(name, matrix.presets)}")
    return matrix.presets[name]


def select_cells(matrix: Matrix, selection: Selection, suggested: Iterable[str] = ()) -> list[Cell]:
    """Return the cells that a selection chooses, excluded ones included.

    Globs replace the preset's cells and its *without*. They may name cells that the preset does
    not have. *suggested*: see `check_globs`.

    Raises:
        ArgumentError: a preset, glob or tag that matches nothing.
    """
    preset = find_preset(matrix, selection.preset)
    cells = list(all_cells(matrix))
    globs = (*selection.include, *selection.exclude)
    check_globs([cell.id for cell in cells], globs, suggested=suggested)
    known = {tag for cell in cells for tag in cell.tags}
    for tag in selection.tags:
        if tag not in known:
            raise ArgumentError(
                f"no cell has the tag '{tag}'{did_you_mean(tag, known)}",
                hint="a tag is a system, role, base, architecture, device, or one of an entry's "
                "`tags`",
            )
    is_included = _matcher(selection.include or preset.cells)
    is_excluded = _matcher(selection.exclude)
    without = frozenset() if selection.include else frozenset(preset.without)
    chosen = [
        cell
        for cell in cells
        if is_included(cell.id)
        and not is_excluded(cell.id)
        and cell.tags.issuperset(selection.tags)
        and cell.tags.isdisjoint(without)
    ]
    if not chosen:
        raise ArgumentError(
            "the selection leaves no cell: none matches all globs and tags",
            hint="exclude fewer cells, or try a wider glob",
        )
    return chosen


def covers(plan: Plan, selected: Iterable[Cell]) -> bool:
    """Return whether a plan has all of some cells; one that is skipped, with the reason, counts."""
    cells = [
        *(cell for cell in plan.cells if cell.serves),
        *(skipped.cell for skipped in plan.skipped),
    ]
    return {cell.plain.id for cell in cells}.issuperset(cell.id for cell in selected)


def _matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that tells whether a text matches any of some globs, compiled once."""
    patterns = [re.compile(fnmatch.translate(glob)) for glob in globs]
    return lambda text: any(pattern.match(text) for pattern in patterns)
