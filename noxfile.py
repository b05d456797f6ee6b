# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "cyclonedx-python-lib==11.12.0",
#   "docker==7.2.0",
#   "jinja2==3.1.6",
#   "nox==2026.10.20",
#   "numpy==2.4.6",
#   "platformdirs==4.14.8",
#   "plotext==5.3.2",
#   "pydantic==2.14.3",
#   "rich==15.0.0",
#   "ruamel.yaml==0.19.1",
#   "ruptures==1.1.10",
#   "scipy==1.17.1",
#   "shtab==1.13.0",
#   "uv==0.13.9",
# ]
# ///
"""The sessions. Each is thin: what it does is in the package ``deepmatrix``.

    nox -s matrix                 plan, build, run, merge, judge
    nox -s verify -- MODEL        the same for a model of your own
    nox -s plan                   show what would run, and why the rest would not
    nox -s tests                  all tests
    nox -l                        everything else

The environment of the sessions is this file's own, from the block above; only ``tests`` and
``lint`` make another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from deepmatrix.errors import DeepmatrixError  # noqa: E402

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = []  # plain `nox` lists them: a matrix takes minutes

#: How long a session may take to stop its containers after Ctrl-C; nox's own 0.3 s kills it.
STOP_S = 60.0

#: C++ that includes the headers of a library or of Windows, which lint does not have.
NEED_HEADERS = (
    "cpp/architecture.cpp",
    "cpp/control.cpp",
    "cpp/failures.cpp",
    "cpp/generation.cpp",
    "cpp/job.cpp",
    "cpp/main.cpp",
    "cpp/phases.cpp",
    "cpp/queue.cpp",
    "cpp/*/machine.cpp",
    "cpp/*/runtime.cpp",
    "cpp/windows/*.cpp",
    "cpp/onnxruntime/answers.cpp",
    "cpp/onnxruntime/inputs.cpp",
)


#: What `nox -l` shows for every cell; `nox -l -s bench` lists them.
PLACEHOLDER = "CELL"


def _cells() -> list[str]:
    """Return the ids of all cells that can be, computed when what they depend on has changed.

    A placeholder stands for them where no `bench` is asked for, so that `nox -l` stays short, and
    with a wrong matrix file, so that whichever session is started reports the error in full.
    """
    if not any("bench" in word for word in (*sys.argv, os.environ.get("NOXSESSION", ""))):
        return [PLACEHOLDER]
    cache = ROOT / ".nox" / "cells.json"
    sources = (
        ROOT / "matrix.yaml",
        *sorted(ROOT.glob("deepmatrix/config/**/*.py")),
        *sorted(ROOT.glob("deepmatrix/planning/*.py")),
    )
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(cache.read_text("utf-8"))
        if known["digest"] == digest:
            return [str(cell) for cell in known["cells"]]
    try:
        cells = _compute_cells()
    except DeepmatrixError:
        return [PLACEHOLDER]
    with contextlib.suppress(OSError):
        cache.parent.mkdir(exist_ok=True)
        cache.write_text(json.dumps({"digest": digest, "cells": cells}), "utf-8")
    return cells


def _compute_cells() -> list[str]:
    from deepmatrix.config.matrix_file import load  # noqa: PLC0415 - slow
    from deepmatrix.planning.cells import all_cells  # noqa: PLC0415

    matrix = load(ROOT / "matrix.yaml")
    return [cell.id for cell in all_cells(matrix) if not matrix.exclusion(cell.id)]


CELLS = [nox.param(cell, id=cell) for cell in _cells()]


def _matrix(session: nox.Session, *arguments: str) -> None:
    session.run(
        sys.executable,
        "-m",
        "deepmatrix",
        *arguments,
        external=True,
        interrupt_timeout=STOP_S,
        terminate_timeout=STOP_S,
    )


@nox.session(venv_backend="none")
def matrix(session: nox.Session) -> None:
    """Plan, build, run, merge and judge. `-- --help` lists the options."""
    _matrix(session, "matrix", *session.posargs)


@nox.session(venv_backend="none", default=False)
def verify(session: nox.Session) -> None:
    """Serve models of your own everywhere, and judge: `-- model.onnx`. `-- --help` for more."""
    _matrix(session, "verify", *session.posargs)


@nox.session(venv_backend="none", default=False)
def init(session: nox.Session) -> None:
    """Write a deepmatrix.yaml for models of your own, which `nox -s verify` then takes."""
    _matrix(session, "init", *session.posargs)


@nox.session(venv_backend="none", default=False)
def conformance(session: nox.Session) -> None:
    """Try the ONNX standard's own tests in every runtime. `-- --record` writes a baseline."""
    _matrix(session, "conformance", *session.posargs)


