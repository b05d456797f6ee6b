"""The harness on Python 3.6, the oldest that it supports."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.inside.conftest import Cell, production

ROOT = Path(__file__).resolve().parents[2]


#: Modules that import a framework when they are imported: only ever where there is one.
FRAMEWORKS_OWN = (
    "harness/frameworks/*/exports.py",
    "harness/frameworks/*/facts.py",
    "harness/frameworks/*/layers.py",
    "harness/frameworks/*/operations.py",
    "harness/frameworks/*/programs.py",
    "harness/frameworks/*/parallel.py",
    "harness/frameworks/*/probes.py",
    "harness/frameworks/*/with_past.py",
    "harness/frameworks/*/idioms/*.py",
    "harness/graphs/operators/*.py",
    "harness/graphs/operators/*/*.py",
)


def interpreters():
    """Return the interpreters of version 3.6 among pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return sorted(str(path) for path in root.glob("versions/3.6.*/bin/python"))


@pytest.fixture
def python36():
    paths = interpreters()
    if not paths:
        pytest.skip("no Python 3.6 here; `nox -s lint` asks vermin in any case")
    return paths[0]


def test_every_module_of_the_harness_can_be_imported(python36, tmp_path):
    """An empty numpy replaces it: 3.6 images bring their own."""
    (tmp_path / "numpy.py").write_text("")
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "harness").rglob("*.py"))
        if not any(path.match(own) for own in FRAMEWORKS_OWN)
    ]
    run_python(python36, tmp_path, "import " + ", ".join(modules))


def test_every_file_of_the_harness_is_of_its_syntax(python36, tmp_path):
    files = [str(path) for path in sorted((ROOT / "harness").rglob("*.py"))]
    run_python(python36, tmp_path, f"for name in {files}: compile(open(name).read(), name, 'exec')")


def run_python(python36, tmp_path, code):
    ended = subprocess.run(
        [python36, "-c", code],
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_a_whole_job_runs(python36, tmp_path):
    has_numpy = subprocess.run([python36, "-c", "import numpy"], capture_output=True, check=False)
    if has_numpy.returncode:
        pytest.skip("this Python 3.6 has no numpy")
    output = Cell(tmp_path / "control", python36).run(production())
    assert [entry["status"] for entry in output["records"]] == ["ok"] * 6
