"""Quantised models: how far right answers may be apart, and what they are compared with."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from deepmatrix.config.sections import Infer
from deepmatrix.engines import Task
from deepmatrix.engines.docker.containers import _program
from deepmatrix.errors import ArgumentError
from deepmatrix.execution.sessions.lanes import Lane
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.judging import deviations
from deepmatrix.judging.quantisation import quantised_steps
from deepmatrix.judging.quantisation.costs import _cost
from deepmatrix.judging.terms import Terms
from deepmatrix.judging.verdicts import producer_fault
from deepmatrix.machine import binfmt
from deepmatrix.paths import ROOT
from deepmatrix.planning.cells import Capabilities, all_cells
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.selection import Selection
from deepmatrix.planning.sweeps import sweep
from deepmatrix.store.parts import Quantised
from deepmatrix.store.truths import Truth
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.quantisation import allowed_steps, quantise
from harness.graphs.values import rounded
from harness.record import ROUNDING
from harness.runtimes.onnx import adapter, gold, quantised
from harness.runtimes.onnx.undecided import quantising
from tests import quantised as models
from tests.unit.examples import MATRIX, new_run

onnxruntime = pytest.importorskip("onnxruntime")

FLOAT = onnx.TensorProto.FLOAT
X = np.array([[0.1, 1.0, -2.0, 3.3], [5.0, -0.3, 0.2, 0.0]], np.float32)


def described(model: Any, x: np.ndarray = X) -> dict[str, Any]:
    return quantised.outputs_in_steps(model, {"x": x})


def test_an_output_that_is_dequantised_has_the_step_of_its_scale() -> None:
    (output,) = described(models.chain(1)).values()
    assert output == {"step": 0.25, "steps": 1}


def test_more_roundings_allow_more_steps_like_independent_errors() -> None:
    assert [described(models.chain(n))["y"]["steps"] for n in (1, 2, 5, 10)] == [1, 2, 3, 4]
    assert allowed_steps(17) == 5


QUANTISING = {
    "QuantizeLinear": onnx.helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
    "DequantizeLinear": onnx.helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
}
HELD = {"scale": np.float32(0.25), "zero": np.uint8(128), "yes": np.array(True)}


def of_function() -> onnx.ModelProto:
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("own", 1)]
    names = ["x", "scale", "zero"]
    function = onnx.helper.make_function(
        "own", "Own", names, ["y"], list(QUANTISING.values()), opsets
    )
    node = onnx.helper.make_node("Own", names, ["y"], domain="own")
    model = models.model([node], [models.floats("x", 2, 4)], [models.floats("y", 2, 4)], **HELD)
    model.functions.append(function)
    model.opset_import.append(opsets[1])
    return model


def of_branch() -> onnx.ModelProto:
    named = {
        "then_branch": [*QUANTISING.values()],
        "else_branch": [onnx.helper.make_node("Identity", ["x"], ["y"])],
    }
    branches = {
        name: onnx.helper.make_graph(nodes, name, [], [models.floats("y", 2, 4)])
        for name, nodes in named.items()
    }
    node = onnx.helper.make_node("If", ["yes"], ["y"], **branches)
    return models.model([node], [models.floats("x", 2, 4)], [models.floats("y", 2, 4)], **HELD)


@pytest.mark.parametrize("make", [of_function, of_branch])
def test_what_functions_and_branches_quantise_is_compared_by_steps(
    tmp_path: Path, make: Callable[[], onnx.ModelProto]
) -> None:
    onnx.save(make(), tmp_path / "m.onnx")
    adapter.start()
    inspected = adapter.inspect("onnx", str(tmp_path / "m.onnx"), {"x": X}, Sampling(0))
    assert inspected["described"]["quantised"] == {"y": {"step": 0.25, "steps": 1}}


def test_a_step_is_followed_through_float_arithmetic() -> None:
    steps = described(models.chain(1, after="Softmax"))["y"]
    moved = np.exp(0.5) / (1 + np.exp(0.5)) - 0.5  # of two equal values one up, one down
    assert 0 < steps["step"] <= moved


def test_a_model_without_quantised_activations_has_no_steps() -> None:
    node = onnx.helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["weights"])
    product = onnx.helper.make_node("MatMul", ["x", "weights"], ["y"])
    held = {"w": np.ones((4, 3), np.int8), "scale": np.float32(0.1), "zero": np.int8(0)}
    model = models.model(
        [node, product], [models.floats("x", 2, 4)], [models.floats("y", 2, 3)], **held
    )
    assert described(model) == {}


def test_an_lstm_that_quantises_its_sequence_is_judged_by_steps() -> None:
    node = onnx.helper.make_node(
        "DynamicQuantizeLSTM",
        ["x", "w", "r", "", "", "", "", "", "scale", "zero", "scale", "zero"],
        ["y"],
        domain="com.microsoft",
        hidden_size=3,
    )
    held = {name: np.full((1, size, 12), 40, np.int8) for name, size in (("w", 4), ("r", 3))}
    model = models.model(
        [node],
        [models.floats("x", 2, 1, 4)],
        [models.floats("y", 2, 1, 1, 3)],
        **held,
        scale=np.float32([0.01]),
        zero=np.int8([0]),
    )
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    (output,) = described(model, X[:, None]).values()
    assert output["steps"] == 1
    assert 0 < output["step"] < 0.05


def test_integer_arithmetic_without_rounding_stays_exact() -> None:
    node = onnx.helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    value = onnx.helper.make_tensor_value_info
    model = models.model(
        [node],
        [value("x", onnx.TensorProto.UINT8, [2, 4])],
        [value("y", onnx.TensorProto.INT32, [2, 3])],
        w=np.ones((4, 3), np.int8),
    )
    assert described(model, np.ones((2, 4), np.uint8)) == {}


def test_the_case_that_was_refused_is_judged_by_steps() -> None:
    adapter.start()
    folder = Path(__file__).resolve().parents[1] / "models"
    inputs = dict(np.load(folder / "int8_qdq_in.npz"))
    inspected = adapter.inspect("onnx", str(folder / "int8_qdq.onnx"), inputs, Sampling(0))
    steps = inspected["described"]["quantised"]["y"]
    assert steps["step"] == pytest.approx(0.0290, abs=1e-4)
    session = onnxruntime.InferenceSession(str(folder / "int8_qdq.onnx"))
    answer = session.run(None, inspected["inputs"])[0]
    truth = Truth(
        gold=inspected["gold"],
        produced=inspected["outputs"],
        quantised={"y": Quantised(**steps)},
    )
    agreement = deviations.compare({"y": answer}, truth)
    (output,) = agreement.outputs
    terms = Terms(tolerances=MATRIX.tolerances, imported=True)
    tolerance, basis = terms.allowed_of(output, agreement)
    assert output.error is not None
    assert output.error <= tolerance
    assert basis == "3 quantisation steps of 0.029"


def compared(answer: Any, gold: Any, **grid: Any) -> tuple[float | None, float]:
    values = {"y": np.asarray(gold)}
    truth = Truth(gold=values, produced=values, quantised={"y": Quantised(**grid)})
    agreement = deviations.compare({"y": np.asarray(answer)}, truth)
    (output,) = agreement.outputs
    return output.error, Terms(tolerances=MATRIX.tolerances).allowed_of(output, agreement)[0]


def test_integers_a_step_apart_match_and_more_do_not() -> None:
    gold = np.array([[10, -100]], np.int8)
    error, tolerance = compared(gold + np.int8(1), gold, step=1.0, steps=1)
    assert error == pytest.approx(tolerance) == pytest.approx(0.01)
    error, tolerance = compared(gold + np.int8(2), gold, step=1.0, steps=1)
    assert error is not None
    assert error > tolerance


def test_integers_are_compared_with_a_float_model_by_what_they_stand_for() -> None:
    grid = {"step": 1.0, "steps": 2, "scale": 0.5, "zero_point": -128}
    answer = np.array([[-126, -128]], np.int8)
    assert compared(answer, np.float32([[1.0, 0.0]]), **grid) == (0.0, pytest.approx(1.0))
    assert compared(answer, np.float32([[1.5, 0.0]]), **grid)[0] == pytest.approx(1 / 3)


def test_a_tie_of_the_producer_itself_is_no_fault_of_its() -> None:
    gold = {"y": np.float32([[1.0, 0.0]])}
    own = {"y": np.float32([[0.75, 0.0]])}
    grid = {"y": Quantised(step=0.25, steps=1)}
    agreement = deviations.compare(own, Truth(gold=gold, produced=own, quantised=grid))
    (output,) = agreement.outputs
    assert producer_fault(output, agreement, Terms(tolerances=MATRIX.tolerances)) == ""


def test_float_inputs_are_quantised_by_the_models_own_scale() -> None:
    declared = [{"name": "x", "dtype": "int8"}]
    grids = {"x": {"scale": 0.5, "zero_point": -1}}
    fed = quantise({"any": np.float32([0.0, 1.0, 1000.0])}, declared, grids)
    assert fed["x"].dtype == np.int8
    assert fed["x"].tolist() == [-1, 1, 127]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("scale", [0.0, -0.5, float("nan"), float("inf"), 3e38])
def test_a_scale_that_is_no_step_gives_none_and_is_said(scale: float, tmp_path: Path) -> None:
    model = models.chain(1, scale=scale)
    model.graph.output.append(onnx.helper.make_tensor_value_info("q0", onnx.TensorProto.INT8, None))
    assert quantised.grids(model) == {}
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    adapter.start()
    inspected = adapter.inspect("onnx", str(path), {"x": X}, Sampling(0))["described"]
    assert "q0" not in inspected["quantised"]
    assert all(Quantised(**grid) for grid in inspected["quantised"].values())
    remark = f"QuantizeLinear 'q0': its scale is {scale:g}, which is no step"
    assert any(said.startswith(remark) for said in inspected["remarks"])


def test_the_cost_of_quantisation_names_the_rows_that_flip() -> None:
    original = np.float32([[1.0, 0.9, 0.0], [0.0, 2.0, 0.0]])
    cost = _cost("y", np.float32([[0.9, 1.0, 0.0], [0.0, 2.0, 0.0]]), original)
    assert cost.flips == (0,)
    assert cost.margins == pytest.approx([0.1])
    assert cost.error == pytest.approx(0.05)
    assert cost.snr_db == pytest.approx(10 * np.log10(5.81 / 0.02), abs=1e-3)


NATIVE = Capabilities(
    engine="docker",
    native=frozenset({"amd64"}),
    emulated=frozenset({"arm64"}),
    emulator="/usr/bin/qemu-x86_64-static",
)


def swept(cell_id: str, *names: str) -> dict[str, Any]:
    cell = next(cell for cell in all_cells(MATRIX) if cell.id == cell_id)
    return {variant.id: variant for variant in sweep(MATRIX, [cell], names)}


def test_a_sweep_keeps_a_cell_to_each_instruction_set_of_its_architecture() -> None:
    cells = swept("onnxruntime-debian12-amd64-cpu", "all")
    assert list(cells) == [
        "onnxruntime-debian12-amd64-cpu",
        "onnxruntime_nehalem-debian12-amd64-cpu",
        "onnxruntime_haswell-debian12-amd64-cpu",
    ]
    haswell = cells["onnxruntime_haswell-debian12-amd64-cpu"]
    assert NATIVE.emulates(haswell)
    assert haswell.plain.id == "onnxruntime-debian12-amd64-cpu"
    assert haswell.pinned == "onnxruntime-debian12-amd64-cpu"


def test_a_library_is_told_and_runs_natively() -> None:
    variant = swept("openvino-debian12-amd64-cpu", "avx2")["openvino_avx2-debian12-amd64-cpu"]
    assert variant.environment["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert not NATIVE.emulates(variant)


def test_the_processor_that_is_emulated_anyway_is_not_swept() -> None:
    cells = swept("onnxruntime-debian13-arm64-cpu", "all")
    assert "onnxruntime_cortex-a53-debian13-arm64-cpu" in cells
    assert not any("neoverse-n1" in cell_id for cell_id in cells)


def test_an_unknown_instruction_set_is_refused_with_the_nearest() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'haswell'"):
        swept("onnxruntime-debian12-amd64-cpu", "haswel")


def test_without_qemu_a_processor_cannot_be_tried() -> None:
    haswell = swept("onnxruntime-debian12-amd64-cpu", "haswell")
    (variant,) = [cell for cell in haswell.values() if cell.isa]
    bare = Capabilities(engine="docker", native=frozenset({"amd64"}))
    assert NATIVE.refusal(variant) is None
    assert "install qemu-user-static" in (bare.refusal(variant) or "")


def task_of(cell_id: str, isa: str, folder: Path) -> Task:
    variants = swept(cell_id, isa)
    (cell,) = [cell for cell in variants.values() if cell.isa]
    selection = Selection(include=(cell_id,))
    files = (("m", "onnx", "model.onnx"),)
    plan = plan_models(MATRIX, files, selection, ABLE, seed=0, infer=INFER, isas=(isa,))
    assert cell.id in {planned.id for planned in plan.cells}
    (job,) = [job for job in plan.jobs("consume") if job.cell == cell.id]
    maker = TaskMaker(
        run=new_run(folder, plan),
        capabilities=ABLE,
        emulated=ABLE.emulates(cell),
        lane=Lane((0,), 1 << 30),
    )
    return maker.task(job, cell, folder)


INFER = Infer(batches=(1,), samples=5, min_s=0.0, max_s=1.0, warmup=1)
ABLE = replace(NATIVE, cpus=2)


def test_a_processor_of_the_machines_own_architecture_is_emulated_by_the_task(
    tmp_path: Path,
) -> None:
    task = task_of("onnxruntime-debian12-amd64-cpu", "haswell", tmp_path)
    assert task.environment["QEMU_CPU"] == "Haswell"
    assert task.emulator == Path("/usr/bin/qemu-x86_64-static")
    assert _program(task) == ["python3", "-m", "harness.emulated", "/control/emulator"]


def test_the_kernel_emulates_another_architecture_and_is_told_the_processor(
    tmp_path: Path,
) -> None:
    task = task_of("onnxruntime-debian13-arm64-cpu", "cortex-a53", tmp_path)
    assert task.environment["QEMU_CPU"] == "cortex-a53"
    assert task.emulator is None
    assert _program(task) == ["python3", "-m", "harness"]


EMULATOR = binfmt.emulator(binfmt.docker_name(platform.machine().lower()))


@pytest.mark.skipif(not EMULATOR, reason="there is no QEMU here")
def test_the_harness_starts_again_on_the_processor_that_is_emulated(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.emulated", EMULATOR, str(tmp_path / "missing")]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "QEMU_CPU": "max"}, capture_output=True, check=False
    )
    assert ended.returncode == 2  # the directory cannot be used
    assert b"harness:" in ended.stderr


def test_steps_that_add_up_to_most_of_the_range_are_capped() -> None:
    gold = {"y": np.float32([[1.0, -0.5]])}
    truth = Truth(gold=gold, produced=gold, quantised={"y": Quantised(step=0.7, steps=6)})
    (output,) = deviations.compare({"y": np.float32([[1.0, 0.1]])}, truth).outputs
    terms = Terms(tolerances=MATRIX.tolerances)
    tolerance, basis = terms.allowed(0.0, "y", "float32", output.steps)
    assert (tolerance, output.error) == (pytest.approx(0.1, 1e-5), pytest.approx(0.6))
    assert basis == "6 quantisation steps of 0.7, at most 10 % of the range"


def test_gold_is_contested_by_no_step_that_an_answer_is_allowed() -> None:
    values = np.array([[5]], np.uint8)
    grid = Quantised(step=1.0, steps=1)
    allowed = quantised_steps.allowed_steps(grid, values, 5.0, "uint8").error
    steps = gold.share_of_steps(grid.model_dump(), values, values.dtype)
    assert steps == pytest.approx(allowed) == pytest.approx(0.2)


def test_gold_is_not_contested_by_a_step_at_its_largest_value(tmp_path: Path) -> None:
    """By float32 the quotient 3.5 is a tie, and by float64 it is below: one is 4, the other 3."""
    scale = np.float32(0.1)
    x = (np.arange(8) / 2 * 0.1).astype(np.float32).reshape(2, 4)
    model = models.chain(1, scale=float(scale))
    model.graph.output.append(onnx.helper.make_tensor_value_info("q0", 3, None))
    onnx.save(model, tmp_path / "m.onnx")
    adapter.start()
    inspected = adapter.inspect("onnx", str(tmp_path / "m.onnx"), {"x": x}, Sampling(0))
    own = [np.rint(x.astype(dtype) / dtype(scale)).max() for dtype in (np.float64, np.float32)]
    assert own == [3, 4]
    assert set(inspected["described"]["judged_by"].values()) == {"float64 evaluation"}


def test_an_integer_of_4_bits_has_the_step_of_its_scale() -> None:
    proto = models.chain(1)
    (zero,) = [x for x in proto.graph.initializer if x.name == "zero"]
    zero.CopyFrom(onnx.helper.make_tensor("zero", onnx.TensorProto.INT4, [], [0]))
    proto.opset_import[0].version, proto.ir_version = 21, 10
    assert described(proto)["y"] == {"step": 0.25, "steps": 1}


@pytest.mark.parametrize(
    ("dtype", "computed_in", "beyond"),
    [("float32", "", 0.01), ("float16", "float16", 0.5), ("float32", "bfloat16", 2.5)],
)
@pytest.mark.parametrize("count", [1, 3])
def test_a_step_may_be_rounded_as_the_type_of_the_output_is(
    dtype: str, computed_in: str, beyond: float, count: int
) -> None:
    step = float(np.float32(0.03))
    numbers = np.arange(-128, 128 - count)
    gold = numbers * step
    produced = gold.astype(dtype)
    truth = Truth(
        gold={"y": gold},
        produced={"y": produced},
        quantised={"y": Quantised(step=step, steps=count)},
        computed_in={"y": computed_in},
    )
    right = ((numbers + count) * step).astype(np.float32)
    right = rounded(right, computed_in) if computed_in == "bfloat16" else right
    for answer, is_right in ((right, True), ((numbers + count + beyond) * step, False)):
        (output,) = deviations.compare({"y": answer.astype(dtype)}, truth).outputs
        assert (output.error <= output.steps.error) is is_right
    assert output.steps.count == count


def test_an_integer_a_step_apart_matches_however_small_gold_is_within_its_range() -> None:
    error, tolerance = compared(
        np.array([[6]], np.uint8), np.array([[5]], np.uint8), step=1.0, steps=1
    )
    assert error == pytest.approx(tolerance)


@pytest.mark.parametrize("size", [120, 5000])
@pytest.mark.parametrize(
    ("divisor", "round_value", "is_right"),
    [
        (37.3, np.rint, True),
        (37.3, np.floor, False),
        (37.3, np.ceil, False),
        (2, lambda x: np.floor(x + 0.5), True),  # ties away from zero: a quarter of all values
        (2, lambda x: np.ceil(x - 0.5), True),
    ],
    ids=["nearest", "down", "up", "ties up", "ties down"],
)
def test_integers_that_are_all_rounded_to_one_side_are_wrong(
    size: int, divisor: float, round_value: Callable[[np.ndarray], np.ndarray], *, is_right: bool
) -> None:
    x = np.random.default_rng(0).integers(0, 200 * int(divisor), size) / divisor
    gold, answer = (rounded(x).astype(np.uint8) for rounded in (np.rint, round_value))
    error, tolerance = compared(answer, gold, step=1.0, steps=1)
    assert error is not None
    assert (error <= tolerance) == is_right


def small_floats(kind: int, after: str, back: str, **cast: int) -> Any:
    """Return a model that makes floats of 8 bits of the logistic of x, and float32 of these."""
    node = onnx.helper.make_node
    parameters = ["scale", "zero"] if back == "DequantizeLinear" else []
    nodes = [
        node("Sigmoid", ["x"], ["a"]),
        node(after, ["a", *parameters], ["q"], **({"to": kind} if cast else {})),
        node(back, ["q", *parameters], ["y"], **cast),
    ]
    held = {
        "scale": np.float32(1),
        "zero": np.zeros((), onnx.helper.tensor_dtype_to_np_dtype(kind)),
    }
    proto = models.model(nodes, [models.floats("x", 2, 4)], [models.floats("y", 2, 4)], **held)
    proto.opset_import[0].version, proto.ir_version = 19, 9
    return proto


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        (onnx.TensorProto.FLOAT8E4M3FN, 1 / 8),
        (onnx.TensorProto.FLOAT8E5M2, 1 / 4),
        (onnx.TensorProto.FLOAT8E4M3FNUZ, 1 / 8),
    ],
)
@pytest.mark.parametrize(
    ("after", "back", "cast"),
    [("Cast", "Cast", {"to": FLOAT}), ("QuantizeLinear", "DequantizeLinear", {})],
)
def test_a_float_of_8_bits_is_judged_by_the_step_at_its_value(
    tmp_path: Path, kind: int, part: float, after: str, back: str, cast: dict[str, int]
) -> None:
    onnx.save(small_floats(kind, after, back, **cast), tmp_path / "m.onnx")
    adapter.start()
    inspected = adapter.inspect("onnx", str(tmp_path / "m.onnx"), {"x": X}, Sampling(0))
    grid = inspected["described"]["quantised"]["y"]
    assert (grid["step"], grid["steps"]) == (part, 1)
    gold = inspected["gold"]
    truth = Truth(gold=gold, produced=inspected["outputs"], quantised={"y": Quantised(**grid)})
    for steps, is_right in ((1, True), (2, False)):
        y = gold["y"].astype(np.float32)
        y[1, 0] -= steps * part  # of the logistic of 5, which rounds to 1
        (output,) = deviations.compare({"y": y}, truth).outputs
        assert (output.error <= output.steps.error) is is_right


def test_a_cast_of_an_input_to_a_float_of_8_bits_is_exact() -> None:
    proto = small_floats(onnx.TensorProto.FLOAT8E4M3FN, "Cast", "Cast", to=FLOAT)
    proto.graph.node[1].input[0] = "x"
    assert described(proto) == {}


# Selected -------------------------------------------------------------------------------------

#: Quantises ``m`` to ``d``, in steps of 1.
QUANTISERS = {
    "QuantizeLinear": [
        onnx.helper.make_node("QuantizeLinear", ["m", "one", "zero"], ["q"]),
        onnx.helper.make_node("DequantizeLinear", ["q", "one", "zero"], ["d"]),
    ],
    "one a column": [
        onnx.helper.make_node("QuantizeLinear", ["m", "ones", "zeros"], ["q"], axis=1),
        onnx.helper.make_node("DequantizeLinear", ["q", "ones", "zeros"], ["d"], axis=1),
    ],
    "DynamicQuantizeLinear": [
        onnx.helper.make_node("DynamicQuantizeLinear", ["m"], ["q", "s", "z"]),
        onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
    ],
}


@pytest.mark.parametrize("quantiser", QUANTISERS)
@pytest.mark.parametrize(
    ("factor", "is_decided"), [(25, True), (np.nextafter(np.float32(25), 26), True), (24, False)]
)
@pytest.mark.parametrize("outputs", [["place"], ["place", "y"]])
def test_a_place_that_the_rounding_of_a_quantiser_decides_is_not_compared(
    tmp_path: Path, quantiser: str, factor: float, outputs: list[str], *, is_decided: bool
) -> None:
    """0.1 * 25 is 2.5 in float32, which rounds to 2, and above it in float64.

    What is above it in both by one unit in the last place may be 2.5 by another rounding.
    """
    node = onnx.helper.make_node
    nodes = [
        node("Mul", ["x", "f"], ["m"]),
        *QUANTISERS[quantiser],
        node("ArgMin", ["d"], ["place"], axis=1),
        node("Identity", ["d"], ["y"]),
    ]
    held = {
        "f": np.float32([[2550, factor, 20]]),
        "one": np.float32(1),
        "zero": np.uint8(0),
        "ones": np.ones(3, np.float32),
        "zeros": np.zeros(3, np.uint8),
    }
    kinds = {"place": onnx.TensorProto.INT64, "y": FLOAT}
    described = [onnx.helper.make_tensor_value_info(name, kinds[name], None) for name in outputs]
    proto = models.model(nodes, [models.floats("x", 1, 1)], described, **held)
    onnx.save(proto, tmp_path / "m.onnx")
    adapter.start()
    x = {"x": np.float32([[0.1]])}
    inspected = adapter.inspect("onnx", str(tmp_path / "m.onnx"), x, Sampling(0))
    masks = {name: mask.tolist() for name, mask in inspected["undefined"].items()}
    assert masks == ({"place": [[ROUNDING]]} if is_decided else {})


def test_another_step_stays_in_the_range_of_its_type() -> None:
    least, most = quantising.other_steps(np.array([0, 255, 7], np.uint8))
    assert (least.tolist(), most.tolist()) == ([0, 254, 6], [1, 255, 8])