@nox.session(name="plan", venv_backend="none", default=False)
def plan_(session: nox.Session) -> None:
    """Show the plan as a table. `-- --json` for machines."""
    _matrix(session, "plan", *session.posargs)


@nox.session(venv_backend="none", default=False)
def image(session: nox.Session) -> None:
    """Build images only: `-- 'torch-*-cuda'` those of the cells that match."""
    _matrix(session, "image", *session.posargs)


@nox.session(venv_backend="none", default=False)
@nox.parametrize("cell", CELLS)
def bench(session: nox.Session, cell: str) -> None:
    """Run the jobs of one cell in a run that `plan --write` made: `-- --run DIR`."""
    _matrix(session, "bench", cell, *session.posargs)


@nox.session(venv_backend="none", default=False)
def merge(session: nox.Session) -> None:
    """Merge run directories, judge, and write the reports."""
    _matrix(session, "merge", *session.posargs)


@nox.session(venv_backend="none", default=False)
def show(session: nox.Session) -> None:
    """Look at a run, one of its cells, or one verdict: `-- RUN CELL ARTIFACT`."""
    _matrix(session, "show", *session.posargs)


@nox.session(venv_backend="none", default=False)
def compare(session: nox.Session) -> None:
    """Say what changed between two runs: `-- BASE HEAD`. `-- --help` for more."""
    _matrix(session, "compare", *session.posargs)


@nox.session(venv_backend="none", default=False)
def completion(session: nox.Session) -> None:
    """Print a script that completes commands and options of `deepmatrix`: `-- bash`."""
    _matrix(session, "completion", *session.posargs)


@nox.session(venv_backend="none", default=False)
def jobs(session: nox.Session) -> None:
    """List the jobs of CI that verify models: `-- MODEL --native amd64 --native arm64`."""
    _matrix(session, "jobs", *session.posargs)


@nox.session(venv_backend="none", default=False)
def review(session: nox.Session) -> None:
    """Say what the runs of a change show together, for CI: `-- RUN --comment FILE`."""
    _matrix(session, "review", *session.posargs)


@nox.session(venv_backend="none", default=False)
def history(session: nox.Session) -> None:
    """Plot a measurement over all runs: `-- SERIES`; without it, list all."""
    _matrix(session, "history", *session.posargs)


@nox.session(venv_backend="none", default=False)
def readme(session: nox.Session) -> None:
    """Put the tables of runs into the README, or other pages."""
    _matrix(session, "readme", *session.posargs)


@nox.session(venv_backend="none", default=False)
def claims(session: nox.Session) -> None:
    """Decide the study's statements by the records of some runs."""
    _matrix(session, "claims", *session.posargs)


@nox.session(venv_backend="none", default=False)
def evaluation(session: nox.Session) -> None:
    """Write the study anew, with ratings then and now, by the records of some runs."""
    _matrix(session, "evaluation", *session.posargs)


@nox.session(venv_backend="none", default=False)
def packages(session: nox.Session) -> None:
    """Ask the package index for the releases of the study's systems, for the ratings."""
    _matrix(session, "packages", *session.posargs)


@nox.session(venv_backend="none", default=False)
def engine(session: nox.Session) -> None:
    """Set a Docker engine up on Debian or Ubuntu. `-- --stop` ends what it started."""
    _matrix(session, "engine", *session.posargs)


