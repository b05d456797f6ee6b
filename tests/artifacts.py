"""What GitHub's actions do with the files that jobs leave for later ones, on a folder."""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path


def upload(store: Path, folder: Path, given: Mapping[str, str]) -> int:
    """Do `actions/upload-artifact` 7; return its exit code.

    The files keep their paths below what all patterns have in common before their first wildcard.
    """
    patterns = [folder / line.strip() for line in given["path"].splitlines() if line.strip()]
    files = sorted({path for pattern in patterns for path in _files(pattern)})
    if not files:
        return int(given.get("if-no-files-found") == "error")
    root = Path(os.path.commonpath([_plain_part(pattern) for pattern in patterns]))
    root = root.parent if root.is_file() else root
    for path in files:
        target = store / given["name"] / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return 0


def download(store: Path, folder: Path, given: Mapping[str, str]) -> int:
    """Do `actions/download-artifact` 8; return its exit code.

    Each artifact gets a folder of its name, but not where there is only one.
    """
    name, pattern = given.get("name", ""), given.get("pattern", "*")
    stored = {path.name: path for path in sorted(store.glob("*"))}
    found = [name] if name else fnmatch.filter(stored, pattern)
    if name and name not in stored:
        return 1
    is_flat = name or given.get("merge-multiple") == "True" or len(found) == 1
    for artifact in found:
        target = folder / given["path"] / ("" if is_flat else artifact)
        shutil.copytree(stored[artifact], target, dirs_exist_ok=True)
    return 0


def upload_pages(store: Path, folder: Path, given: Mapping[str, str]) -> int:
    """Do `actions/upload-pages-artifact` 4, whose artifact is the site; return its exit code."""
    return upload(store, folder, {"name": "github-pages", "if-no-files-found": "error", **given})


def _plain_part(pattern: Path) -> Path:
    """Return the part of a pattern before its first wildcard."""
    while any("*" in part for part in pattern.parts):
        pattern = pattern.parent
    return pattern


def _files(pattern: Path) -> Iterator[Path]:
    """Yield the files that match a pattern, or are below what does."""
    root = _plain_part(pattern)
    rest = str(pattern.relative_to(root))
    for path in root.glob(rest) if "*" in rest else [root]:
        yield from (below for below in [path, *path.rglob("*")] if below.is_file())
