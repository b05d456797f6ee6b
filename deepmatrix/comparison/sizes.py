"""Comparing sizes: images, exported models, peak memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deepmatrix.comparison.changes import SizeChange
from deepmatrix.results.rows import CellRow, Results

#: By quantity: a size that changed by a smaller share is the same. Memory varies between rounds.
SAME_WITHIN: Mapping[str, float] = {"image": 0.01, "artifact": 0.01, "memory": 0.10}

Key = tuple[str, str, str]


def compare_sizes(
    base: Results, head: Results, same_within: Mapping[str, float] = SAME_WITHIN
) -> list[SizeChange]:
    """Return the sizes that grew or shrank by a share of their quantity, the largest growth first.

    Images and memory count only where both sides measured them in the same way.
    """
    before, after = sizes_of(base), sizes_of(head)
    ways = [
        {(quantity, row.cell): way for row in side.cells for quantity, way in _ways(row).items()}
        for side in (base, head)
    ]
    jobs = [{row.cell: row.serving_memory_job for row in side.cells} for side in (base, head)]
    changes = [
        SizeChange.model_validate(
            {
                "quantity": key[0],
                "cell": key[1],
                "subject": key[2],
                "base": before[key],
                "head": after[key],
                **(_measured_in(key[1], jobs) if key[0] == "memory" else {}),
            }
        )
        for key in sorted(before.keys() & after.keys())
        if ways[0].get(key[:2]) == ways[1].get(key[:2])
    ]
    shown = [change for change in changes if _differs(change, same_within[change.quantity])]
    return sorted(shown, key=lambda change: -change.ratio)


def _measured_in(cell: str, jobs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {f"{side}_job": of[cell] for side, of in zip(("base", "head"), jobs, strict=True)}


def _ways(row: CellRow) -> dict[str, tuple[object, ...]]:
    """Return how the sizes of a cell were measured, by quantity.

    A container image and a virtual environment are different things. The files of an image that was
    just built are not in the system's cache: the control group that reads them first pays for them.
    """
    is_first_to_read = row.memory_source.startswith("cgroup") and row.build_s is not None
    return {"image": (row.engine,), "memory": (row.memory_source, is_first_to_read)}


def _differs(change: SizeChange, share: float) -> bool:
    is_alike = 1 / (1 + share) < change.ratio < 1 + share
    return change.base != change.head and not is_alike


def sizes_of(results: Results) -> dict[Key, int]:
    """Return the sizes that are known, in bytes, none zero."""
    return {key: size for key, size in _all_sizes(results) if size}


def _all_sizes(results: Results) -> Iterator[tuple[Key, int | None]]:
    for row in results.cells:
        yield ("image", row.cell, ""), row.image_bytes
    for row, model, peak in results.memory():
        if not row.emulated:
            yield ("memory", row.cell, model), peak
    for exported in results.exports:
        yield ("artifact", exported.cell, f"{exported.workload}, {exported.format}"), exported.bytes
