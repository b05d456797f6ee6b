"""Every benchmark starts: nothing that it imports has moved or gone."""

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"

#: What the harness calls of the adapter of a runtime: see harness/adapters.py.
CALLED = {"start", "configure", "describe", "multiply", "load", "answer"}


@pytest.mark.skipif(sys.platform == "win32", reason="benchmarks measure memory by `resource`")
@pytest.mark.parametrize("path", sorted(BENCH.glob("*.py")), ids=lambda path: path.stem)
def test_every_benchmark_starts(path: Path) -> None:
    code = f"import runpy; runpy.run_path({str(path)!r}, run_name='benchmark')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{BENCH}{os.pathsep}{BENCH.parent}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCH.glob("adapters/*.py")))
def test_the_harness_calls_all_that_an_adapter_of_a_benchmark_defines(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCH / "adapters"))
    adapter = importlib.import_module(name)
    functions = dict(inspect.getmembers(adapter, inspect.isfunction))
    assert functions.keys() >= CALLED
    own = {word for word, function in functions.items() if function.__module__ == name}
    assert "answer" in own
    assert own <= CALLED


@pytest.mark.skipif(sys.platform == "win32", reason="benchmarks measure memory by `resource`")
def test_comparisons_of_a_run_with_itself_fail_at_most_once_in_a_hundred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By recorded rounds: nothing is timed here."""
    monkeypatch.syspath_prepend(str(BENCH))
    compare = importlib.import_module("compare")
    size = compare.Size()
    for way in (compare.spread, compare.alternating):
        assert compare.false_failures(way, 200, size) <= 0.01
        assert compare.found(way, 20, size) == 1.0
    drifted = compare.false_failures(compare.apart, 100, size)
    assert drifted > 0.3, "two days of a shared machine fail falsely"
    assert compare.false_failures(compare.apart, 100, size, again=True) <= 0.01
