"""Whole jobs of the harness: what it measures and writes, and what it leaves behind."""

import json
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from deepmatrix.store.reported.output import Output
from deepmatrix.workloads import gold, inputs
from harness import record
from tests.inside.conftest import (
    LINEAR,
    PHASES,
    ROOT,
    arrays,
    consumption,
    data_of,
    production,
    statuses,
    write_inputs,
)


def test_a_good_job_says_everything_and_the_host_can_read_it(cell):
    output = cell.run(production())

    assert statuses(output) == dict.fromkeys(PHASES, "ok")
    assert output["harness"] == record.fingerprint()
    assert all(entry["passed"] and entry["error"] == 0 for entry in output["selftest"])
    assert {(entry["by"], entry["dtype"]) for entry in output["selftest"]} == {
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
    batches = [(data["train_x"][indices], data["train_y"][indices]) for indices in rows]
    expected = gold.train(LINEAR, start, batches, rates=[0.5] * len(rows))

    assert trained["batch"] == 32
    assert len(trained["losses"]) == len(trained["step_s"]) == len(rows)
    np.testing.assert_allclose(trained["losses"], expected.losses, atol=1e-5)
    assert trained["accuracy"] > 0.9
    logits = gold.forward(LINEAR, expected.weights, data["test_x"])
    assert trained["test_loss"] == pytest.approx(gold.cross_entropy(logits, data["test_y"])[0])


def test_the_first_step_is_that_of_gold(cell):
    cell.run(production())
    first_step = arrays(cell.control / "first-step.npz")
    data = arrays(cell.control / "data" / "data.npz")
    rows = arrays(cell.control / "data" / "order.npz")["order"][0]
    start = arrays(cell.control / "data" / "weights.npz")
    x, y = data["train_x"][rows], data["train_y"][rows]
    _, gradients = gold.loss_and_gradients(LINEAR, start, x, y)

    assert sorted(first_step) == [
        "gradient/output.bias",
        "gradient/output.kernel",
        "output/flatten",
        "output/output",
    ]
    np.testing.assert_allclose(
        first_step["output/output"], gold.forward(LINEAR, start, x), atol=1e-6
    )
    for name, gradient in gradients.items():
        np.testing.assert_allclose(first_step["gradient/" + name], gradient, atol=1e-6)


def test_probes_and_idioms_are_of_the_adapters_folder_whatever_the_cell_is_called(cell):
    folder = cell.control / "fakes"
    (folder / "idioms").mkdir(parents=True)
    (folder / "adapter.py").write_text("from fake_adapter import *\n")
    (folder / "probes.py").write_text("def double(x):\n    return {'y': 2 * x}\n")
    (folder / "idioms" / "proof.py").write_text(
        "def logits(network, weights, x):\n    return x\n"
        "def trained_logits(network, weights, batches, rate):\n    return batches[0][0]\n"
    )
    probes = inputs.npz_bytes({"double/x": np.ones(3, np.float32)})
    (cell.control / "data" / "probes.npz").write_bytes(probes)
    changes = {"adapter": "fakes.adapter", "probes": "data/probes.npz"}
    output = cell.run(production(phases=["startup", "idiom", "probe"], **changes))
    assert set(statuses(output).values()) == {"ok"}
    assert arrays(cell.control / record.PROBES)["double/y"].tolist() == [2, 2, 2]
    assert arrays(cell.control / record.IDIOM_LOGITS)["y"].shape == (32, 1, 8, 8)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_library\n", "ModuleNotFoundError"),
        ("raise SystemExit('no library')\n", "SystemExit"),
    ],
)
def test_facts_that_cannot_be_read_take_no_probes_with_them(cell, source, error):
    folder = cell.control / "fakes"
    folder.mkdir()
    (folder / "adapter.py").write_text("from fake_adapter import *\n")
    (folder / "probes.py").write_text("def double(x):\n    return {'y': 2 * x}\n")
    (folder / "facts.py").write_text(source)
    probes = inputs.npz_bytes({"double/x": np.ones(3, np.float32)})
    (cell.control / "data" / "probes.npz").write_bytes(probes)
    changes = {"adapter": "fakes.adapter", "probes": "data/probes.npz"}
    output = cell.run(production(phases=["startup", "probe"], **changes))
    assert statuses(output) == {"startup": "ok", "probe": "ok"}
    assert arrays(cell.control / record.PROBES)["double/y"].tolist() == [2, 2, 2]
    data = data_of(output, "probe")
    assert data["probes"]["double"]["status"] == "ok"
    assert data["facts"]["facts"]["error"]["type"] == error
    assert Output.model_validate(output).probes().facts["facts"].error.type == error


