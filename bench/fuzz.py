"""Fuzz every reader of files with inputs made from their schemas.

    nox -s benchmark -- fuzz [--inputs 100000] [--only READER ...] [--seed 0] [--longest 10]

The inputs are spread over the readers, and over all CPUs. A reader returns a result or raises one
clear error. Anything else is a fault: the input is written to ``fuzz-faults/``, and the exit code
is 1. An input that takes longer, twice, is a fault, and so is more than a gigabyte
of memory in a process.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402

from tests.fuzzed_readers import all_readers, is_clear  # noqa: E402
from tests.fuzzing import Reader, inputs  # noqa: E402

#: An input that takes longer is a hang, in seconds; all memory that a process may have had.
LONGEST_S = 10
MOST_BYTES = 2**30

#: Inputs made in one go: hypothesis remembers all of them until the end.
BATCH = 500

#: The readers of this process, by name.
READERS: dict[str, Reader] = {}


class Hang(BaseException):
    """A reader took too long."""


@dataclass
class Tally:
    """What the inputs of one reader led to."""

    inputs: int = 0
    errors: int = 0
    slowest_s: float = 0.0
    hangs: int = 0
    faults: dict[str, bytes] = field(default_factory=dict)

    def attempt(self, reader: Reader, content: bytes, longest_s: int) -> None:
        """Read one input; a hang is tried again, for a busy machine may be the reason."""
        self.inputs += 1
        for is_last in (False, True):
            began = time.perf_counter()
            signal.alarm(longest_s)
            try:
                reader.read(content)
            except Hang:
                if is_last:
                    self.hangs += 1
                    self.faults.setdefault("a hang", content)
                continue
            except Exception as error:
                self.errors += 1
                if not is_clear(error):
                    self.faults.setdefault(_place(error), content)
            finally:
                signal.alarm(0)
            self.slowest_s = max(self.slowest_s, time.perf_counter() - began)
            return

    def add(self, part: Tally) -> None:
        """Add what other inputs of the same reader led to."""
        self.inputs += part.inputs
        self.errors += part.errors
        self.hangs += part.hangs
        self.slowest_s = max(self.slowest_s, part.slowest_s)
        self.faults = {**part.faults, **self.faults}


def _place(error: Exception) -> str:
    """Return what tells one fault from another: the error and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "deepmatrix" in frame.filename] or frames
    return f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno}: {error}"[
        :300
    ]


def fuzz(name: str, count: int, seed_number: int, longest_s: int) -> Tally:
    """Try so many inputs on a reader of this process."""
    reader, tally = READERS[name], Tally()

    @seed(seed_number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(reader))
    def attempt(content: bytes) -> None:
        tally.attempt(reader, content, longest_s)

    attempt()
    return tally


def fuzz_all(
    names: Sequence[str], count: int, seed_number: int, longest_s: int
) -> Iterator[tuple[str, Tally]]:
    """Yield what *count* inputs of each reader led to."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(
            mp_context=get_context("fork"), initializer=_begin, initargs=(folder,)
        ) as pool,
    ):
        batches = {
            name: [
                pool.submit(fuzz, name, min(BATCH, count - first), seed_number + first, longest_s)
                for first in range(0, count, BATCH)
            ]
            for name in names
        }
        for name, parts in batches.items():
            tally = Tally()
            for part in parts:
                tally.add(part.result())
            yield name, tally


def _begin(folder: str) -> None:
    """Make the readers of a process, in a folder of its own."""
    signal.signal(signal.SIGALRM, _stop)
    warnings.simplefilter("ignore")
    own = Path(folder) / str(os.getpid())
    own.mkdir()
    READERS.update((reader.name, reader) for reader in all_readers(own))


def _stop(*_: object) -> None:
    raise Hang


def main() -> int:
    """Fuzz, print a line for each reader; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=8000, help="over all readers")
    parser.add_argument("--only", action="append", default=[], help="a reader's name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=int, default=LONGEST_S, help="a hang, in seconds")
    options = parser.parse_args()

    began = time.perf_counter()
    total = Tally()
    with tempfile.TemporaryDirectory() as folder:
        names = [reader.name for reader in all_readers(Path(folder))]
    names = [name for name in names if not options.only or name in options.only]
    fault_count, count = 0, -(-options.inputs // len(names))
    for name, tally in fuzz_all(names, count, options.seed, options.longest):
        _print(name, tally)
        total.add(tally)
        fault_count += len(tally.faults)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(
        f"{total.inputs} inputs, {total.errors} errors, {fault_count} faults, "
        f"{total.hangs} hangs; {time.perf_counter() - began:.0f} s, "
        f"peak memory {peak / 1e6:.0f} MB"
    )
    return int(fault_count > 0 or peak > MOST_BYTES)


def _print(name: str, tally: Tally) -> None:
    print(
        f"{name:26} {tally.inputs:7} inputs {tally.errors:7} errors "
        f"{len(tally.faults):3} faults  slowest {tally.slowest_s * 1000:.0f} ms",
        flush=True,
    )
    for number, (place, content) in enumerate(tally.faults.items()):
        path = Path("fuzz-faults") / f"{name.replace(' ', '-')}-{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        print(f"  {place}\n  {path}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
