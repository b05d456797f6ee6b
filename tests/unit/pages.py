"""HTML pages as tests read them, and results whose names are hostile."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

from deepmatrix.comparison.changes import Comparison
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.history.lines import Measurement
from deepmatrix.comparison.history.series import Series, series
from deepmatrix.planning.plan import Job
from deepmatrix.reports import html
from deepmatrix.results import merging, remarks
from deepmatrix.results.rows import Results
from deepmatrix.store.records import JobRecord, log_path
from deepmatrix.store.runs import Run
from harness.record import LONGEST_REMARK
from tests.unit import verifications
from tests.unit.examples import new_run, planned, record
from tests.unit.test_compare import rounds_run

#: Names that others may give: markup, script, controls, text turned around, very long.
HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)> ' & {{ 7*7 }}",
    "</style></title><h1>heading</h1>",
    "\x1b[31mred\x00\x07",
    "abc\u202egnp.exe\u2066",
    "مرحبا بالعالم",
    "n" * 5000,
    "javascript:alert(1)",
    "../../../etc/passwd",
)


class Page(HTMLParser):
    """The tags and the text of a page. *tags*: names with attributes. *text*: what is read."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def links(self) -> list[str]:
        return [attributes["href"] for attributes in self.named("a")]


def page_of(results: Results, folder: Path | None = None) -> Page:
    """Return the page of a run."""
    return Page(html.run_page(results, html.Evidence(folder=folder)))


def default_run(parent: Path, recorded: Run) -> Run:
    """Return a run of the default preset, with a log for each job and a recorded run's figures."""
    records = [each for each in recorded.records() if each.output and each.status == "ok"]
    plan = planned()
    run = new_run(parent, plan)
    for job in (*plan.jobs("produce"), *plan.jobs("consume")):
        run.save(job, _as_recorded(job, records))
        log = run.path / log_path(job.cell, job.subject, job.round)
        log.parent.mkdir(exist_ok=True)
        log.touch()
    return run


def _as_recorded(job: Job, records: Sequence[JobRecord]) -> JobRecord:
    """Return a job's record with the measurements of the recorded one that is most alike."""
    alike = max(
        (each for each in records if each.wave == job.wave),
        key=lambda each: (each.subject == job.subject, each.workload == job.workload, -each.round),
    )
    assert alike.output
    mine = record(job)
    assert mine.output
    measured = {"records": alike.output.records, "canaries": alike.output.canaries}
    return mine.model_copy(
        update={
            "parity": alike.parity,
            "agreement": alike.agreement,
            "started_at": alike.started_at,
            "output": mine.output.model_copy(update=measured),
        }
    )


def idle() -> Results:
    """Return a verification in which three cells did not run, for two reasons."""
    good = verifications.results()
    reasons = ("the engine has no NVIDIA runtime", "excluded by --native")
    cells = tuple(
        good.cells[0].model_copy(
            update={"cell": f"idle{number}", "status": "not-run", "reason": reason, "jobs": 0}
        )
        for number, reason in enumerate((reasons[0], reasons[1], reasons[0]))
    )
    return good.model_copy(update={"cells": (*good.cells, *cells)})


def drifting() -> Results:
    """Return a verification whose wrong verdicts are problems, with errors along its graph."""
    good = verifications.results()
    wrong = [row for row in good.portability if row.verdict in ("drift", "unsupported")]
    errors = tuple((number, 10.0 ** (number / 30 - 6)) for number in range(0, 122, 10))
    return good.model_copy(
        update={
            "problems": tuple(map(remarks.row_problem, wrong)),
            "nodes": tuple(row.model_copy(update={"errors": errors}) for row in good.nodes),
        }
    )


def hostile(name: str) -> Results:
    """Return a verification in which everything that others name has this name."""
    good = drifting()
    model = good.models[0].model_copy(
        update={"name": name, "source": name, "judged_by": {name: name}, "remarks": (name,)}
    )
    judged = tuple(
        row.model_copy(
            update={
                "model": name,
                "reason": name,
                "worst_output": name,
                "basis": name,
                "outputs": tuple(
                    output.model_copy(update={"name": name, "note": name}) for output in row.outputs
                ),
                "cause": row.cause
                and row.cause.model_copy(
                    update={"text": name, "node": name, "reproduce": name, "model": name}
                ),
            }
        )
        for row in good.portability
    )
    names = {"node": name, "tensor": name, "kind": name[:LONGEST_REMARK]}
    nodes = tuple(
        row.model_copy(
            update={
                "model": name,
                "note": name,
                "largest": tuple(node.model_copy(update=names) for node in row.largest),
            }
        )
        for row in good.nodes
    )
    return good.model_copy(
        update={
            "run": name,
            "models": (model,),
            "portability": judged,
            "nodes": nodes,
            "warnings": (name,),
            "problems": (*map(remarks.row_problem, judged), name),
            "findings": (name,),
        }
    )


def empty(*problems: str) -> Results:
    """Return results of a run that had no cell, and what it was refused for."""
    full = drifting()
    nothing = {name: () for name, value in full if isinstance(value, tuple)}
    return full.model_copy(update={**nothing, "problems": problems})


def interrupted(results: Results) -> Results:
    """Return results in which most verdicts are pending, and a problem each."""
    pending = {"verdict": "not-run", "reason": "the job has not run", "pending": True}
    rows = tuple(
        row.model_copy(update=pending) if number % 4 else row
        for number, row in enumerate(results.portability)
    )
    problems = tuple(remarks.row_problem(row) for row in rows if row.pending)
    return results.model_copy(update={"portability": rows, "problems": problems})


def two_runs(folder: Path) -> dict[str, Path]:
    """Return two runs with records and logs in a folder; one runtime became slower."""
    folders = {
        "base": rounds_run(folder, "before", 1),
        "head": rounds_run(folder, "after", 2, slower=1.5, operators={"Conv": 0.9}),
    }
    for path in folders.values():
        (path / "logs").mkdir(exist_ok=True)
        for each in Run(path=path).records():
            (path / "logs" / f"{each.job}.log").write_text("a log")
    return folders


def compared(folders: dict[str, Path]) -> Comparison:
    """Return the comparison of two runs; in the later one many consumers fail anew."""
    base, head = (merging.merge([Run(path=path)]) for path in folders.values())
    failed = {"verdict": "error", "reason": "infer: RuntimeError: " + "no kernel for it " * 20}
    rows = tuple(
        row.model_copy(update=failed) if number % 5 == 0 else row
        for number, row in enumerate(head.portability)
    )
    head = head.model_copy(update={"portability": rows})
    return compare_results(base, head, ("before", "after"))


def many_series(count: int = 30, runs: int = 12, since: int = 6) -> list[Series]:
    """Return series of times, the first of which grew by half in a run."""
    return series(
        [
            Measurement(
                run=f"run{run}",
                created=f"2026-01-{run + 1:02}T12:00:00+00:00",
                version="0.1.0",
                series=f"onnxruntime-debian12-amd64-cpu/model{number}--onnx/inference/1",
                cell="onnxruntime-debian12-amd64-cpu",
                subject=f"model{number}--onnx",
                quantity="inference",
                batch=1,
                unit="s",
                value=1e-3 * (1.5 if not number and run >= since else 1) * (1 + run % 3 / 100),
                machine="a processor",
            )
            for number in range(count)
            for run in range(runs)
        ]
    )