@nox.session(venv_backend="none", default=False)
def fleet(session: nox.Session) -> None:
    """Make a fleet's certificates, `-- certificates FOLDER`, or be its scheduler."""
    _matrix(session, "fleet", *session.posargs)


@nox.session(venv_backend="none", default=False)
def worker(session: nox.Session) -> None:
    """Offer this machine to a fleet: `-- tls://name:8786 --tls FOLDER`."""
    _matrix(session, "worker", *session.posargs)


@nox.session(venv_backend="none", default=False)
def pins(session: nox.Session) -> None:
    """Lock the requirements of every cell, with hashes. `-- --check` only says what is stale."""
    _matrix(session, "pins", *session.posargs)


@nox.session(venv_backend="none", default=False)
def schema(session: nox.Session) -> None:
    """Write the published JSON Schemas. `-- --check` only says whether they are stale."""
    _matrix(session, "schema", *session.posargs)


@nox.session(venv_backend="none", default=False)
def reference(session: nox.Session) -> None:
    """Write docs/reference.md from the parser. `-- --check` only says whether it is stale."""
    _matrix(session, "reference", *session.posargs)


@nox.session(venv_backend="none", default=False)
def lock(session: nox.Session) -> None:
    """Lock with hashes what CI installs for nox and to build, and what the sessions install."""
    options = ("--universal", "--python-version=3.11", "--generate-hashes", "--quiet")
    options += ("--no-annotate", "--no-header", *session.posargs, "pyproject.toml")
    compile_lock = (sys.executable, "-m", "uv", "pip", "compile", *options)
    session.run(*compile_lock, ".ci/nox.in", "--output-file", ".ci/nox.txt", external=True)
    groups = [f"--group={name}" for name in ("test", "browser", "lint", "site")]
    groups += ["--constraint", ".ci/nox.txt", "--output-file", ".ci/groups.txt"]
    session.run(*compile_lock, *groups, external=True)


@nox.session(default=False)
def tests(session: nox.Session) -> None:
    """Run the tests; those of containers need an engine. `-- tests/unit` runs only those."""
    _install(session, "test")
    session.run("pytest", *session.posargs, env={"PYTHONPATH": str(ROOT)})


#: What the site is made of: the documents, and what they link to.
SITE = ("*.md", "LICENSE", "docs/*", "harness/PROTOCOL.md", "deepmatrix/data/*.md", "*.schema.json")


@nox.session(default=False)
def site(session: nox.Session) -> None:
    """Build the documents as a static site, in site/html, and check its links."""
    _install(session, "site")
    pages = ROOT / "site" / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    for name in _tracked(*SITE):
        (pages / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, pages / name)
    session.run("zensical", "build", "--clean", "--strict")
    session.log("written: site/html; its first page is site/html/index.html")


#: Browsers that Playwright drives, by the names of their programs.
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome", "chrome")


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Try the HTML report in Chromium: accessible, valid, quiet, whole without script."""
    environment = _browser(session)
    session.run("pytest", "tests/browser", *session.posargs, env=environment)


@nox.session(default=False)
def screenshots(session: nox.Session) -> None:
    """Write pictures of the reports of runs into docs/images: `-- NAME=REPORT.html`."""
    environment = _browser(session)
    session.run("python", "tests/browser/screenshots.py", *session.posargs, env=environment)


def _browser(session: nox.Session) -> dict[str, str]:
    """Install what drives a browser, and return the variables that name it."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        session.error(f"no browser: install one of {', '.join(BROWSERS)}")
    _install(session, "test", "browser")
    _install_node(session)
    return {"PYTHONPATH": str(ROOT), "BROWSER_OF_TESTS": program}


#: Modules of bench/ that benchmarks share.
SHARED = ("common", "random_operators")


