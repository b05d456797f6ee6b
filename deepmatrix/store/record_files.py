"""The files of a run's records: ``records/CELL/SUBJECT/rROUND.json``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: The name of a record's file, with its round.
ROUND: Final = re.compile(r"r(\d{1,9})\.json")


def record_files(path: Path) -> Iterator[str]:
    """Yield the record files of a run directory in order, without holding all names.

    Names, not paths: making 100,000 `Path` takes as long as reading the files.
    """
    root = path / "records"
    if not root.is_dir():
        return
    for cell in _folders(root):
        for subject in _folders(cell):
            rounds = filter(None, map(ROUND.fullmatch, os.listdir(subject.path)))
            for match in sorted(rounds, key=lambda match: int(match[1])):
                yield f"{subject.path}/{match[0]}"


def _folders(path: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    entries = [entry for entry in os.scandir(path) if entry.is_dir()]
    return sorted(entries, key=lambda entry: entry.name)


def place_of(path: str | Path) -> tuple[str, str, str]:
    """Return the cell, the subject and the name of a record's file."""
    *_, cell, subject, name = str(path).replace(os.sep, "/").split("/")
    return cell, subject, name
