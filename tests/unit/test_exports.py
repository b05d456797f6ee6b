"""Results in other tools' formats: each is what its definition says."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import pyperf
import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from deepmatrix import reports
from deepmatrix.cli import main
from deepmatrix.errors import ArgumentError
from deepmatrix.reports import junit
from deepmatrix.reports.exports import EXPORTS, model_explorer
from deepmatrix.reports.exports.measurements import measurements
from deepmatrix.reports.review import Review
from deepmatrix.results import merging, remarks
from deepmatrix.store.causes import NodeError, NodeErrors
from deepmatrix.store.runs import Run
from tests import planted
from tests.unit import verifications
from tests.unit.test_results import whole
from tests.unit.test_widths import whole_results

#: https://bencher.dev/docs/reference/bencher-metric-format has this schema.
NUMBER = {"type": "number"}
BENCHER: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema",
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {
                        "value": NUMBER,
                        "lower_value": NUMBER,
                        "upper_value": NUMBER,
                    },
                    "required": ["value"],
                }
            },
        }
    },
}

#: Written from https://github.com/benchmark-action/github-action-benchmark: its README on custom
#: benchmarks, and its type `BenchmarkResult`. It publishes no schema, and no package of its code.
TEXT = {"type": "string", "minLength": 1}
BENCHMARK_ACTION: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": TEXT, "unit": TEXT, "value": NUMBER, "range": TEXT, "extra": TEXT},
        "required": ["name", "unit", "value"],
        "additionalProperties": False,
    },
}

#: What in-toto's definitions leave to the text of https://github.com/in-toto/attestation:
#: spec/v1/statement.md, spec/v1/resource_descriptor.md and spec/predicates/test-result.md.
DIGEST = {
    "type": "object",
    "properties": {"sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
    "minProperties": 1,
}
DESCRIPTOR: dict[str, Any] = {
    "type": "object",
    "properties": {"name": TEXT, "uri": TEXT, "digest": DIGEST},
    "anyOf": [{"required": [key]} for key in ("uri", "digest", "content")],
}
NAMES = {"type": "array", "items": TEXT, "uniqueItems": True}
IN_TOTO: dict[str, Any] = {
    "type": "object",
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {
            "type": "array",
            "minItems": 1,
            "items": {**DESCRIPTOR, "required": ["digest"]},
        },
        "predicateType": {"const": "https://in-toto.io/attestation/test-result/v0.1"},
        "predicate": {
            "type": "object",
            "properties": {
                "result": {"enum": ["PASSED", "WARNED", "FAILED"]},
                "configuration": {"type": "array", "items": DESCRIPTOR},
                "url": TEXT,
                "passedTests": NAMES,
                "warnedTests": NAMES,
                "failedTests": NAMES,
            },
            "required": ["result", "configuration"],
        },
    },
    "required": ["_type", "subject", "predicateType", "predicate"],
}


def check_statement(document: dict[str, Any]) -> None:
    """Read a statement by in-toto's own definitions, and by what only their text says."""
    read = json_format.Parse(json.dumps(document), statement_pb2.Statement())
    Statement.copy_from_pb(read).validate()
    result = json_format.Parse(json.dumps(document["predicate"]), test_result_pb2.TestResult())
    for descriptor in result.configuration:
        ResourceDescriptor.copy_from_pb(descriptor).validate()
    jsonschema.validate(document, IN_TOTO)


@pytest.mark.parametrize("make", [verifications.results, whole_results])
def test_bencher_has_latencies_in_nanoseconds_by_benchmark(make: Any) -> None:
    document = json.loads(EXPORTS["bencher"](make()))
    jsonschema.validate(document, BENCHER)
    assert document
    assert all(0 < len(name) <= 1024 for name in document)
    assert all(len(measure) <= 64 for metrics in document.values() for measure in metrics)


def test_bencher_says_what_was_measured() -> None:
    document = json.loads(EXPORTS["bencher"](verifications.results()))
    latency = document["resnet50 on onnxruntime-debian12-amd64-cpu, batch 1"]["latency"]
    assert latency == {"value": pytest.approx(1.23e6)}
    assert not [name for name in document if "arm64" in name and "batch" in name], "emulated"


