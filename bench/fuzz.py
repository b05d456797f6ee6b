"""Fuzz every reader of files with inputs made from their schemas.

    nox -s benchmark -- fuzz [--inputs 100000] [--only READER ...] [--seed 0]

The inputs are spread over the readers. A reader returns a result or raises one clear error.
Anything else is a fault: the input is written to ``fuzz-faults/``, and the exit code is 1. An input
that takes longer than ten seconds is a fault, and so is more than a gigabyte of memory.
"""

from __future__ import annotations

import argparse
import collections
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402

from tests.fuzzed_readers import all_readers, is_clear  # noqa: E402
from tests.fuzzing import Reader, inputs  # noqa: E402

#: An input that takes longer is a hang, in seconds; all memory that the process may have had.
LONGEST_S = 10
MOST_BYTES = 2**30


class Hang(BaseException):
    """A reader took too long."""


@dataclass
class Tally:
    """What the inputs of one reader led to."""

    reader: Reader
    inputs: int = 0
    errors: int = 0
    slowest_s: float = 0.0
    hangs: int = 0
    faults: dict[str, bytes] = field(default_factory=dict)

    def attempt(self, content: bytes) -> None:
        """Read one input."""
        self.inputs += 1
        began = time.perf_counter()
        signal.alarm(LONGEST_S)
        try:
            self.reader.read(content)
        except Hang:
            self.hangs += 1
            self.faults.setdefault("a hang", content)
        except Exception as error:
            self.errors += 1
            if not is_clear(error):
                self.faults.setdefault(_place(error), content)
        finally:
            signal.alarm(0)
        self.slowest_s = max(self.slowest_s, time.perf_counter() - began)


def _place(error: Exception) -> str:
    """Return what tells one fault from another: the error and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "deepmatrix" in frame.filename] or frames
    return f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno}: {error}"[
        :300
    ]


def fuzz(reader: Reader, count: int, seed_number: int) -> Tally:
    """Try so many inputs on a reader."""
    tally = Tally(reader)

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
        tally.attempt(content)

    attempt()
    return tally


def _stop(*_: object) -> None:
    raise Hang


def main() -> int:
    """Fuzz, print a line for each reader; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=4000, help="over all readers")
    parser.add_argument("--only", action="append", default=[], help="a reader's name")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    signal.signal(signal.SIGALRM, _stop)
    warnings.simplefilter("ignore")
    began = time.perf_counter()
    total = collections.Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        readers = all_readers(Path(folder))
        if options.only:
            readers = [reader for reader in readers if reader.name in options.only]
        for reader in readers:
            tally = fuzz(reader, -(-options.inputs // len(readers)), options.seed)
            _print(tally)
            total.update(inputs=tally.inputs, errors=tally.errors, hangs=tally.hangs)
            total.update(faults=len(tally.faults))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{total['inputs']} inputs, {total['errors']} errors, {total['faults']} faults, "
        f"{total['hangs']} hangs; {time.perf_counter() - began:.0f} s, "
        f"peak memory {peak / 1e6:.0f} MB"
    )
    return int(total["faults"] > 0 or peak > MOST_BYTES)


def _print(tally: Tally) -> None:
    print(
        f"{tally.reader.name:26} {tally.inputs:7} inputs {tally.errors:7} errors "
        f"{len(tally.faults):3} faults  slowest {tally.slowest_s * 1000:.0f} ms",
        flush=True,
    )
    for number, (place, content) in enumerate(tally.faults.items()):
        path = Path("fuzz-faults") / f"{tally.reader.name.replace(' ', '-')}-{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        print(f"  {place}\n  {path}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
