"""The workflows of this repository, run from their own YAML: the release, the matrix, the site."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import deepmatrix
from deepmatrix.paths import ROOT
from tests.workflows import Runner, load, plain_environment

MATRIX = load(ROOT / ".github/workflows/matrix.yml")
RELEASE = load(ROOT / ".github/workflows/release.yml")
SITE = load(ROOT / ".github/workflows/site.yml")
RUNNERS = {"amd64": "ubuntu-24.04", "arm64": "ubuntu-24.04-arm"}

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the workflows have this Python"
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is tracked, and beside it an environment of what the workflows install."""
    folder = tmp_path_factory.mktemp("own") / "checkout"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    for name in filter(None, listed.stdout.decode().split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    programs = folder.parent / "programs"
    venv.create(programs, with_pip=True)
    (install,) = {
        step["run"]
        for workflow in (MATRIX, RELEASE, SITE)
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if "pip install" in step.get("run", "")
    }
    subprocess.run([programs / "bin" / "python", *install.split()[1:]], cwd=folder, check=True)
    return folder


def new_runner(checkout: Path, temporary: Path) -> Runner:
    runner = Runner(folder=checkout, temporary=temporary, environment=plain_environment())
    runner.store = temporary / "store"
    programs = checkout.parent / "programs" / "bin"
    runner.environment["PATH"] = f"{programs}:{runner.environment['PATH']}"
    return runner


def test_the_matrix_has_a_job_for_each_cell_of_the_plan(checkout: Path, tmp_path: Path) -> None:
    runner = new_runner(checkout, tmp_path)
    runner.context["inputs.preset"] = "smoke"
    assert runner.job(MATRIX, "plan") == 0, runner.log
    cells = json.loads((checkout / "plan.json").read_text())["cells"]
    assert {cell["architecture"] for cell in cells} == set(RUNNERS)
    for does in ("produces", "consumes"):
        assert any(cell[does] for cell in cells)
        jobs = json.loads(runner.context[f"steps.plan.outputs.{does}"])["include"]
        assert jobs == [
            {"cell": cell["id"], "runner": RUNNERS[cell["architecture"]]}
            for cell in cells
            if cell[does]
        ]
    assert (runner.store / "plan" / "plan.json").is_file()


def test_the_site_that_is_published_has_the_documents_of_the_checkout(
    checkout: Path, tmp_path: Path
) -> None:
    runner = new_runner(checkout, tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    page = checkout / "docs" / "ci.md"
    text = page.read_text("utf-8")
    page.write_text(f"{text}\n[nowhere](nowhere.md)\n", "utf-8")
    assert runner.job(SITE, "build") == 1, "a broken link"
    assert not runner.store.exists()
    page.write_text(text, "utf-8")
    assert runner.job(SITE, "build") == 0, runner.log
    assert "Run it in CI" in (runner.store / "github-pages/docs/ci/index.html").read_text("utf-8")


def test_a_release_is_built_of_what_is_installed_once_the_changelog_has_it(
    checkout: Path, tmp_path: Path
) -> None:
    version = deepmatrix.__version__
    runner = new_runner(checkout, tmp_path)
    runner.environment |= {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "cache")}
    changelog = checkout / "CHANGELOG.md"
    text = changelog.read_text("utf-8")
    for heading in (f"{version}.1 - 2026-12-01", f"{version}-alpha", version.replace(".", "-")):
        changelog.write_text(f"## {heading}\n{text}", "utf-8")
        runner.context["github.ref_name"] = f"v{version}"
        assert runner.job(RELEASE, "build") == 1, runner.log
    changelog.write_text(f"## {version} - 2026-12-01\n{text}", "utf-8")
    runner.context["github.ref_name"] = "v9.9.9"
    assert runner.job(RELEASE, "build") == 1, runner.log
    runner.context["github.ref_name"] = f"v{version}"
    assert runner.job(RELEASE, "build") == 0, runner.log
    built = {path.name for path in (runner.store / "dist").iterdir()}
    names = {f"deepmatrix-{version}.tar.gz", f"deepmatrix-{version}-py3-none-any.whl"}
    assert names <= built <= {*names, ".gitignore"}
