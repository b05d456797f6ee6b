"""Programs of torch as a user brings them: their inputs, their outputs and their float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

from harness.frameworks.torch import adapter  # noqa: E402 - after torch is known to be there
from harness.graphs import BadModel  # noqa: E402
from harness.graphs.inputs.sample_inputs import Sampling  # noqa: E402

X = np.random.default_rng(0).standard_normal((2, 8)).astype(np.float32)


@pytest.fixture(autouse=True)
def started() -> None:
    adapter.start()
    adapter.device = torch.device("cpu")


def script(folder: Path, source: str) -> str:
    """Write TorchScript whose `forward` is this source, and return its path."""
    module = type("Model", (torch.nn.Module,), {})()  # a class of its own has a forward of its own
    module.linear = torch.nn.Linear(8, 4)
    module.register_buffer("state", torch.zeros(1))
    scripted = torch.jit.script(module)
    scripted.define(source)
    path = str(folder / "model.pt")
    scripted.save(path)
    return path


def answer(path: str, **inputs: Any) -> dict[str, np.ndarray]:
    return adapter.answer(adapter.load("torchscript", path), inputs)


def test_numbers_go_to_torchscript_as_arrays_without_an_axis(tmp_path: Path) -> None:
    source = """
def forward(self, x: Tensor, times: int, shift: float, negative: bool = False) -> Tensor:
    y = x * times + shift
    return -y if negative else y
"""
    path = script(tmp_path, source)
    numbers = {"times": np.array(3), "shift": np.array(0.5)}
    np.testing.assert_allclose(answer(path, x=X, **numbers)["y"], X * 3 + 0.5)
    np.testing.assert_allclose(
        answer(path, x=X, negative=np.array(True), **numbers)["y"], -(X * 3 + 0.5)
    )
    with pytest.raises(ValueError, match="the input times is a number"):
        answer(path, x=X, times=np.array([1, 2]), shift=np.array(0.5))


def test_outputs_that_are_nested_have_names_with_dots(tmp_path: Path) -> None:
    source = """
def forward(self, x: Tensor) -> Tuple[Tensor, List[Tensor], Dict[str, Tensor], int]:
    return x, [x * 2, x * 3], {"a": x * 4}, 5
