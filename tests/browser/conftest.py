"""A real browser, and the pages that it opens. `nox -s browser` gives it as BROWSER.

Without that variable these tests are skipped: the other sessions have no browser.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepmatrix import reports
from deepmatrix.boundary.writing import write_text
from deepmatrix.cli import reporting
from deepmatrix.drawing.layout import Table
from deepmatrix.reports import html
from deepmatrix.reports.tables.study import evaluation
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.study import statements
from deepmatrix.study.decisions import decide
from deepmatrix.study.rating import packages, ratings
from tests.unit import pages
from tests.unit.examples import MATRIX
from tests.unit.test_recorded import unpack

playwright = pytest.importorskip("playwright.sync_api")


@pytest.fixture(scope="session")
def browser() -> Iterator[playwright.Browser]:
    path = os.environ.get("BROWSER_OF_TESTS")
    if not path:
        pytest.skip("nox -s browser runs these tests")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=path, args=["--no-sandbox"])


#: What the pages are of.
PAGES = (
    "matrix",
    "verification",
    "hostile",
    "comparison",
    "evaluation",
    "interrupted",
    "history",
    "slower",
)


def study_tables(runs: list[Results]) -> list[Table]:
    listed = packages.load()
    rated = ratings.rate(runs, MATRIX, listed)
    return evaluation.tables(rated, decide(statements.load(), runs, MATRIX), runs, listed)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the files of the pages, by what they are of."""
    folder = tmp_path_factory.mktemp("pages")
    unpack(folder)
    run = reports.Run.open(folder / "recorded")
    recorded = merging.merge([run])
    evidence = html.Evidence(folder=run.path)
    everything = " ".join(pages.HOSTILE)
    folders = pages.two_runs(folder)
    page = run.path / "comparison.html"
    comparison = reports.comparison_html(pages.compared(folders), html.beside(page, folders))
    study = html.beside(page, {recorded.run: run.path})
    sources = {
        "matrix": html.run_page(recorded, evidence),
        "verification": html.run_page(pages.drifting(), evidence),
        "hostile": html.run_page(pages.hostile(everything), evidence),
        "comparison": comparison,
        "evaluation": html.tables_page("Evaluation", study_tables([recorded]), study),
        "interrupted": html.run_page(pages.interrupted(recorded), evidence),
        "history": html.history_page(pages.many_series()),
    }
    slower = reports.Run.open(folders["head"])
    merged = [reporting.write(reports.Run.open(path)) for path in folders.values()]
    held = reporting.hold(slower, merged[-1])
    assert held.slower
    sources["slower"] = html.run_page(held, html.Evidence())
    default = pages.default_run(folder, run)
    sources["default"] = html.run_page(merging.merge([default]), html.Evidence())
    for name, source in sources.items():
        write_text(run.path / f"{name}.html", source)
    return {name: run.path / f"{name}.html" for name in sources}