def test_the_artifact_is_served_with_the_producers_own_answers(cell):
    produced = cell.run(production())
    (artifact,) = produced["artifacts"]
    folder = cell.control / "artifacts"
    assert artifact["format"] == "onnx"
    assert artifact["opset"] == 20
    assert artifact["exporter"] == "fake2onnx 1.0"
    assert Output.model_validate(produced).artifacts[0].exporter == "fake2onnx 1.0"
    assert [entry["path"] for entry in artifact["files"]] == ["model.onnx"]
    assert artifact["files"][0]["bytes"] == (folder / "onnx" / "model.onnx").stat().st_size

    shutil.copytree(folder / "onnx", cell.control / "artifact")
    probe = arrays(cell.control / "data" / "data.npz")["probe_x"]
    write_inputs(cell, probe)
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


def test_answers_that_differ_between_two_runs_are_not_repeatable(cell):
    cell.run(production())
    shutil.copytree(cell.control / "artifacts" / "onnx", cell.control / "artifact")
    write_inputs(cell, np.zeros((4, 1, 8, 8), np.float32))
    consumed = cell.run(consumption(), fault="restless")
    assert data_of(consumed, "infer")["repeatable"] is False


def serve(cell, fault, repeats):
    cell.run(production())
    shutil.copytree(cell.control / "artifacts" / "onnx", cell.control / "artifact")
    probe = np.ones((4, 1, 8, 8), np.float32)
    write_inputs(cell, probe)
    document = consumption()
    document["artifact"]["splits"] = None
    document["infer"]["repeats"] = repeats
    inferred = data_of(cell.run(document, fault=fault), "infer")
    weights = arrays(cell.control / "artifacts" / "weights.npz")
    return (
        inferred,
        np.load(cell.control / "outputs" / "0.npy"),
        gold.forward(LINEAR, weights, probe),
    )


def test_a_model_that_keeps_state_is_told_and_served_from_a_fresh_load(cell):
    inferred, answer, expected = serve(cell, "stateful", 3)
    assert (inferred["stateful"], inferred["repeatable"]) == (True, False)
    np.testing.assert_allclose(answer, expected, atol=1e-4)


def test_a_model_that_differs_each_time_keeps_no_state(cell):
    inferred, _, _ = serve(cell, "restless", 3)
    assert (inferred["stateful"], inferred["repeatable"]) == (False, False)
    repeats = inferred["repeats"][str(consumption()["threads"])]
    assert (repeats["answers"], repeats["different"]) == (3, 2)
    assert repeats["largest"]["y"] > 0


def test_an_answer_that_differs_only_with_two_threads_is_found_by_many_repeats(cell):
    inferred, _, _ = serve(cell, "racing", 10)
    assert inferred["repeats"]["1"]["different"] == 0
    assert inferred["repeats"]["2"]["answers"] == 10
    assert inferred["repeats"]["2"]["different"] == 1
    assert inferred["repeatable"] is False


def test_answers_with_two_threads_are_compared_with_those_with_one(cell):
    inferred, _, expected = serve(cell, "threaded", 10)
    assert inferred["repeatable"] is True
    assert "threads_apart" not in inferred["repeats"]["1"]
    scale = max(np.abs(expected).max(), 0.25)
    apart = inferred["repeats"]["2"]["threads_apart"]["y"]
    np.testing.assert_allclose(apart, 1 / scale, rtol=1e-3)


