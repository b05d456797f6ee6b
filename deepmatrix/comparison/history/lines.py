"""The history of measurements: newline-delimited JSON, a line a measurement, beside the runs."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from deepmatrix.boundary.bounds import Count, Id, Line, Remark
from deepmatrix.boundary.files import describe
from deepmatrix.boundary.opening import is_there, open_plain
from deepmatrix.boundary.writing import append_bytes, replacing
from deepmatrix.comparison.sizes import sizes_of
from deepmatrix.comparison.times import times_of
from deepmatrix.config import documents
from deepmatrix.errors import RecordError
from deepmatrix.machine import locks
from deepmatrix.results.rows import CellRow, Results
from deepmatrix.results.timing.rows import Row
from deepmatrix.results.timing.statistics import Estimate
from deepmatrix.sizes import binary_size

#: The file's name, in the folder of the runs.
FILE = "history.ndjson"

#: 1: first version.
HISTORY_SCHEMA = 1


#: Errors beyond are of outputs that have nothing to do with the right ones; no plot shows them.
LARGEST = 1e30

#: Bytes of a line, which holds a few texts; and of a history that is read, a line at a time.
LONGEST_LINE, LARGEST_FILE = 2**20, 128 * 2**20

#: Lines of a history that is read: each takes two kilobytes of memory, however short it is.
MOST_LINES = 250_000

Reading = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]


class Measurement(Row):
    """One line: one number of one run.

    *series*: what is measured, the same in every run: ``cell/subject/quantity/batch``. *value*, in
    *unit*, with the interval of a time; None for a verdict without an error. *machine*: processor,
    engine and CPUs, and whether checked work ran beside; times of two machines are no series, nor
    sizes of two kinds of *engine*.
    *created*: ISO 8601, UTC.
    """

    schema_version: int = HISTORY_SCHEMA
    run: Id
    created: Remark
    version: Id
    series: Line
    cell: Id
    cell_version: Line = ""
    subject: Line = ""
    quantity: Id
    batch: Count = 0
    unit: Literal["s", "bytes", "1"]
    value: Reading | None
    low: Reading | None = None
    high: Reading | None = None
    rounds: Count = 0
    verdict: Id = ""
    machine: Line = ""
    engine: Id = ""


_MEASUREMENT = TypeAdapter(Measurement)


def schema() -> str:
    """Return the JSON Schema of a line, as published in the repository."""
    return documents.json_schema(Measurement, "deepmatrix history: one line", written=True)


def measurements(results: Results) -> Iterator[Measurement]:
    """Yield every number of a run that has a history: native times, sizes, errors.

    What the run took over from another one is in the history already.
    """
    cells = {row.cell: row for row in results.cells}
    machines = {(row.cell, row.machine): row for cell in results.cells for row in cell.by_machine()}
    times, repeated = times_of(results), _repeated(results)
    for (quantity, cell, machine, subject, batch), estimate in times.estimates.items():
        if (cell, subject) in repeated:
            continue
        title = times.titles.get(subject, subject)
        there = {cell: machines.get((cell, machine), cells[cell])}
        yield _measurement(results, there, cell, title, quantity, batch, "s", estimate)
    for (size, cell, subject), count in sizes_of(results).items():
        yield _measurement(results, cells, cell, subject, size, 0, "bytes", float(count))
    for judged in results.portability:
        if not judged.judges and (judged.consumer, judged.artifact) not in repeated:
            error = judged.error if judged.error is not None and judged.error <= LARGEST else None
            line = _measurement(
                results, cells, judged.consumer, judged.title, "error", 0, "1", error
            )
            yield line.model_copy(update={"verdict": judged.verdict})


def _repeated(results: Results) -> set[tuple[str, str]]:
    """Return the cells and subjects of which a run measured nothing itself."""
    reused, anew = (
        {
            (job.split("--", 1)[0], job.split("--", 1)[1].rpartition("--")[0])
            for jobs in reasons.values()
            for job in jobs
        }
        for reasons in (results.reused, results.anew)
    )
    return reused - anew


def _measurement(
    results: Results,
    cells: dict[str, CellRow],
    cell: str,
    subject: str,
    quantity: str,
    batch: int,
    unit: Literal["s", "bytes", "1"],
    value: Estimate | float | None,
) -> Measurement:
    row = cells.get(cell)
    measured = value if isinstance(value, Estimate) else None
    names = [cell, subject, quantity, str(batch) if batch else ""]
    return Measurement(
        run=results.run,
        created=results.created,
        version=results.version,
        series="/".join(name for name in names if name),
        cell=cell,
        cell_version=row.version if row else "",
        subject=subject,
        quantity=quantity,
        batch=batch,
        unit=unit,
        value=measured.median if isinstance(value, Estimate) and measured else value,
        low=measured.low if measured else None,
        high=measured.high if measured else None,
        rounds=measured.rounds if measured else 0,
        machine=_machine(row, beside=results.beside) if row else "",
        engine=row.engine if row else "",
    )


def _machine(row: CellRow, *, beside: bool) -> str:
    """Return what a time is of; *beside*: other work may have run beside what was timed."""
    facts = [str(row.environment.get("processor") or ""), row.engine]
    cpus = row.environment.get("cpus")
    facts += [f"{cpus} CPUs" if cpus else "", "beside checked work" if beside else ""]
    return ", ".join(filter(None, facts))


def append(
    parent: Path, results: Results, when_waiting: Callable[[Path], None] = lambda _: None
) -> None:
    """Add the measurements of a run to the history of a folder of runs.

    A run that is merged again replaces its lines. Where another process is adding its own, this
    one waits for it; *when_waiting* is then told which file both add to. The lines of other runs
    stay as they are, even damaged ones.

    Raises:
        RecordError: something else is in the place of the history, or of its lock; or the lock is
            held for too long.
    """
    path = parent / FILE
    added = "".join(f"{line.model_dump_json()}\n" for line in measurements(results)).encode()
    mark = f'"run":{json.dumps(results.run, ensure_ascii=False)},'.encode()
    lock = locks.lock(parent / f".{FILE}.lock", lambda: when_waiting(path))
    with lock, _opened(path) as earlier:
        if not any(mark in part for part in _parts(earlier)):
            append_bytes(path, added)
            return
        earlier.seek(0)
        with replacing(path) as file:
            file.writelines(_without_lines(_parts(earlier), mark))
            file.write(added)


def _opened(path: Path) -> IO[bytes]:
    """Open a history to read it, nothing where there is none. Raises RecordError."""
    try:
        return open_plain(path, follow=False)
    except FileNotFoundError:
        return io.BytesIO()
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> RecordError:
    return RecordError(
        f"{path}: the history cannot be used: {error.strerror}",
        hint="move away what is there; `merge` adds a run's lines again",
    )


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a history, and a damaged longer one in parts."""
    while part := file.readline(LONGEST_LINE):
        yield part


