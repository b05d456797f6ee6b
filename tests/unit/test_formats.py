"""What is known of a format is in one place, and so a new one is added in one."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepmatrix.config import matrix_file
from deepmatrix.config.families import FAMILIES
from deepmatrix.paths import HARNESS, PACKAGE, ROOT
from harness import quantisers
from harness.formats import FORMATS, MODEL_PATHS
from harness.record import PHASES

MATRIX = matrix_file.load(ROOT / "matrix.yaml")

#: What docs/add-a-runtime.md says to write for a runtime with a format that it inspects: new files
#: with their text, and in each of the others a line with what follows it.
NEW_FILES = {
    "harness/runtimes/toy/__init__.py": '"""A toy."""\n',
    "harness/runtimes/toy/adapter.py": '"""A toy."""\n',
    "docker/wheels/requirements/toy-cpu.in": "numpy==2.4.6\n",
}
NEW_LINES = {
    "harness/formats/__init__.py": (
        "_ALL = (\n",
        '    Format("toy-format", "m.toy", extensions=(".toy",), inspector="toy"),\n',
    ),
    "matrix.yaml": ("\nruntimes:\n", "  toy: {reads: [toy-format]}\n"),
    "docs/verify.md": (
        "|---|---|---|---|---|\n",
        "| `.toy` | Toy | `toy` | sampled from its shapes | its own outputs |\n",
    ),
}

#: The tests that name formats and runtimes, or look into every folder.
CHECKS = ("tests/unit/test_contracts.py", "tests/unit/test_formats.py", "tests/unit/test_config.py")
CHOSEN = "not toy and (test_contracts or test_formats or format or adapter)"

#: Loads the matrix file of a tree and plans for it, with the code of the tree.
SHOW = """
from pathlib import Path
from deepmatrix.config import matrix_file
from deepmatrix.planning.cells import all_cells
from deepmatrix.models import files

matrix = matrix_file.load(Path("matrix.yaml"))
print(*sorted({cell.adapter for cell in all_cells(matrix) if "toy-format" in cell.reads}))
print(files.recognise([Path("net.toy")])[0].main)
"""


def test_every_format_of_the_matrix_file_is_in_the_registry() -> None:
    formats = {
        format_name
        for system in MATRIX.systems().values()
        for format_name in (*system.reads, *getattr(system, "exports", ()))
    }
    assert formats == set(FORMATS)


def test_every_inspector_is_a_system_and_every_suite_a_module() -> None:
    for entry in FORMATS.values():
        assert not entry.inspector or entry.inspector in MATRIX.systems()
        assert not entry.suite or (HARNESS / "suites" / f"{entry.suite}.py").is_file()
        assert entry.inspector or not entry.is_traceable


def test_a_variant_is_a_file_of_the_format_that_its_readers_know() -> None:
    for entry in FORMATS.values():
        read = FORMATS[entry.read_as]
        assert (read.model_path, read.variant_of) == (entry.model_path, "")
        assert entry.variant_of or not entry.has_past
    assert {name for name, entry in FORMATS.items() if entry.is_quantised} == set(
        quantisers.MODULES
    )


def test_an_extension_stands_for_one_format() -> None:
    extensions = [extension for entry in FORMATS.values() for extension in entry.extensions]
    assert len(set(extensions)) == len(extensions)


def test_an_artifacts_model_is_one_name_in_its_folder() -> None:
    assert all(path == Path(path).name for path in MODEL_PATHS.values())


def literals_in_displays(path: Path) -> Iterator[tuple[int, set[str]]]:
    """Yield the line and the texts of every list, tuple, set and dict, and every comparison."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.List() | ast.Tuple() | ast.Set():
                parts: list[ast.expr | None] = [*node.elts]
            case ast.Dict():
                parts = [*node.keys, *node.values]
            case ast.Compare():
                parts = [node.left, *node.comparators]
            case _:
                continue
        texts = {part.value for part in parts if isinstance(part, ast.Constant)}
        yield node.lineno, {text for text in texts if isinstance(text, str)}


#: Some formats are named like a system or an image family, which other places may name.
AMBIGUOUS = {*MATRIX.systems(), *FAMILIES}


@pytest.mark.parametrize(
    "words",
    [set(FORMATS) - AMBIGUOUS, set(MODEL_PATHS.values()) - AMBIGUOUS],
    ids=["formats", "paths"],
)
def test_no_other_place_of_the_host_lists_formats(words: set[str]) -> None:
    listed = [
        f"{path.relative_to(ROOT)}:{line}: {sorted(texts & words)}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, texts in literals_in_displays(path)
        if texts & words
    ]
    assert not listed


def test_no_other_place_of_the_host_lists_all_phases() -> None:
    listed = [
        f"{path.relative_to(ROOT)}:{line}: {sorted(texts)}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, texts in literals_in_displays(path)
        if len(texts & set(PHASES)) > len(PHASES) // 2
    ]
    assert not listed


def run_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with the code of the folder."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_how_to_names_every_file_that_a_toy_runtime_with_a_format_needs(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("deepmatrix", "harness", "docker", "tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("expected-failures.yaml", "matrix.yaml", "noxfile.py", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    how_to = (ROOT / "docs" / "add-a-runtime.md").read_text("utf-8")
    for name, text in NEW_FILES.items():
        assert f"`{name.replace('toy', 'NAME')}`" in how_to
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    for name, (line, text) in NEW_LINES.items():
        assert f"`{name}`" in how_to
        whole = (tmp_path / name).read_text("utf-8")
        assert line in whole
        (tmp_path / name).write_text(whole.replace(line, line + text, 1), "utf-8")
    (tmp_path / "net.toy").write_bytes(b"toy")
    shown = run_python(tmp_path, "-c", SHOW)
    assert shown.stdout.splitlines() == ["harness.runtimes.toy.adapter", "m.toy"], shown.stderr
    # The schema of the matrix file lists the formats, and is written by a command.
    stale = run_python(tmp_path, "-m", "deepmatrix", "schema", "--check")
    assert stale.returncode, stale.stdout
    assert "matrix.schema.json is stale" in stale.stderr
    for arguments in (("schema",), ("schema", "--check")):
        ended = run_python(tmp_path, "-m", "deepmatrix", *arguments)
        assert ended.returncode == 0, ended.stderr
    checked = run_python(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", *CHECKS, "-k", CHOSEN)
    assert checked.returncode == 0, checked.stdout


def documented() -> dict[tuple[str, str], str]:
    """Return, by extension and inspector, where inputs come from, as docs/verify.md says."""
    page = (ROOT / "docs" / "verify.md").read_text("utf-8")
    page = page.split("## What it reads")[1].split("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    table = {}
    for file, _, inspector, inputs, _ in lines[1:]:
        for extension in re.findall(r"`(\.\w+)`", file.split(" with its ")[0]):
            table.setdefault((extension, inspector.split("`")[1]), inputs)
    return table


def test_the_documents_list_what_can_be_verified() -> None:
    entries = [entry for entry in FORMATS.values() if entry.inspector]
    pairs = {
        (extension, entry.inspector): entry for entry in entries for extension in entry.extensions
    }
    table = documented()
    assert table.keys() == pairs.keys()
    for pair, entry in pairs.items():
        assert (table[pair] == "give `--inputs`") != entry.declares_shapes, pair
