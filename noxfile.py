# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "docker==7.2.0",
#   "nox==2026.10.20",
#   "numpy==2.4.6",
#   "pydantic==2.14.3",
#   "rich==15.0.0",
#   "ruamel.yaml==0.19.1",
#   "uv==0.13.9",
# ]
# ///
"""The sessions. Each is thin: what it does is in the package ``matrix``.

    nox -s matrix                 plan, build, run, merge, judge
    nox -s plan                   show what would run, and why the rest would not
    nox -s tests                  all tests
    nox -l                        everything else

The environment of the sessions is this file's own, from the block above; only ``tests`` and
``lint`` make another.
"""

from __future__ import annotations

import fnmatch
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from matrix import networks, plan  # noqa: E402
from matrix.config import load  # noqa: E402
from matrix.errors import DeepmatrixError  # noqa: E402

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["matrix"]

#: How long a session may take to stop its containers after Ctrl-C; nox's own 0.3 s kills it.
STOP_S = 60.0


def _cells() -> list[str]:
    """Return the ids of all cells that can be; none when the matrix file is wrong.

    The session then started reports the error in full, with its exit code.
    """
    try:
        matrix = load(ROOT / "matrix.yaml", networks=networks.NETWORKS)
    except DeepmatrixError:
        return []
    return [cell.id for cell in plan.all_cells(matrix) if not matrix.exclusion(cell.id)]


CELLS = [nox.param(cell, id=cell) for cell in _cells()]


def _matrix(session: nox.Session, *arguments: str) -> None:
    session.run(
        sys.executable,
        "-m",
        "matrix",
        *arguments,
        external=True,
        interrupt_timeout=STOP_S,
        terminate_timeout=STOP_S,
    )


@nox.session(venv_backend="none")
def matrix(session: nox.Session) -> None:
    """Plan, build, run, merge and judge. `-- --help` lists the options."""
    _matrix(session, "matrix", *session.posargs)


@nox.session(name="plan", venv_backend="none", default=False)
def plan_(session: nox.Session) -> None:
    """Show the plan as a table. `-- --json` for machines."""
    _matrix(session, "plan", *session.posargs)


@nox.session(venv_backend="none", default=False)
@nox.parametrize("cell", CELLS)
def image(session: nox.Session, cell: str) -> None:
    """Build the image of one cell. `nox -s image -- 'torch-*-cuda'` builds those that match."""
    globs = [argument for argument in session.posargs if not argument.startswith("-")]
    if globs and not any(fnmatch.fnmatchcase(cell, glob) for glob in globs):
        session.skip("not selected")
    _matrix(session, "image", cell)


@nox.session(venv_backend="none", default=False)
@nox.parametrize("cell", CELLS)
def bench(session: nox.Session, cell: str) -> None:
    """Run the jobs of one cell, in a run that `plan --write` made: `-- --run DIR --wave produce`."""
    _matrix(session, "bench", cell, *session.posargs)


@nox.session(venv_backend="none", default=False)
def merge(session: nox.Session) -> None:
    """Merge run directories, judge, and write the reports."""
    _matrix(session, "merge", *session.posargs)


@nox.session(venv_backend="none", default=False)
def engine(session: nox.Session) -> None:
    """Set a Docker engine up on Debian or Ubuntu. `-- --stop` ends what it started."""
    _matrix(session, "engine", *session.posargs)


@nox.session(venv_backend="none", default=False)
def pins(session: nox.Session) -> None:
    """Lock the requirements of every cell, with hashes. `-- --check` only says what is stale."""
    _matrix(session, "pins", *session.posargs)


@nox.session(venv_backend="none", default=False)
def schema(session: nox.Session) -> None:
    """Write the published JSON Schemas. `-- --check` only says whether they are stale."""
    _matrix(session, "schema", *session.posargs)