def test_an_interval_is_given_where_there_are_rounds(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    document = json.loads(EXPORTS["bencher"](results))
    metrics = [metric["latency"] for metric in document.values() if "latency" in metric]
    assert metrics
    for metric in metrics:
        if "lower_value" in metric:
            assert metric["lower_value"] <= metric["value"] <= metric["upper_value"]


@pytest.mark.parametrize("make", [verifications.results, whole_results])
def test_github_action_benchmark_has_named_values(make: Any) -> None:
    document = json.loads(EXPORTS["github-action-benchmark"](make()))
    jsonschema.validate(document, BENCHMARK_ACTION)
    assert document


def test_github_action_benchmark_has_a_name_for_each_series() -> None:
    document = json.loads(EXPORTS["github-action-benchmark"](verifications.results()))
    names = [entry["name"] for entry in document]
    assert len(set(names)) == len(names)


needs_evaluator = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="no cell of the evaluator has this Python"
)


@needs_evaluator
def test_an_in_toto_statement_is_about_the_bytes_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(planted.model(), path)
    runs = ["--runs", str(tmp_path / "runs"), "--name", "one"]
    cells = ["--only", "onnxruntime-debian12-amd64-cpu", "--only", "onnx-debian12-amd64-cpu"]
    assert main.main(["verify", str(path), "--engine", "here", *cells, *runs]) == 0
    exported = tmp_path / "statement.jsonl"
    words = ["merge", str(tmp_path / "runs" / "one"), "--export", f"in-toto={exported}"]
    assert main.main(words) == 0
    (line,) = exported.read_text().splitlines()
    statement = json.loads(line)
    check_statement(statement)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert statement["subject"] == [{"name": path.as_posix(), "digest": {"sha256": digest}}]
    assert statement["predicate"]["result"] == "PASSED"
    assert statement["predicate"]["passedTests"] == ["onnxruntime-debian12-amd64-cpu"]


@needs_evaluator
def test_a_damaged_model_has_a_statement_that_it_failed(tmp_path: Path) -> None:
    good, damaged = tmp_path / "net.onnx", tmp_path / "damaged.onnx"
    onnx.save(planted.model(), good)
    damaged.write_bytes(good.read_bytes()[:-7])
    runs = ["--runs", str(tmp_path / "runs"), "--name", "one"]
    cells = ["--only", "onnxruntime-debian12-amd64-cpu", "--only", "onnx-debian12-amd64-cpu"]
    words = ["verify", str(good), str(damaged), "--engine", "here", *cells, *runs]
    assert main.main(words) == 1
    statements = EXPORTS["in-toto"](merging.merge([Run.open(tmp_path / "runs" / "one")]))
    by_digest = {}
    for statement in map(json.loads, statements.splitlines()):
        jsonschema.validate(statement, IN_TOTO)
        (subject,) = statement["subject"]
        by_digest[subject["name"], subject["digest"]["sha256"]] = statement["predicate"]["result"]
    assert by_digest == {
        (path.as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()): result
        for path, result in ((good, "PASSED"), (damaged, "FAILED"))
    }


def test_where_one_export_is_refused_none_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pointer = tmp_path / "net.onnx"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1234\n")
    assert main.main(["verify", str(pointer), "--engine=here", f"--runs={tmp_path / 'runs'}"]) == 2
    (run,) = (tmp_path / "runs").glob("2*")
    names = {"bencher": tmp_path / "b.json", "in-toto": tmp_path / "t.jsonl"}
    exports = [f"--export={name}={path}" for name, path in names.items()]
    capsys.readouterr()
    assert main.main(["merge", str(run), *exports]) == 2
    assert f"{run.name} has the files of no model of yours" in capsys.readouterr().err
    assert not [path for path in names.values() if path.exists()]
    assert main.main(["bench", "onnx*", "--run", str(run), "--engine", "here"]) == 2
    assert f"hint: cells of {run.name}: none\n" in capsys.readouterr().err


