"""The harness where something fails: a failure becomes data, or ends the process."""

import json
import platform
import sys

import numpy as np
import pytest

from deepmatrix.store.reported.output import Output
from harness import control
from tests.inside.conftest import (
    LINEAR,
    PHASES,
    consumption,
    data_of,
    errors,
    production,
    statuses,
    write_inputs,
)


@pytest.mark.parametrize(
    ("fault", "kind"), [("train", "RuntimeError"), ("quit", "SystemExit"), ("diverge", "Diverged")]
)
def test_a_failing_step_is_data_and_says_where(cell, fault, kind):
    output = cell.run(production(phases=["train", "deploy", "infer"]), fault=fault)
    assert statuses(output) == {"train": "failed", "deploy": "failed", "infer": "ok"}
    assert errors(output) == {"train": kind, "deploy": "NotReached"}
    assert "train did not succeed" in output["records"][1]["error"]["message"]
    assert "line" in output["records"][0]["error"]["traceback"]


def test_a_held_out_loss_that_is_no_number_fails_training_and_keeps_its_samples(cell):
    output = cell.run(production(phases=["train"]), fault="blind")
    trained = data_of(output, "train")
    assert errors(output) == {"train": "Diverged"}
    assert "held-out" in output["records"][0]["error"]["message"]
    assert len(trained["losses"]) == len(trained["step_s"]) > 0
    assert "test_loss" not in trained


def test_a_message_that_is_not_unicode_can_be_read_by_the_host(cell):
    output = cell.run(production(phases=["train"]), fault="surrogate")
    assert output["records"][0]["error"]["message"] == "no such file: ?.bin"
    Output.model_validate_json((cell.control / "output.json").read_bytes())


def test_what_json_cannot_say_becomes_null(tmp_path):
    worst = {"a": [1.5, float("nan"), {"b": (float("inf"), -float("inf"), True, "NaN")}]}
    control.write_output(str(tmp_path), worst)
    written = json.loads((tmp_path / "output.json").read_text())
    assert written == {"a": [1.5, None, {"b": [None, None, True, "NaN"]}]}


def test_one_bad_format_fails_only_itself(cell):
    output = cell.run(production(formats=["saved-model", "torch-export", "onnx", "origami"]))
    assert statuses(output)["deploy"] == "failed"
    assert statuses(output)["infer"] == "ok"
    formats = data_of(output, "deploy")["formats"]
    assert {format_name: entry["status"] for format_name, entry in formats.items()} == {
        "saved-model": "failed",
        "torch-export": "unsupported",
        "onnx": "ok",
        "origami": "unsupported",
    }
    assert [entry["format"] for entry in output["artifacts"]] == ["onnx"]
    assert not (cell.control / "artifacts" / "saved-model").exists()
    assert "No space left" in formats["saved-model"]["error"]["message"]


def test_a_network_that_a_framework_cannot_express_is_unsupported(cell):
    document = production()
    document["workload"]["network"] = {
        **LINEAR,
        "layers": [{"name": "spin", "kind": "rotate"}, *LINEAR["layers"]],
    }
    output = cell.run(document)
    assert statuses(output)["startup"] == "unsupported"
    assert errors(output)["startup"] == "Unsupported"


@pytest.mark.parametrize("fault", ["arithmetic", "not-a-number"])
def test_wrong_arithmetic_lets_no_phase_run(cell, fault):
    output = cell.run(production(), fault=fault)
    assert set(errors(output).values()) == {"SelfTestFailed"}
    assert len(output["records"]) == len(PHASES)
    assert {entry["by"] for entry in output["selftest"] if not entry["passed"]} == {"framework"}
    assert output["environment"]["versions"]["fake"] == "1.0"
    assert not (cell.control / "artifacts").exists()


@pytest.mark.parametrize(("fault", "device"), [("no-gpu", "cuda"), ("elsewhere", "cpu")])
def test_the_wrong_device_lets_no_phase_run(cell, fault, device):
    output = cell.run(production(cell={"id": "x", "device": device}), fault=fault)
    assert errors(output) == dict.fromkeys(PHASES, "WrongDevice")


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ({"architecture": "s390x"}, "asked for architecture s390x, this is "),
        ({"python": "2.7"}, "asked for python 2.7, this is 3."),
    ],
)
def test_the_wrong_platform_lets_no_phase_run(cell, requested, message):
    output = cell.run(production(cell={"id": "x", "device": "cpu", **requested}))
    assert errors(output) == dict.fromkeys(PHASES, "WrongPlatform")
    assert output["records"][0]["error"]["message"].startswith(message)


def test_the_platform_that_was_asked_for_is_this_one(cell):
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    python = "{}.{}".format(*sys.version_info)
    requested = {"id": "x", "device": "cpu", "architecture": architecture, "python": python}
    assert errors(cell.run(production(cell=requested))) == {}


def test_more_threads_than_given_let_no_phase_run(cell):
    output = cell.run(production(), fault="greedy")
    assert errors(output) == dict.fromkeys(PHASES, "WrongThreads")
    assert output["environment"]["threads"] == {
        "requested": 1,
        "framework": 2,
        "process": output["environment"]["threads"]["process"],
    }


def test_a_framework_that_cannot_be_imported_fails_startup(cell):
    output = cell.run(production(), fault="import")
    assert errors(output) == {
        "startup": "ImportError",
        "parity": "NotReached",
        "passes": "NotReached",
        "train": "NotReached",
        "deploy": "NotReached",
        "infer": "NotReached",
    }
    assert "libfake.so" in output["records"][0]["error"]["message"]


def test_missing_data_is_a_failed_phase(cell):
    (cell.control / "data" / "order.npz").unlink()
    output = cell.run(production())
    assert errors(output)["startup"] == "FileNotFoundError"


def test_a_torn_artifact_is_a_failed_phase(cell):
    (cell.control / "artifact").mkdir()
    (cell.control / "artifact" / "model.onnx").write_bytes(b"PK\x03\x04torn")
    write_inputs(cell, np.zeros((4, 1, 8, 8), np.float32))
    output = cell.run(consumption())
    assert statuses(output) == {"startup": "failed", "infer": "failed"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read"),
        ('{"schema": 1, "run"', "cannot read"),
        ("[]", "has schema None, this harness reads 1"),
        ('{"schema": 99}', "has schema 99, this harness reads 1"),
    ],
)
def test_a_control_directory_that_is_no_use_ends_with_2(cell, text, message):
    assert cell.start(text) == 2
    assert message in cell.log
    assert "Traceback" not in cell.log
    assert not (cell.control / "output.json").exists()


def test_a_hang_ends_at_the_deadline_with_a_report_of_where_it_hung(cell):
    assert cell.start(production(deadline_s=1.5), fault="hang") == 1
    assert "fake_adapter.py" in (cell.control / "watchdog.txt").read_text()
    assert not (cell.control / "output.json").exists()


def test_a_job_within_its_deadline_has_no_watchdog_report(cell):
    cell.run(production())
    assert not (cell.control / "watchdog.txt").exists()
