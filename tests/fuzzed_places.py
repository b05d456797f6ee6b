"""What may lie where a file should be: a pipe, a folder, a link; and names that are no text."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console

from deepmatrix import reports
from deepmatrix.comparison.history import lines
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store.runs import Run
from tests.fuzzing import SPECIAL, Reader

#: Names of files as Latin-1, a byte a character: bytes that are no UTF-8, controls, markup.
NAMES = ("x.json", "\xff.json", "\xe2\x80\xae.json", "\x1b[31m.json", "[bold]\n.json", "\xff\xfe",
         "r0.json", "x.json.7.part", ".json", "\xc3\xa9.json")  # fmt: skip

FOLDERS = ("builds", "engines", "records/c", "records/\xff/s", "causes/x", "nodes", "inputs")


def put(path: Path, content: bytes) -> None:
    """Write a file, or put what a special content stands for in its place."""
    clear(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = SPECIAL.get(content)
    if kind is None:
        path.write_bytes(content)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        (path / "inner").mkdir(parents=True)
    else:
        path.symlink_to("nothing")


def clear(path: Path) -> None:
    """Remove what is at a path, whatever it is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def writer(path: Path, read: Callable[[], object]) -> Callable[[bytes], object]:
    """Return what puts a content at a path and then reads it."""

    def write_and_read(content: bytes) -> object:
        put(path, content)
        return read()

    return write_and_read


def place_readers(folder: Path, run: Run) -> Iterator[Reader]:
    """Yield the readers of further files in a run, and of the history that a run is added to."""
    folder.mkdir()
    document = {"folder": "builds", "name": "x.json", "content": '{"engine": "docker"}'}
    schema = {
        "type": "object",
        "required": list(document),
        "properties": {
            "folder": {"enum": list(FOLDERS)},
            "name": {"enum": list(NAMES)},
            "content": {"enum": ["{", "{}", '{"engine": "docker"}', "pipe", "folder", "link"]},
        },
    }
    yield Reader(
        "a further file of a run", [document], schema, lambda content: _read_further(run, content)
    )
    results = merging.merge([run])
    measured = [json.loads(line.model_dump_json()) for line in lines.measurements(results)]
    yield Reader(
        "the history that is added to", measured[:20], TypeAdapter(lines.Measurement).json_schema(),
        writer(folder / lines.FILE, lambda: _append(folder, results)),
    )  # fmt: skip


def _append(folder: Path, results: Results) -> None:
    lines.append(folder, results)
    added = sum(1 for _ in lines.measurements(results))
    content = (folder / lines.FILE).read_bytes()
    assert content.count(f'"run":"{results.run}"'.encode()) >= added, "a measurement is lost"
    lines.read(folder / lines.FILE)


def _read_further(run: Run, content: bytes) -> None:
    """Report a run in which lies a further file, as a document says."""
    document = _document(content)
    place = _place(run.path, document.get("folder"), document.get("name"))
    if place is None:
        return
    before = {path for path in run.path.rglob("*") if path.is_dir()}
    kept = place.read_bytes() if place.is_file() else None
    text = document.get("content")
    special = {kind: mark for mark, kind in SPECIAL.items()}
    put(place, special.get(str(text), str(text).encode("utf-8", "replace")))
    try:
        opened = Run.open(run.path)
        merged = merging.merge([opened])
        reports.write(opened, merged)
        reports.show(Console(file=io.StringIO(), width=160), merged)
    finally:
        clear(place)
        if kept is not None:
            place.write_bytes(kept)
        for path in {path for path in run.path.rglob("*") if path.is_dir()} - before:
            shutil.rmtree(path, ignore_errors=True)


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _place(run: Path, folder: object, name: object) -> Path | None:
    """Return where a further file lies, None where no file can lie."""
    if folder not in FOLDERS or name not in NAMES:
        return None
    return run / os.fsdecode(f"{folder}/{name}".encode("latin-1"))
