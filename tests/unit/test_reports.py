"""The reports say the same as the results, on a console, as Markdown and as JUnit XML."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from dataclasses import asdict
from pathlib import Path

import jsonschema
import pytest
import xmlschema
from rich.console import Console

from deepmatrix import reports
from deepmatrix.cli import plan_table
from deepmatrix.drawing import numbers
from deepmatrix.paths import ROOT, SCHEMAS
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.selection import Selection
from deepmatrix.reports import junit, markdown
from deepmatrix.reports.tables import deployment, result_tables
from deepmatrix.results import merging, remarks, rows
from deepmatrix.results.timing.rows import ExportRow
from deepmatrix.results.timing.statistics import Estimate
from tests.unit import verifications
from tests.unit.examples import DOCKER, MATRIX, planned
from tests.unit.pages import drifting
from tests.unit.test_results import PLAN, all_jobs, new_run, record, whole

SCHEMA = SCHEMAS / "results.schema.json"


def shown(results: rows.Results) -> str:
    console = Console(file=io.StringIO(), width=200, no_color=True)
    reports.show(console, results, all_tables=True)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(54.123, "54.1 s"), (1.2, "1.20 s"), (0.00712, "7.12 ms"), (7.1e-8, "0.07 µs"), (None, "–")],
)
def test_durations_have_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_an_interval_is_in_the_unit_of_its_median() -> None:
    estimate = Estimate(median=0.0012, low=0.00118, high=0.00125, samples=9, rounds=3)
    assert numbers.interval(estimate) == "1.20 [1.18, 1.25] ms"


def test_one_round_claims_no_interval() -> None:
    estimate = Estimate(median=0.0012, low=0.00118, high=0.00125, samples=9, rounds=1)
    assert numbers.interval(estimate) == "1.20 ms"


def test_emulated_times_are_marked_and_come_after_the_native_ones(tmp_path: Path) -> None:
    text = shown(merging.merge([whole(tmp_path)]))
    training = text[text.index("Training") : text.index("Inference")]
    lines = [line for line in training.splitlines() if line.lstrip().startswith("digits-conv")]
    assert "(emulated)" not in lines[0]
    assert "(emulated)" in lines[-1]
    assert "all as expected" in text


def test_what_emulated_cells_took_is_no_time_in_the_summary(tmp_path: Path) -> None:
    summary = result_tables(merging.merge([whole(tmp_path)]))[0]
    assert summary.title == "Summary"
    is_time = {line.texts[0]: line.texts[-1] != "emulated" for line in summary.rows}
    assert set(is_time.values()) == {True, False}
    assert all(is_native != ("(emulated)" in cell) for cell, is_native in is_time.items())


def test_matrix_libraries_are_shown_for_cells_that_train(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    blas = "OpenBLAS 0.3.13, core Prescott"
    cells = tuple(
        cell.model_copy(update={"environment": {"blas": blas, "processor": "a Xeon"}})
        for cell in results.cells
    )
    (table,) = [
        table
        for table in result_tables(results.model_copy(update={"cells": cells}))
        if table.title == "Matrix products"
    ]
    trained = {row.cell for row in results.training}
    assert {line.texts[0].removesuffix(" (emulated)") for line in table.rows} == trained
    assert {line.texts[1:] for line in table.rows} == {(blas, "a Xeon")}


def test_inference_shows_one_native_model_of_a_framework_and_format(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    (table,) = [
        candidate
        for candidate in result_tables(results)
        if candidate.title == "Inference: digits-conv"
    ]
    keys = [line.texts[:2] for line in table.rows]
    assert not any("(emulated)" in cell for cell, _ in keys)
    natives = {row.cell for row in results.inference if not row.emulated}
    assert len(keys) == len(set(keys)) <= len(results.inference)
    assert {cell for cell, _ in keys} == natives
    assert ("onnxruntime-debian12-amd64-cpu", "onnx of torch-debian12-amd64-cpu") in keys
    assert not any(model.endswith("of torch-debian13-arm64-cpu") for _, model in keys)


def test_exports_name_each_exporter_once(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    written = {
        "onnx": "tf2onnx 1.17.0",
        "saved-model": "keras 3",
        "tflite": "keras 3",
        "cntk": None,
    }
    row = ExportRow(cell="a", workload="w", format="-", emulated=False, bytes=1, export_s=1.0)
    exported = [
        row.model_copy(update={"format": format_name, "exporter": by})
        for format_name, by in written.items()
    ]
    old = row.model_copy(update={"cell": "b", "format": "onnx"})
    table = deployment.exports(results.model_copy(update={"exports": (*exported, old)}))
    assert table.titles[-1] == "exporters"
    assert [line.texts[-1] for line in table.rows] == ["tf2onnx 1.17.0; keras 3", numbers.DASH]


def test_verdicts_are_by_consumer_and_producer_with_errors(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    (table,) = [
        candidate
        for candidate in result_tables(results)
        if candidate.title == "Portability: digits-conv"
    ]
    assert table.rows[0].texts[0] == "the producer itself"
    rows = {line.texts[0]: line.texts for line in table.rows}
    assert rows["onnxruntime-debian12-amd64-cpu"][1:3] == ("onnx", "match 2.0e-07")
    assert len(table.columns) == 2 + len(PLAN.producers())


def test_a_matrix_begins_with_its_summary_and_has_the_errors_of_nodes_after_the_verdicts(
    tmp_path: Path,
) -> None:
    results = merging.merge([whole(tmp_path)]).model_copy(update={"nodes": drifting().nodes})
    titles = [table.title for table in result_tables(results)]
    assert titles[0] == "Summary"
    verdicts = max(at for at, title in enumerate(titles) if title.startswith("Portability"))
    assert titles.index("Errors along the graph") > verdicts


def test_interfaces_are_the_languages_in_which_a_model_ran(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    (table,) = [
        candidate for candidate in result_tables(results) if candidate.title == "Interfaces"
    ]
    ((language, by, matched, record_of),) = (line.texts for line in table.rows)
    count = len(results.portability)
    assert (language, matched) == ("Python", f"{count} of {count}")
    assert by == "onnxruntime, torch"
    assert record_of.startswith("records/")


def test_every_problem_is_on_the_console_and_in_the_markdown(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    for job in all_jobs(PLAN):
        run.save(job, record(job, status="crashed", cause="killed by SIGSEGV | x", output=None))
    results = merging.merge([run])
    assert results.problems
    text = shown(results)
    assert "killed by SIGSEGV" in text
    reports.write(run, results)
    markdown = (run.path / "report.md").read_text()
    assert "killed by SIGSEGV \\| x" in markdown
    assert "not as expected" in markdown


def test_the_markdown_has_what_is_worst_first() -> None:
    results = drifting()
    wrong = [row for row in results.portability if row.verdict in ("drift", "unsupported")]
    problems = [remarks.row_problem(row) for row in wrong]
    reversed_problems = tuple(sorted(problems, key=lambda line: "unsupported" not in line))
    text = markdown.document(results.model_copy(update={"problems": reversed_problems}))
    listed = text.partition("not as expected:**")[2]
    assert listed.index(": drift: ") < listed.index(": unsupported: ")


def test_a_report_that_is_too_long_for_a_job_summary_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepmatrix.reports import markdown

    monkeypatch.setattr(markdown, "LONGEST", 2000)
    text = markdown.document(merging.merge([whole(tmp_path)]))
    assert len(text.encode()) < 2100
    assert text.endswith("(cut: see results.json for the rest)\n")


def test_junit_counts_failures_and_skips(tmp_path: Path) -> None:
    run = whole(tmp_path)
    job = next(PLAN.jobs("consume"))
    run.save(job, record(job, status="crashed", cause="bad \x00 byte", agreement=None))
    reports.write(run, merging.merge([run]))
    root = ET.parse(run.path / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    assert suites["portability"].get("failures") == "1"
    assert suites["training"].get("failures") == "0"
    assert int(suites["portability"].get("tests", 0)) == len(list(suites["portability"]))


#: Jenkins' own, of https://github.com/jenkinsci/xunit-plugin, under the MIT licence that it holds.
JUNIT = xmlschema.XMLSchema(str(ROOT / "tests" / "schemas" / "junit-10.xsd"))


def follows_junit(document: str) -> ET.Element:
    """Return the root of a document. Raises XMLSchemaValidationError where it is not allowed."""
    root = ET.fromstring(document)
    JUNIT.validate(root)
    return root


@pytest.mark.parametrize(
    "wrong",
    [
        "<testsuites><testsuite name='a' tests='1' failures='0'/></testsuites>",
        "<testsuites><testcase name='a'/></testsuites>",
        "<testsuites result='good'/>",
    ],
)
def test_what_jenkins_does_not_allow_is_found(wrong: str) -> None:
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        follows_junit(wrong)


def test_junit_is_as_jenkins_defines_it(tmp_path: Path) -> None:
    for results in (verifications.results(), merging.merge([whole(tmp_path)])):
        assert len(follows_junit(junit.document(results)))


def test_junit_skips_an_expected_failure_and_says_why() -> None:
    results = verifications.results("openvino_default-debian13-arm64-cpu")
    (row,) = results.portability
    row = row.model_copy(update={"expected_failure": "float16 is fine"})
    root = ET.fromstring(junit.document(results.model_copy(update={"portability": (row,)})))
    (suite,) = [suite for suite in root if suite.get("name") == "portability"]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")
    (skipped,) = suite.iter("skipped")
    assert skipped.get("message") == "expected failure: drift: float16 is fine"


def test_results_json_follows_its_published_schema(tmp_path: Path) -> None:
    run = whole(tmp_path)
    reports.write(run, merging.merge([run]))
    document = json.loads((run.path / "results.json").read_text())
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(document, schema)
    assert SCHEMA.read_text() == rows.schema()


def test_the_plan_document_counts_what_the_plan_does() -> None:
    plan = planned()
    document = plan_table.document(plan, "docker")
    jobs = {wave: len(list(plan.jobs(wave))) for wave in ("produce", "consume")}
    assert asdict(document.jobs) == jobs
    assert len(document.artifacts) == len(list(plan.artifacts()))
    reasons = {skipped.reason for skipped in document.skipped}
    assert "the engine has no NVIDIA runtime" in reasons
    assert "" not in reasons


def test_a_matrix_ends_with_a_summary_of_a_line_for_each_cell(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    console = Console(file=io.StringIO(), width=80, no_color=True)
    reports.show(console, results)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[1] == "Summary"
    for cell in results.cells:
        assert sum(line.startswith(f"{cell.cell} ") for line in lines) == (cell.jobs > 0)
    assert "Training" not in lines


def test_the_plan_table_counts_one_thing_in_the_singular() -> None:
    cell = "torch-debian12-amd64-cpu"
    selection = Selection(preset="smoke", include=(cell,))
    plan = plan_matrix(MATRIX, selection, DOCKER, seed=0)
    note = plan_table.table(plan, "docker").note
    assert "Produce: 1 job, 1 workload, 3 artifacts." in note
