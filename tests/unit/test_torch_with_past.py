"""A language model of torch with past: its steps, in each format, add up to the whole sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

from harness import record  # noqa: E402 - after torch is known to be there
from harness.frameworks.torch import adapter  # noqa: E402

STEPS, SYMBOLS, WIDTH, HEADS = 12, 20, 8, 2
CACHE = record.cache_names(2)
EMPTY = {name: np.zeros((3, HEADS, 0, WIDTH // HEADS), np.float32) for name in CACHE}
TOKENS = np.random.default_rng(0).integers(0, SYMBOLS, (3, STEPS))

Predict = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def layers() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {"name": "embedding", "kind": "dense"},
        {"name": "position", "kind": "position"},
    ]
    before = "position"
    for number in (1, 2):
        norm, attention, total = f"norm{number}", f"attention{number}", f"add{number}"
        made += [
            {"name": norm, "kind": "layer_norm", "epsilon": 1e-5, "inputs": [before]},
            {"name": attention, "kind": "multihead_attention", "heads": HEADS, "causal": True},
            {"name": total, "kind": "add", "inputs": [before, attention]},
        ]
        before = total
    return [*made, {"name": "output", "kind": "dense"}]


def weights() -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.kernel": (WIDTH, SYMBOLS),
        "embedding.bias": (WIDTH,),
        "position.table": (STEPS, WIDTH),
        "output.kernel": (SYMBOLS, WIDTH),
        "output.bias": (SYMBOLS,),
    }
    for number in (1, 2):
        shapes |= {f"norm{number}.{name}": (WIDTH,) for name in ("scale", "offset")}
        for part in ("query", "key", "value", "output"):
            shapes[f"attention{number}.{part}_kernel"] = (WIDTH, WIDTH)
            shapes[f"attention{number}.{part}_bias"] = (WIDTH,)
    random = np.random.default_rng(1)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def model() -> Any:
    adapter.start()
    adapter.device = torch.device("cpu")
    network = {"name": "n", "input": [STEPS, SYMBOLS], "classes": SYMBOLS, "layers": layers()}
    return adapter.build(network, weights(), 0.1)


def logits_in_steps(predict: Predict, lengths: list[int]) -> np.ndarray:
    """Feed the tokens in parts of these lengths; return the logits of all."""
    cache, first, logits = dict(EMPTY), 0, []
    for length in lengths:
        answers = predict({record.TOKENS: TOKENS[:, first : first + length], **cache})
        logits.append(answers[record.LOGITS])
        cache = {past: answers[present] for past, present in CACHE.items()}
        first += length
    assert {x.shape for x in cache.values()} == {(3, HEADS, STEPS, WIDTH // HEADS)}
    return np.concatenate(logits, axis=1)


def of_model(model: Any, folder: Path) -> Predict:
    del folder
    return lambda inputs: adapter.predict_with_past(model, dict(inputs))


def example(model: Any) -> dict[str, np.ndarray]:
    before = adapter.predict_with_past(model, {record.TOKENS: TOKENS[:, :4], **EMPTY})
    past = {name: before[present] for name, present in CACHE.items()}
    return {record.TOKENS: np.ascontiguousarray(TOKENS[:, 4:9]), **past}


def of_program(model: Any, folder: Path) -> Predict:
    path = str(folder / "model.pt2")
    adapter.export_with_past(model, "torch-export", path, example(model))
    program = adapter.load("torch-export", path)
    return lambda inputs: adapter.answer(program, dict(inputs))


def of_onnx(model: Any, folder: Path) -> Predict:
    onnx = pytest.importorskip("onnx")
    reference = pytest.importorskip("onnx.reference")
    path = str(folder / "model.onnx")
    adapter.export_with_past(model, "onnx", path, example(model))
    evaluator = reference.ReferenceEvaluator(onnx.load(path))
    assert evaluator.input_names == [record.TOKENS, *CACHE]
    assert evaluator.output_names == [record.LOGITS, *CACHE.values()]
    names = evaluator.output_names
    return lambda inputs: dict(zip(names, evaluator.run(None, dict(inputs)), strict=True))


@pytest.mark.parametrize("of", [of_model, of_program, of_onnx])
@pytest.mark.parametrize("lengths", [[STEPS], [5, 4, 3], [2] + [1] * 10, [1] * STEPS])
def test_steps_add_up_to_the_whole_sequence(
    of: Callable[[Any, Path], Predict], lengths: list[int], model: Any, tmp_path: Path
) -> None:
    whole = adapter.predict(model, np.eye(SYMBOLS, dtype=np.float32)[TOKENS])
    steps = logits_in_steps(of(model, tmp_path), lengths)
    np.testing.assert_allclose(steps, whole, rtol=1e-5, atol=1e-5)