def _without_lines(parts: Iterator[bytes], mark: bytes) -> Iterator[bytes]:
    """Yield the lines without *mark*, the last one with an end."""
    last = b"\n"
    for part in parts:
        if mark not in part:
            yield part
            last = part
    if not last.endswith(b"\n"):
        yield b"\n"


def read(path: Path) -> list[Measurement]:
    """Return all measurements, the oldest run first.

    Raises:
        RecordError: there is no history, it is empty or too large, or a line of it is damaged.
    """
    if not is_there(path):
        raise RecordError(
            f"no history: {path} is not there", hint="every run adds to it; make one first"
        )
    with _opened(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST_FILE:
            raise _too_long(path, binary_size(LARGEST_FILE))
        parts = list(islice(_parts(file), MOST_LINES + 1))
        if len(parts) > MOST_LINES:
            raise _too_long(path, f"{MOST_LINES} lines")
        lines = [_measurement_of(path, *numbered) for numbered in enumerate(parts, 1)]
    if not lines:
        raise RecordError(
            f"no measurements yet: {path} is empty",
            hint="every run that serves or trains a model adds to it",
        )
    return sorted(lines, key=lambda line: line.created)


def _too_long(path: Path, bound: str) -> RecordError:
    return RecordError(
        f"{path} has more than {bound}", hint="move its first lines to a file elsewhere"
    )


def _measurement_of(path: Path, number: int, line: bytes) -> Measurement:
    try:
        return _MEASUREMENT.validate_json(line)
    except ValidationError as error:
        raise RecordError(
            f"{path}:{number}: the line is damaged: {describe(error)}",
            hint="remove the line; `merge` adds a run's lines again",
        ) from None