"""
    outputs = answer(script(tmp_path, source), x=X)
    assert list(outputs) == ["0", "1.0", "1.1", "2.a", "3"]
    np.testing.assert_array_equal(outputs["2.a"], X * 4)
    assert outputs["3"] == 5


def test_torchscript_is_judged_in_float64_by_torchs_own_kernels(tmp_path: Path) -> None:
    path = script(tmp_path, "def forward(self, x: Tensor) -> Tensor:\n    return self.linear(x)\n")
    inspected = adapter.inspect("torchscript", path, {"x": X}, Sampling(0))
    assert inspected["gold"]["y"].dtype == np.float64
    error = np.abs(inspected["gold"]["y"] - inspected["outputs"]["y"]).max()
    assert 0 < error < 1e-5
    assert inspected["described"]["judged_by"] == {"y": "float64 by torch's own kernels"}


def test_what_fixes_float32_inside_has_no_float64(tmp_path: Path) -> None:
    source = "def forward(self, x: Tensor) -> Tensor:\n    return x.float().exp()\n"
    inspected = adapter.inspect("torchscript", script(tmp_path, source), {"x": X}, Sampling(0))
    assert "gold" not in inspected
    assert inspected["described"]["remarks"] == ["no float64 evaluation: it fixes float32 inside"]


def test_a_program_that_writes_into_its_inputs_is_judged_on_those_given(tmp_path: Path) -> None:
    source = "def forward(self, x: Tensor) -> Tensor:\n    return x.sub_(0.5)\n"
    original = X.copy()
    inspected = adapter.inspect(
        "torchscript", script(tmp_path, source), {"x": original}, Sampling(0)
    )
    np.testing.assert_array_equal(inspected["inputs"]["x"], X)
    np.testing.assert_array_equal(inspected["outputs"]["y"], X - np.float32(0.5))


def test_torchscript_without_inputs_asks_for_them(tmp_path: Path) -> None:
    path = script(tmp_path, "def forward(self, x: Tensor) -> Tensor:\n    return x\n")
    with pytest.raises(BadModel, match="give --inputs"):
        adapter.inspect("torchscript", path, None, Sampling(0))


class Nested(torch.nn.Module):
    def forward(self, pair: Any, scale: Any) -> Any:
        augend, addend = pair
        return {"sum": augend + addend, "scaled": augend * scale}


def test_an_exported_program_brings_its_inputs(tmp_path: Path) -> None:
    augend, addend = torch.ones(2, 3), torch.full((2, 3), 2.0)
    program = torch.export.export(Nested(), ((augend, addend), 3.0))
    path = str(tmp_path / "model.pt2")
    torch.export.save(program, path)
    inspected = adapter.inspect("torch-export", path, None, Sampling(0))
    assert list(inspected["inputs"]) == ["pair_0", "pair_1"]
    np.testing.assert_array_equal(inspected["inputs"]["pair_1"], addend.numpy())
    assert sorted(inspected["outputs"]) == ["scaled", "sum"]
    np.testing.assert_array_equal(inspected["gold"]["sum"], np.full((2, 3), 3.0))


def test_an_exported_programs_own_inputs_give_way_to_what_a_person_asks(tmp_path: Path) -> None:
    path = str(tmp_path / "model.pt2")
    torch.export.save(torch.export.export(torch.nn.Linear(8, 4), (torch.ones(5, 8),)), path)
    own = adapter.inspect("torch-export", path, None, Sampling(0))
    assert own["described"]["values"] == {"input": "it was exported with them"}
    inspection = adapter.inspect("torch-export", path, None, Sampling(0, ranges={"input": (2, 3)}))
    assert inspection["inputs"]["input"].shape == (5, 8)
    assert inspection["inputs"]["input"].min() >= 2
    assert "values" not in inspection["described"]


def test_an_exported_program_without_examples_has_inputs_of_its_shapes(tmp_path: Path) -> None:
    batch = torch.export.Dim("batch", min=3, max=9)
    program = torch.export.export(
        torch.nn.Linear(8, 4), (torch.ones(5, 8),), dynamic_shapes=({0: batch},)
    )
    program.example_inputs = None
    path = str(tmp_path / "model.pt2")
    torch.export.save(program, path)
    inspected = adapter.inspect("torch-export", path, None, Sampling(0))
    assert [x.shape for x in inspected["inputs"].values()] == [(3, 8)]


def test_an_exported_program_in_bfloat16_takes_the_float32_that_carries_it(tmp_path: Path) -> None:
    path = str(tmp_path / "model.pt2")
    module, example = torch.nn.Linear(8, 4).bfloat16(), torch.ones(2, 8, dtype=torch.bfloat16)
    torch.export.save(torch.export.export(module, (example,)), path)
    inspected = adapter.inspect("torch-export", path, {"input": X}, Sampling(0))
    np.testing.assert_array_equal(
        inspected["inputs"]["input"], torch.from_numpy(X).bfloat16().float().numpy()
    )
    assert inspected["outputs"]["y"].dtype == np.float32  # numpy has no bfloat16
    error = np.abs(inspected["gold"]["y"] - inspected["outputs"]["y"]).max()
    assert 0 < error < 0.05


def test_why_torchscript_has_no_float64_is_what_its_interpreter_says(tmp_path: Path) -> None:
    source = """
def forward(self, x: Tensor) -> Tensor:
    assert x.dtype == torch.float32, "only float32"
    return x
"""
    inspected = adapter.inspect("torchscript", script(tmp_path, source), {"x": X}, Sampling(0))
    (remark,) = inspected["described"]["remarks"]
    assert remark.startswith("no float64 evaluation: RuntimeError: AssertionError: only float32")


def test_where_the_interpreter_says_nothing_the_operation_is_named(tmp_path: Path) -> None:
    source = """
def forward(self, x: Tensor) -> Tensor:
    return torch.matmul(x, torch.ones([8, 4], dtype=torch.float32))
"""
    inspected = adapter.inspect("torchscript", script(tmp_path, source), {"x": X}, Sampling(0))
    (remark,) = inspected["described"]["remarks"]
    assert remark.startswith("no float64 evaluation: RuntimeError")
    assert "torch.matmul(x, torch.ones" in remark
