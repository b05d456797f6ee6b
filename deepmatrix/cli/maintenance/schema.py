"""``schema``: write the published JSON Schemas."""

from __future__ import annotations

import argparse

from deepmatrix.boundary import writing
from deepmatrix.cli import plan_table
from deepmatrix.cli.maintenance import check_docstrings
from deepmatrix.comparison import accepted, changes
from deepmatrix.comparison.history import lines
from deepmatrix.config import expected_failures, matrix_file
from deepmatrix.errors import CellFailed
from deepmatrix.fleet.launching import document
from deepmatrix.models import project
from deepmatrix.paths import SCHEMAS
from deepmatrix.planning import fan_out
from deepmatrix.results import rows


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a schema is stale"
    )


def run(options: argparse.Namespace) -> None:
    """Write the published JSON Schemas, or check that they are what the code says."""
    check_docstrings()
    documents = {
        "matrix.schema.json": matrix_file.schema(),
        "expected-failures.schema.json": expected_failures.schema(),
        "project.schema.json": project.schema(),
        "fleet.schema.json": document.schema(),
        "results.schema.json": rows.schema(),
        "comparison.schema.json": changes.schema(),
        "accepted.schema.json": accepted.schema(),
        "history.schema.json": lines.schema(),
        "jobs.schema.json": fan_out.schema(),
        "plan.schema.json": plan_table.schema(),
    }
    for name, text in documents.items():
        path = SCHEMAS / name
        if not options.check:
            writing.write_text(path, text)
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            raise CellFailed(f"{path.name} is stale", hint="run `nox -s schema`")