def test_a_statement_says_what_failed_and_which_image_served() -> None:
    results = verifications.results()
    (model,) = results.models
    model = model.model_copy(update={"sha256": {"model.onnx": "0" * 64}})
    cells = [row.model_copy(update={"image_id": f"sha256:{'1' * 64}"}) for row in results.cells]
    results = results.model_copy(update={"models": (model,), "cells": tuple(cells)})
    statement = json.loads(EXPORTS["in-toto"](results))
    check_statement(statement)
    predicate = statement["predicate"]
    assert predicate["result"] == "FAILED"
    assert "openvino_default-debian13-arm64-cpu" in predicate["failedTests"]
    assert {"name": "openvino-debian12-amd64-cpu", "digest": {"sha256": "1" * 64}} in predicate[
        "configuration"
    ]


def test_a_statement_of_a_run_that_broke_a_budget_is_no_pass() -> None:
    results = verifications.results()
    (model,) = results.models
    model = model.model_copy(update={"sha256": {"model.onnx": "0" * 64}})
    matches = tuple(row for row in results.portability if row.verdict == "match")
    kept = results.model_copy(update={"models": (model,), "portability": matches})
    assert json.loads(EXPORTS["in-toto"](kept))["predicate"]["result"] == "PASSED"
    line = "resnet50 on onnxruntime-debian12-amd64-cpu: p99 5 ms is over the budget of 1 ms"
    broken = kept.model_copy(update={"over_budget": (line,)})
    statement = json.loads(EXPORTS["in-toto"](broken))
    check_statement(statement)
    assert statement["predicate"]["result"] == "FAILED"
    assert statement["predicate"]["failedTests"] == [f"budget: {line}"]
    assert statement["predicate"]["passedTests"]


@pytest.mark.parametrize(
    ("verdicts", "expected", "result"),
    [
        ((), "", "FAILED"),
        (("not-run", "not-run"), "", "FAILED"),
        (("not-run", "not-run"), "no such cell here", "FAILED"),
        (("match", "error"), "a known bug", "WARNED"),
        (("match", "error"), "", "FAILED"),
        (("match", "match"), "", "PASSED"),
    ],
)
def test_a_statement_passes_only_what_matched(
    verdicts: tuple[str, ...], expected: str, result: str
) -> None:
    results = verifications.results()
    (model,) = results.models
    rows = tuple(
        row.model_copy(update={"verdict": verdict, "expected_failure": expected})
        for row, verdict in zip(results.portability, verdicts, strict=False)
    )
    signed = model.model_copy(update={"sha256": {"model.onnx": "0" * 64}})
    results = results.model_copy(update={"models": (signed,), "portability": rows})
    statement = json.loads(EXPORTS["in-toto"](results))
    check_statement(statement)
    assert statement["predicate"]["result"] == result


@pytest.mark.parametrize(
    ("format", "source", "names"),
    [
        ("onnx", "a/net.onnx", {"model.onnx": "a/net.onnx", "deep/w.bin": "a/deep/w.bin"}),
        ("onnx", "model.onnx", {"model.onnx": "model.onnx"}),
        ("ncnn", "a/n.param", {"ncnn/model.param": "a/n.param", "ncnn/model.bin": "a/n.bin"}),
        ("openvino-ir", "a/net.xml", {"model.xml": "a/net.xml", "model.bin": "a/net.bin"}),
        ("saved-model", "b/saved", {"saved_model/variables/0": "b/saved/variables/0"}),
    ],
)
def test_the_subject_of_a_statement_is_the_file_that_the_user_named(
    format: str, source: str, names: dict[str, str]
) -> None:
    results = verifications.results()
    (model,) = results.models
    files = dict.fromkeys(names, "0" * 64)
    model = model.model_copy(update={"format": format, "source": source, "sha256": files})
    statement = json.loads(EXPORTS["in-toto"](results.model_copy(update={"models": (model,)})))
    assert [subject["name"] for subject in statement["subject"]] == list(names.values())


