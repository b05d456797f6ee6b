"""What a short file can make of itself: memory has bounds, whatever is in a file.

Each reader runs in a process of its own that gets no more memory than is stated.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepmatrix.boundary.files import MOST_VALUES, Damaged, read_json
from deepmatrix.comparison.history import lines as history
from deepmatrix.comparison.history.lines import measurements
from deepmatrix.comparison.reading import read_results
from deepmatrix.engines import Ended
from deepmatrix.errors import RecordError
from deepmatrix.execution.conclusions import conclude
from deepmatrix.paths import ROOT
from deepmatrix.results import merging
from deepmatrix.store import arrays
from deepmatrix.store.runs import Run
from deepmatrix.store.truths import Truth
from deepmatrix.workloads import inputs
from tests.unit.examples import artifact, new_run, output, planned, record
from tests.unit.test_boundary import COUNTS
from tests.unit.test_results import whole

PLAN = planned("torch-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu")
JOB = next(PLAN.jobs("produce"))

LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from deepmatrix.boundary.files import Damaged
from deepmatrix.cli import reporting  # imports everything
from deepmatrix.comparison.history import lines as history
from deepmatrix.judging import deviations
from deepmatrix.results import merging
from deepmatrix.store import arrays
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
path, allowed = Path(sys.argv[1]), int(sys.argv[2])
array = np.ones(2 * allowed if "array" in {code!r} else 0, np.uint8)
resource.setrlimit(resource.RLIMIT_AS, (used + array.nbytes + allowed,) * 2)
{code}
"""


def within(allowed: int, path: Path, code: str) -> str:
    """Return what some lines of Python print, which may take *allowed* bytes besides imports."""
    program = LIMITED.format(code=code)
    command = [sys.executable, "-c", program, str(path), str(allowed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


def sparse(path: Path, size: int, begin: bytes = b"") -> Path:
    with path.open("wb") as file:
        file.write(begin)
        file.truncate(size)
    return path


def test_the_values_of_a_file_are_counted_before_they_take_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for unit in (b"0", b"[]", b"{}", b'{"":0}'):
        path.write_bytes(b"[" + b",".join([unit] * (MOST_VALUES + 1)) + b"]")
        with pytest.raises(Damaged, match=f"more than {MOST_VALUES} values"):
            read_json(path, COUNTS)


def test_a_cells_answer_of_many_small_values_is_torn(tmp_path: Path) -> None:
    (tmp_path / "output.json").write_bytes(b"[" + b"0," * 15_000_000 + b"0]")
    ended = Ended(ending="exited", cause="", exit_code=0, wall_s=1.0)
    _, status, cause = conclude(JOB, tmp_path, ended)
    assert status == "torn"
    assert f"it holds more than {MOST_VALUES} values" in cause


def absurd_record(run: Run, values: int) -> Path:
    """Write a record whose environment has so many further numbers."""
    document: Any = json.loads(record(JOB, output=output(JOB)).model_dump_json(by_alias=True))
    document["output"]["environment"]["further"] = {"": [[0]]}
    written = json.dumps(document, separators=(",", ":")).encode()
    path = run.record_path(JOB)
    path.parent.mkdir(parents=True)
    pairs = b",".join([b'{"":0}'] * (values // 2))
    path.write_bytes(written.replace(b'{"":[[0]]}', b"[" + pairs + b"]"))
    return path


def test_a_record_with_millions_of_further_values_is_damaged(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    absurd_record(run, 3 * MOST_VALUES)
    assert "more than" in Run.open(run.path).record(JOB).cause


def test_a_record_with_as_many_values_as_may_be_takes_less_than_a_gigabyte(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    absurd_record(run, MOST_VALUES - 10_000)
    lines = """
record = next(Run.open(path).records())
print(record.status, len(record.output.environment.model_extra["further"]))
"""
    assert within(900 << 20, run.path, lines).split() == ["ok", str((MOST_VALUES - 10_000) // 2)]


def answer_of(path: Path, size: int) -> None:
    """Write a file of an array of *size* zeros, which takes no room on the disk."""
    header = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": (size,)}
    np.lib.format.write_array_header_1_0(header, described)
    sparse(path, len(header.getvalue()) + 4 * size, header.getvalue())


@pytest.mark.parametrize("sizes", [(1 << 30,), (1 << 25,) * 9])
def test_huge_answers_take_a_bounded_part_of_memory_where_gold_is_small(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    artifact(tmp_path / "artifact", [[1.0]], [[1.0]])
    (tmp_path / "outputs").mkdir()
    for number, size in enumerate(sizes):
        answer_of(tmp_path / "outputs" / f"{number}.npy", size)
    names = [f"y{number}" for number in range(len(sizes))]
    lines = f"print(deviations.measure(path / 'artifact', path, {names}).note)"
    note = within(400 << 20, tmp_path, lines)
    assert note.startswith("its outputs cannot be used: ")
    assert "bytes, more than " in note


def test_an_answer_of_a_wider_dtype_than_gold_is_read() -> None:
    gold = np.ones(40 << 20, np.bool_)
    truth = Truth(gold={"y": gold}, produced={"y": gold})
    assert truth.largest_answers == 40 << 23


def test_a_huge_file_that_is_compared_is_refused_by_its_size(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no results of this version: it has more than"):
        read_results(sparse(tmp_path / "big.json", 3 << 30), tmp_path)


def test_a_huge_history_is_refused_by_its_size_and_added_to_in_little_memory(
    tmp_path: Path,
) -> None:
    path = sparse(tmp_path / history.FILE, 2 << 30)
    with pytest.raises(RecordError, match="has more than 128 MiB"):
        history.read(path)
    run = whole(tmp_path)
    lines = """
results = merging.merge([Run.open(path)])
history.append(path.parent, results)
print("added")
"""
    assert within(200 << 20, run.path, lines) == "added\n"
    with path.open("rb") as file:
        file.seek(2 << 30)
        added = file.read().strip().split(b"\n")
    assert len(added) == len(list(measurements(merging.merge([run]))))
    assert all(b'"run":"one"' in line for line in added)


def test_the_header_of_an_array_has_a_bound(tmp_path: Path) -> None:
    claimed = b"\x93NUMPY\x02\x00" + (2**32 - 1).to_bytes(4, "little")
    with pytest.raises(arrays.Unreadable, match="a header of 4294967295 bytes"):
        arrays.read_array(sparse(tmp_path / "x.npy", 3 << 30, claimed))
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", claimed + bytes(200 << 20))
    with pytest.raises(arrays.Unreadable, match="a header of 4294967295 bytes"):
        arrays.read_all(tmp_path / "x.npz")


def test_an_array_above_two_gigabytes_is_written_as_one_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = inputs.npz_bytes({"x": np.ones(500)})
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 2000)
    inputs.write_npz(tmp_path / "x.npz", {"x": np.arange(500.0)})
    np.testing.assert_array_equal(arrays.read_all(tmp_path / "x.npz")["x"], np.arange(500.0))
    monkeypatch.undo()
    assert inputs.npz_bytes({"x": np.ones(500)}) == small


def test_an_array_is_written_without_a_second_copy_of_it(tmp_path: Path) -> None:
    lines = "inputs.write_npz(path, {'x': array}); print(path.stat().st_size > array.nbytes)"
    assert within(100 << 20, tmp_path / "x.npz", lines) == "True\n"


def test_a_history_of_very_many_short_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / history.FILE
    path.write_bytes(b"\n" * 250_001)
    with pytest.raises(RecordError, match="has more than 250000 lines"):
        history.read(path)
