import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from deepmatrix.store.output import Output
from deepmatrix.workloads import gold, inputs
from harness import control, record
from tests.inside.conftest import LINEAR, ROOT, consumption, production


def statuses(output):
    return {one["phase"]: one["status"] for one in output["records"]}


def errors(output):
    return {one["phase"]: one["error"]["type"] for one in output["records"] if one["error"]}


def data_of(output, phase):
    (found,) = [one["data"] for one in output["records"] if one["phase"] == phase]
    return found


#: What `production` asks for.
PHASES = tuple(production()["phases"])


def arrays(path):
    with np.load(path) as archive:
        return dict(archive)


def test_a_good_job_says_everything_and_the_host_can_read_it(cell):
    output = cell.run(production())

    assert statuses(output) == dict.fromkeys(PHASES, "ok")
    assert output["harness"] == record.fingerprint()
    assert all(one["passed"] and one["error"] == 0 for one in output["selftest"])
    assert {(one["by"], one["dtype"]) for one in output["selftest"]} == {
        (by, dtype) for by in ("numpy", "framework") for dtype in ("float32", "float64")
    }
    assert output["environment"]["threads"]["framework"] == 1
    assert output["environment"]["versions"] == {"fake": "1.0", "numpy": np.__version__}
    assert output["peak_memory_bytes"] > 10 * 2**20
    Output.model_validate(output)


def test_training_follows_gold_and_learns(cell):
    output = cell.run(production())
    trained = data_of(output, "train")
    data = arrays(cell.control / "data" / "data.npz")
    rows = arrays(cell.control / "data" / "order.npz")["order"]
    start = arrays(cell.control / "data" / "weights.npz")
    batches = [(data["train_x"][some], data["train_y"][some]) for some in rows]
    expected = gold.train(LINEAR, start, batches, rates=[0.5] * len(rows))

    assert trained["batch"] == 32
    assert len(trained["losses"]) == len(trained["step_s"]) == len(rows)
    np.testing.assert_allclose(trained["losses"], expected.losses, atol=1e-5)
    assert trained["accuracy"] > 0.9
    logits = gold.forward(LINEAR, expected.weights, data["test_x"])
    assert trained["test_loss"] == pytest.approx(gold.cross_entropy(logits, data["test_y"])[0])


def test_the_first_step_is_that_of_gold(cell):
    cell.run(production())
    found = arrays(cell.control / "first-step.npz")
    data = arrays(cell.control / "data" / "data.npz")
    rows = arrays(cell.control / "data" / "order.npz")["order"][0]
    start = arrays(cell.control / "data" / "weights.npz")
    x, y = data["train_x"][rows], data["train_y"][rows]
    _, gradients = gold.loss_and_gradients(LINEAR, start, x, y)

    assert sorted(found) == [
        "gradient/output.bias",
        "gradient/output.kernel",
        "output/flatten",
        "output/output",
    ]
    np.testing.assert_allclose(found["output/output"], gold.forward(LINEAR, start, x), atol=1e-6)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(found["gradient/" + name], gradient, atol=1e-6)


def test_the_artifact_is_served_with_the_producers_own_answers(cell):
    produced = cell.run(production())
    (artifact,) = produced["artifacts"]
    folder = cell.control / "artifacts"
    assert artifact["format"] == "onnx"
    assert artifact["opset"] == 20
    assert artifact["exporter"] == "fake2onnx 1.0"
    assert Output.model_validate(produced).artifacts[0].exporter == "fake2onnx 1.0"
    assert [one["path"] for one in artifact["files"]] == ["model.onnx"]
    assert artifact["files"][0]["bytes"] == (folder / "onnx" / "model.onnx").stat().st_size

    shutil.copytree(folder / "onnx", cell.control / "artifact")
    probe = arrays(cell.control / "data" / "data.npz")["probe_x"]
    given(cell, probe)
    document = consumption()
    document["artifact"]["splits"] = [1, 7, len(probe) - 8]
    consumed = cell.run(document)

    assert statuses(consumed) == {"startup": "ok", "infer": "ok"}
    assert data_of(consumed, "infer")["load_s"] > 0
    assert data_of(consumed, "infer")["outputs"] == ["y"]
    assert data_of(consumed, "infer")["repeatable"] is True
    answers = np.load(cell.control / "outputs" / "0.npy")
    np.testing.assert_allclose(answers, arrays(folder / "outputs.npz")["y"], atol=1e-5)
    weights = arrays(folder / "weights.npz")
    np.testing.assert_allclose(answers, gold.forward(LINEAR, weights, probe), atol=1e-4)