def test_a_consumer_is_named_by_its_id_which_has_its_instruction_set() -> None:
    results = verifications.results()
    (model,) = results.models
    plain = next(row for row in results.portability if row.verdict == "drift")
    ids = {isa: plain.consumer.replace("-", f"_{isa}-", 1) for isa in ("haswell", "zen4")}
    rows = (plain.model_copy(update={"consumer": ids[isa], "isa": isa}) for isa in ids)
    problems = {
        "models": (model.model_copy(update={"sha256": {"model.onnx": "0" * 64}}),),
        "portability": (swept := tuple(rows)),
        "problems": tuple(map(remarks.row_problem, swept)),
    }
    results = results.model_copy(update=problems)
    review = Review(runs=(results,))
    statement = json.loads(EXPORTS["in-toto"](results))
    assert statement["predicate"]["failedTests"] == list(ids.values())
    errors = [each.subject for each in measurements(results) if each.quantity == "error"]
    assert errors == [f"resnet50 on {name}" for name in ids.values()]
    for name in ids.values():
        assert f"`{name}`" in reports.comment_page(review)
        assert f'classname="{name}"' in junit.document(results)
    (annotation,) = reports.annotation_lines(review)
    assert f"drift on {ids['haswell']} and 1 other cell::" in annotation


def test_node_data_of_model_explorer_shows_errors_over_tolerances() -> None:
    nodes = [
        NodeError(node="c", kind="Conv", tensor="g", error=1e-8, added=1e-8, tolerance=1e-6),
        NodeError(node="s", kind="Split", tensor="a", error=2e-6, added=0.0, tolerance=1e-6),
        NodeError(node="s", kind="Split", tensor="b", error=1e-7, added=0.0, tolerance=1e-6),
        NodeError(node="l", kind="Log", tensor="n", error=None, added=None, tolerance=1e-6),
    ]
    measured = NodeErrors(artifact="a--own--onnx", consumer="c", nodes=tuple(nodes))
    data = json.loads(model_explorer.document(measured))
    shares = {name: entry["value"] for name, entry in data["results"].items()}
    assert shares["c"] == shares["g"] == pytest.approx(0.01)
    assert shares["s"] == pytest.approx(2.0)  # the worst of its tensors
    assert shares["n"] == data["thresholds"][-1]["value"]


def test_a_run_without_latencies_is_no_suite_of_pyperf() -> None:
    results = verifications.results().model_copy(update={"inference": ()})
    with pytest.raises(ArgumentError, match="has no native latency") as refused:
        EXPORTS["pyperf"](results)
    assert refused.value.hint


def test_a_run_without_own_models_has_no_statement(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="has the files of no model of yours"):
        EXPORTS["in-toto"](merging.merge([whole(tmp_path)]))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("benchr=x.json", "'benchr' is not a format of results; did you mean 'bencher'?"),
        ("bencher", "'bencher' names no file; write bencher=FILE"),
    ],
)
def test_a_wrong_export_says_what_is_wrong(
    value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["merge", "run", "--export", value]) == 2
    assert message in capsys.readouterr().err


def test_pyperf_compares_two_suites(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    base, head = tmp_path / "base.json", tmp_path / "head.json"
    base.write_text(EXPORTS["pyperf"](results), "utf-8")
    suite = json.loads(base.read_text("utf-8"))
    for benchmark in suite["benchmarks"]:
        for run in benchmark["runs"]:
            run["values"] = [2 * value for value in run["values"]]
    head.write_text(json.dumps(suite), "utf-8")
    names = pyperf.BenchmarkSuite.load(str(base)).get_benchmark_names()
    latencies = [each for each in measurements(results) if each.quantity == "latency"]
    assert names
    assert set(names) == {each.subject for each in latencies}
    command = [sys.executable, "-m", "pyperf", "compare_to", "--table", str(base), str(head)]
    compared = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert compared.count("2.00x slower") == len(names) + 1  # and their geometric mean


def test_a_statement_names_no_image_of_a_cell_that_served_nothing() -> None:
    results = verifications.results()
    (model,) = results.models
    idle = "openvino-debian12-amd64-cpu"
    update = {
        "models": (model.model_copy(update={"sha256": {"model.onnx": "0" * 64}}),),
        "cells": tuple(
            row.model_copy(update={"image_id": f"sha256:{'1' * 64}"}) for row in results.cells
        ),
        "portability": tuple(row for row in results.portability if row.consumer != idle),
    }
    statement = json.loads(EXPORTS["in-toto"](results.model_copy(update=update)))
    named = {entry["name"] for entry in statement["predicate"]["configuration"]}
    judges = {row.consumer for row in results.portability if row.judges}
    assert named == {"deepmatrix", *(row.cell for row in results.cells)} - judges - {idle}
