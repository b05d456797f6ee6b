"""How the HTML report scales: 10,000 verdicts, 100,000 records; size, time, memory, browser.

Run with ``nox -s benchmark -- report``. Records are written by the code that writes real ones;
each page is made in a fresh process, which reads them, and merges them, first. Where there is a
browser (``BROWSER_OF_TESTS``, and Playwright), it says when the page paints first, and how long a
filter takes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.scale import write_records  # noqa: E402
from deepmatrix import reports  # noqa: E402
from deepmatrix.reports import html  # noqa: E402
from deepmatrix.results import merging  # noqa: E402
from deepmatrix.results.rows import Results  # noqa: E402
from deepmatrix.store.runs import Run  # noqa: E402

RECORDS = 100_000
VERDICTS = 10_000


def wide(results: Results) -> Results:
    """Return results with 10,000 verdicts: every tenth one drifts."""
    rows = tuple(
        row.model_copy(
            update={
                "verdict": "match" if number % 10 else "drift",
                "error": 1e-8 * (1 + number % 97),
                "tolerance": 2e-6,
                "basis": "16 times the producer's own error",
                "reason": "" if number % 10 else "error 1.0e-05 is above 2.0e-06",
            }
        )
        for number, row in enumerate(results.portability[:VERDICTS])
    )
    return results.model_copy(update={"portability": rows})


def write_page(folder: Path, *, is_wide: bool) -> None:
    """Write the page of a run in this process; print its size, seconds, and bytes of memory."""
    run = Run.open(folder)
    begin = time.perf_counter()
    if is_wide:
        results = wide(Results.model_validate_json((folder / "results.json").read_bytes()))
        start = time.perf_counter()
        (folder / "wide.html").write_text(html.run_page(results, html.Evidence(folder=folder)))
        written = folder / "wide.html"
    else:
        results = merging.merge([run])
        start = time.perf_counter()
        reports.write(run, results)
        written = folder / "report.html"
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # the largest of several
    print(
        json.dumps(
            {
                "verdicts": len(results.portability),
                "page_bytes": written.stat().st_size,
                "read_s": start - begin,
                "write_s": seconds,
                "peak_bytes": peak,
                "largest_child_bytes": child,
            }
        )
    )


def look(page_path: Path) -> dict[str, float]:
    """Return when a page paints first, and how long filters take, in milliseconds."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only with a browser

    with sync_playwright() as started:
        program = os.environ["BROWSER_OF_TESTS"]
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(page_path.as_uri())
        page.wait_for_function(
            "performance.getEntriesByName('first-contentful-paint').length > 0", timeout=60_000
        )
        figures = page.evaluate(
            """() => {
              const paint = performance.getEntriesByName("first-contentful-paint")[0].startTime;
              const time = (change) => {
                const start = performance.now();
                change();
                document.body.offsetHeight;
                return performance.now() - start;
              };
              const form = document.getElementById("filter");
              const filter = (name, value) => time(() => {
                form.elements[name].value = value;
                form.dispatchEvent(new Event("input"));
              });
              return {
                paint_ms: paint,
                filter_cell_ms: filter("cell", "onnxruntime7"),
                filter_verdict_ms: filter("verdict", "drift"),
                unfiltered_ms: filter("cell", ""),
                scroll_ms: time(() => scrollTo(0, document.body.scrollHeight / 2)),
              };
            }"""
        )
        browser.close()
    return dict(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--wide", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--records", type=int, default=RECORDS)
    options = parser.parse_args()
    if options.page:
        write_page(options.page, is_wide=options.wide)
        return
    with tempfile.TemporaryDirectory() as parent:
        run = write_records(Path(parent), options.records)
        for further in ([], ["--wide"]):
            command = [sys.executable, __file__, "--page", str(run.path), *further]
            ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            figures = json.loads(ended.stdout)
            if further and os.environ.get("BROWSER_OF_TESTS"):
                figures |= look(run.path / "wide.html")
            print(", ".join(f"{name} {value:,.4g}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