def test_answers_that_differ_from_one_time_to_the_next_are_told(cell):
    cell.run(production())
    shutil.copytree(cell.control / "artifacts" / "onnx", cell.control / "artifact")
    given(cell, np.zeros((4, 1, 8, 8), np.float32))
    consumed = cell.run(consumption(), fault="restless")
    assert data_of(consumed, "infer")["repeatable"] is False


@pytest.mark.parametrize("splits", [None, [1, 3]])
def test_a_model_that_writes_into_its_inputs_is_always_asked_the_same(cell, splits):
    cell.run(production())
    shutil.copytree(cell.control / "artifacts" / "onnx", cell.control / "artifact")
    given(cell, np.ones((4, 1, 8, 8), np.float32))
    document = consumption()
    document["artifact"]["splits"] = splits
    consumed = cell.run(document, fault="writing")
    assert data_of(consumed, "infer")["repeatable"] is True
    weights = arrays(cell.control / "artifacts" / "weights.npz")
    expected = gold.forward(LINEAR, weights, np.full((4, 1, 8, 8), 0.5))
    np.testing.assert_allclose(np.load(cell.control / "outputs" / "0.npy"), expected, atol=1e-4)


def given(cell, x):
    (cell.control / "artifact" / "inputs").mkdir()
    np.save(cell.control / "artifact" / "inputs" / "0.npy", x)


def test_every_sample_is_kept_warm_up_included(cell):
    asked = {"batches": [1, 100], "samples": 7, "warmup": 3, "min_s": 0.0}
    batches = data_of(cell.run(production(infer=asked)), "infer")["batches"]
    assert {size: len(one["latency_s"]) for size, one in batches.items()} == {"1": 10, "100": 10}
    assert {one["warmup"] for one in batches.values()} == {3}


def test_a_step_lasts_until_the_device_is_done(cell):
    order = cell.control / "data" / "order.npz"
    few = {name: one[:20] for name, one in arrays(order).items()}
    order.write_bytes(inputs.archive(few))
    trained = data_of(cell.run(production(), fault="slow"), "train")
    assert 0.02 <= np.median(trained["step_s"]) < 0.03


def test_startup_is_told_apart(cell):
    data = data_of(cell.run(production()), "startup")
    assert set(data) == {
        "interpreter_s",
        "import_s",
        "build_s",
        "first_forward_s",
        "first_step_s",
        "second_step_s",
        "cold",
        "read_bytes",
    }
    assert all(0 <= value < 10 for name, value in data.items() if name.endswith("_s"))
    assert data["cold"] is False


def test_a_cold_start_gives_up_the_cache_of_what_it_imports(cell):
    data = data_of(cell.run(production(cold=True)), "startup")
    assert data["cold"] is True
    assert data["read_bytes"] is None or data["read_bytes"] >= 0


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
    assert {form: one["status"] for form, one in formats.items()} == {
        "saved-model": "failed",
        "torch-export": "unsupported",
        "onnx": "ok",
        "origami": "unsupported",
    }
    assert [one["format"] for one in output["artifacts"]] == ["onnx"]
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
    assert {one["by"] for one in output["selftest"] if not one["passed"]} == {"framework"}
    assert output["environment"]["versions"]["fake"] == "1.0"
    assert not (cell.control / "artifacts").exists()