@nox.session(default=False)
def benchmark(session: nox.Session) -> None:
    """Run one of the benchmarks in bench/: `-- overhead`, with its options after it."""
    known = sorted(path.stem for path in (ROOT / "bench").glob("*.py") if path.stem not in SHARED)
    if not session.posargs or session.posargs[0] not in known:
        session.error(f"name one of: {', '.join(known)}")
    browser = ["browser"] if os.environ.get("BROWSER_OF_TESTS") else []
    _install(session, "test", *browser)
    name, *arguments = session.posargs
    session.run("python", f"bench/{name}.py", *arguments, env={"PYTHONPATH": str(ROOT)})


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Check style, types, imports and documents. `-- javascript cpp` checks only these parts."""
    parts = session.posargs or list(LINT_PARTS)
    if unknown := [part for part in parts if part not in LINT_PARTS]:
        session.error(f"no part {', '.join(unknown)}; the parts are {', '.join(LINT_PARTS)}")
    _install(session, "lint", "test")
    for part in parts:
        LINT_PARTS[part](session)


def _lint_python(session: nox.Session) -> None:
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")
    session.run("vermin", "--no-tips", "-t=3.6-", "--violations", "harness")
    _matrix(session, "schema", "--check")
    _matrix(session, "reference", "--check")


def _lint_javascript(session: nox.Session) -> None:
    """Check JavaScript with biome, which npm installs at the version of package-lock.json."""
    _install_node(session)
    biome = str(ROOT / "node_modules" / ".bin" / "biome")
    session.run(biome, "ci", "--error-on-warnings", external=True)


def _lint_cpp(session: nox.Session) -> None:
    """Check the style of all C++, and with clang-tidy what needs no library's headers."""
    if shutil.which("g++") is None:
        session.error("clang-tidy reads the headers of the C++ library: install g++")
    sources = _tracked("harness/*.cpp", "tests/*.cpp")
    checkable = [path for path in sources if not any(map(Path(path).match, NEED_HEADERS))]
    session.run("clang-format", "--dry-run", "-Werror", *sources, *_tracked("harness/*.hpp"))
    options = ("-std=c++17", "-Iharness/runtimes/cpp")
    session.run("clang-tidy", "--quiet", *checkable, "--", *options)


def _lint_docker(session: nox.Session) -> None:
    session.run("hadolint", *_tracked("docker/*Dockerfile"))


def _lint_scripts(session: nox.Session) -> None:
    tracked = _tracked("*.sh", ".ci/run", ".ci/commands")
    scripts = [path for path in tracked if (ROOT / path).is_file()]
    session.run("shellcheck", *scripts)


def _lint_workflows(session: nox.Session) -> None:
    session.run("actionlint")
    session.run("zizmor", "--offline", "--quiet", "action.yml", ".github")


def _lint_documents(session: nox.Session) -> None:
    """Check every link between documents, and every command that they show."""
    checks = ("tests/unit/test_docs.py", "tests/unit/test_documented_commands.py")
    session.run("pytest", "-q", *checks, env={"PYTHONPATH": str(ROOT)})


LINT_PARTS: dict[str, Callable[[nox.Session], None]] = {
    "python": _lint_python,
    "javascript": _lint_javascript,
    "cpp": _lint_cpp,
    "docker": _lint_docker,
    "scripts": _lint_scripts,
    "workflows": _lint_workflows,
    "documents": _lint_documents,
}


def _install(session: nox.Session, *groups: str) -> None:
    """Install the host's requirements and those of some dependency groups, by their hashes."""
    project = nox.project.load_toml(ROOT / "pyproject.toml")
    session.install(
        *project["project"]["dependencies"],
        *nox.project.dependency_groups(project, *groups),
        *("--constraint", str(ROOT / ".ci" / "groups.txt")),
    )


def _install_node(session: nox.Session) -> None:
    """Install biome and html-validate with npm, at the versions of package-lock.json."""
    if shutil.which("npm") is None:
        session.error("npm installs what checks JavaScript and HTML: install Node and npm")
    installed = ROOT / "node_modules" / ".package-lock.json"
    lock = ROOT / "package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        session.run("npm", "ci", "--no-audit", "--no-fund", external=True)


def _tracked(*patterns: str) -> list[str]:
    """Return the files of the repository, new ones too, that match."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


if __name__ == "__main__":
    nox.main()
