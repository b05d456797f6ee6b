"""Comparing sizes: images, exported models, peak memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deepmatrix.comparison.changes import SizeChange
from deepmatrix.results.rows import Results

#: By quantity: a size that changed by a smaller share is the same. Memory varies between rounds.
SAME_WITHIN: Mapping[str, float] = {"image": 0.01, "artifact": 0.01, "memory": 0.10}

Key = tuple[str, str, str]


def compare_sizes(
    base: Results, head: Results, same_within: Mapping[str, float] = SAME_WITHIN
) -> list[SizeChange]:
    """Return the sizes that grew or shrank by a share of their quantity, the largest growth first.

    Memory counts only where both sides measured it in the same way.
    """
    before, after = sizes_of(base), sizes_of(head)
    sources = [{row.cell: row.memory_source for row in side.cells} for side in (base, head)]
    changes = [
        SizeChange.model_validate(
            {
                "quantity": key[0],
                "cell": key[1],
                "subject": key[2],
                "base": before[key],
                "head": after[key],
            }
        )
        for key in sorted(before.keys() & after.keys())
        if key[0] != "memory" or sources[0].get(key[1]) == sources[1].get(key[1])
    ]
    shown = [change for change in changes if _differs(change, same_within[change.quantity])]
    return sorted(shown, key=lambda change: -change.ratio)


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