@pytest.mark.parametrize(("fault", "device"), [("no-gpu", "cuda"), ("elsewhere", "cpu")])
def test_the_wrong_device_lets_no_phase_run(cell, fault, device):
    output = cell.run(production(cell={"id": "x", "device": device}), fault=fault)
    assert errors(output) == dict.fromkeys(PHASES, "WrongDevice")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"architecture": "s390x"}, "asked for architecture s390x, this is "),
        ({"python": "2.7"}, "asked for python 2.7, this is 3."),
    ],
)
def test_the_wrong_platform_lets_no_phase_run(cell, asked, message):
    output = cell.run(production(cell={"id": "x", "device": "cpu", **asked}))
    assert errors(output) == dict.fromkeys(PHASES, "WrongPlatform")
    assert output["records"][0]["error"]["message"].startswith(message)


def test_the_platform_that_was_asked_for_is_this_one(cell):
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    python = "{}.{}".format(*sys.version_info)
    asked = {"id": "x", "device": "cpu", "architecture": architecture, "python": python}
    assert errors(cell.run(production(cell=asked))) == {}


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
    given(cell, np.zeros((4, 1, 8, 8), np.float32))
    output = cell.run(consumption())
    assert statuses(output) == {"startup": "failed", "infer": "failed"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot read"),
        ('{"schema": 1, "run"', "cannot read"),
        ("[]", "has schema None, this harness reads 1"),
        ('{"schema": 99}', "has schema 99, this harness reads 1"),
    ],
)
def test_a_control_directory_that_is_no_use_ends_with_2(cell, text, said):
    assert cell.start(text) == 2
    assert said in cell.log
    assert "Traceback" not in cell.log
    assert not (cell.control / "output.json").exists()


def test_a_hang_ends_at_the_deadline_with_a_traceback_in_the_log(cell):
    assert cell.start(production(deadline_s=1.5), fault="hang") == 1
    assert "Timeout (0:00:01" in cell.log
    assert "fake_adapter.py" in cell.log
    assert not (cell.control / "output.json").exists()


def test_output_appears_whole_or_not_at_all(cell):
    """A reader that looks all the time never sees a torn file."""
    seen, done = [], threading.Event()

    def watch():
        path = cell.control / "output.json"
        while not done.is_set():
            if path.exists():
                seen.append(path.read_text(encoding="utf-8"))
            done.wait(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        cell.run(production())
    finally:
        done.set()
        watcher.join()
    assert all(json.loads(text)["schema"] == 1 for text in seen)


LARGE = "large = b'1' * (300 << 20)"
PEAK = (
    "import json; from harness.measuring import machine; print(json.dumps(machine.peak_memory()))"
)


@pytest.mark.skipif(os.getpid() == 1, reason="a container's own memory counts")
def test_the_peak_of_a_larger_child_counts_as_the_largest_process():
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LARGE!r}]); {PEAK}"
    peak, source = json.loads(subprocess.check_output([sys.executable, "-c", child], cwd=ROOT))
    assert source == "process"
    assert peak > 300 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of one program")
def test_the_peak_of_whoever_started_the_process_does_not_count():
    start = f"{LARGE}; import subprocess, sys; subprocess.run([sys.executable, '-c', {PEAK!r}])"
    peak, _ = json.loads(subprocess.check_output([sys.executable, "-c", start], cwd=ROOT))
    assert peak < 300 << 20


def test_nothing_but_the_answer_is_left(cell):
    cell.run(production())
    assert {path.name for path in cell.control.iterdir()} == {
        "input.json",
        "data",
        "output.json",
        "first-step.npz",
        "artifacts",
    }
    assert not list(cell.control.rglob("*.part"))


def test_the_harness_takes_little_time_beyond_its_work(cell):
    """All but interpreter, import, phases: reading, self-test, environment, writing."""
    began = time.perf_counter()
    output = cell.run(production())
    wall = time.perf_counter() - began
    work = sum(one["seconds"] for one in output["records"])
    startup = data_of(output, "startup")
    assert wall - work - startup["import_s"] - startup["interpreter_s"] < 1.0
