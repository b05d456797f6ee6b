"""Programs of the frameworks' folders in the harness: which idioms and which probes are written."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from deepmatrix.paths import HARNESS

#: Files of a framework's folder that are not part of its idioms.
SUPPORT = ("__init__", "proof")


@cache
def idiom_files() -> dict[tuple[str, str], Path]:
    """Return the file of each idiom, by (network, framework)."""
    return {
        (path.stem.replace("_", "-"), path.parents[1].name): path
        for path in sorted(HARNESS.glob("frameworks/*/idioms/*.py"))
        if path.stem not in SUPPORT
    }


def available_idioms() -> set[tuple[str, str]]:
    """Return all idioms, as (network, framework); every network has the size ``small``."""
    return {(f"{network}-small", framework) for network, framework in idiom_files()}


def available_probes() -> set[str]:
    """Return the packages that have probes, such as ``harness.frameworks.torch``."""
    parent = HARNESS.parent
    files = HARNESS.glob("frameworks/*/probes.py")
    return {".".join(path.parent.relative_to(parent).parts) for path in files}