@pytest.mark.parametrize("splits", [None, [1, 3]])
def test_a_model_that_writes_into_its_inputs_gets_the_same_inputs_each_time(cell, splits):
    cell.run(production())
    shutil.copytree(cell.control / "artifacts" / "onnx", cell.control / "artifact")
    write_inputs(cell, np.ones((4, 1, 8, 8), np.float32))
    document = consumption()
    document["artifact"]["splits"] = splits
    consumed = cell.run(document, fault="writing")
    assert data_of(consumed, "infer")["repeatable"] is True
    weights = arrays(cell.control / "artifacts" / "weights.npz")
    expected = gold.forward(LINEAR, weights, np.full((4, 1, 8, 8), 0.5))
    np.testing.assert_allclose(np.load(cell.control / "outputs" / "0.npy"), expected, atol=1e-4)


def test_every_sample_is_kept_warm_up_included(cell):
    settings = {"batches": [1, 100], "samples": 7, "warmup": 3, "min_s": 0.0}
    batches = data_of(cell.run(production(infer=settings)), "infer")["batches"]
    assert {size: len(entry["latency_s"]) for size, entry in batches.items()} == {
        "1": 10,
        "100": 10,
    }
    assert {entry["warmup"] for entry in batches.values()} == {3}


def test_a_step_lasts_until_the_device_is_done(cell):
    order = cell.control / "data" / "order.npz"
    few = {name: array[:20] for name, array in arrays(order).items()}
    order.write_bytes(inputs.npz_bytes(few))
    trained = data_of(cell.run(production(), fault="slow"), "train")
    assert 0.02 <= np.median(trained["step_s"]) < 0.03


def test_each_part_of_startup_has_its_own_time(cell):
    data = data_of(cell.run(production()), "startup")
    assert set(data) == {
        "interpreter_s",
        "import_s",
        "build_s",
        "first_forward_s",
        "first_step_s",
        "second_step_s",
        "operation_s",
        "cold",
        "read_bytes",
    }
    assert all(0 <= value < 10 for name, value in data.items() if name.endswith("_s"))
    assert data["cold"] is False


def test_a_tiny_operation_is_quicker_than_the_start(cell):
    data = data_of(cell.run(production()), "startup")
    assert 0 < data["operation_s"] < data["interpreter_s"]


def test_a_framework_tells_what_it_brings_along(cell):
    environment = cell.run(production())["environment"]
    assert environment["distribution"] is None, "the fake is no installed package"
    if sys.platform == "linux":
        assert environment["shared_objects"]["count"] > 0
        assert environment["shared_objects"]["bytes"] > 1e6


def test_what_a_framework_says_of_its_compiling_is_kept_by_call(cell):
    data = data_of(cell.run(production(), fault="compiling"), "startup")
    assert (data["first_forward_compile_s"], data["first_step_compile_s"]) == (0.25, 0.5)


def test_steps_of_each_batch_size_are_timed_and_change_nothing(cell):
    settings = {"batches": [1, 100], "samples": 7, "warmup": 3, "min_s": 0.0}
    plain = data_of(cell.run(production(infer=settings)), "train")
    output = cell.run(production(infer=settings, phases=["startup", "steps", "infer", "train"]))
    batches = data_of(output, "steps")["batches"]
    assert {size: len(entry["latency_s"]) for size, entry in batches.items()} == {
        "1": 10,
        "100": 10,
    }
    assert data_of(output, "train")["losses"] == plain["losses"]


def test_a_cold_start_gives_up_the_cache_of_what_it_imports(cell):
    data = data_of(cell.run(production(cold=True)), "startup")
    assert data["cold"] is True
    assert data["read_bytes"] is None or data["read_bytes"] >= 0


def test_output_appears_whole_or_not_at_all(cell):
    """A reader that polls never sees a torn file."""
    texts, stop = [], threading.Event()

    def watch():
        path = cell.control / "output.json"
        while not stop.is_set():
            if path.exists():
                texts.append(path.read_text(encoding="utf-8"))
            stop.wait(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        cell.run(production())
    finally:
        stop.set()
        watcher.join()
    assert all(json.loads(text)["schema"] == 1 for text in texts)


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
