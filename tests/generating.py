"""A small decoder with a cache, as ONNX, and what is right for it by numpy without a cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float64]

LAYERS, HEADS, SIZE, VOCABULARY = 2, 2, 4, 16
WIDTH = HEADS * SIZE
PROMPT, STEPS = (3, 1, 4, 1, 5), 12

#: Makes weights by which the tokens vary, and no two logits are near each other.
SEED = 4


def weights(seed: int = SEED) -> dict[str, NDArray[np.float32]]:
    """Return the weights of the decoder by name."""
    random = np.random.default_rng(seed)
    shapes = {"embedding": (VOCABULARY, WIDTH), "head": (WIDTH, VOCABULARY)}
    shapes |= {f"{part}_{at}": (WIDTH, WIDTH) for at in range(LAYERS) for part in "qkvo"}
    return {
        name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }


def right_tokens(prompt: tuple[int, ...] = PROMPT, steps: int = STEPS) -> list[int]:
    """Return the tokens that follow by greedy decoding: each time from all before, in float64."""
    tokens = list(prompt)
    for _ in range(steps):
        tokens.append(int(logits(tokens)[-1].argmax()))
    return tokens[len(prompt) :]


def logits(tokens: list[int]) -> Floats:
    """Return the logits of all positions, (length, vocabulary) float64."""
    matrices = {name: value.astype(np.float64) for name, value in weights().items()}
    hidden = matrices["embedding"][tokens]
    hidden_from_later = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
    for at in range(LAYERS):
        q, k, v = (_in_heads(hidden @ matrices[f"{part}_{at}"]) for part in "qkv")
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(SIZE) + hidden_from_later
        odds = np.exp(scores - scores.max(-1, keepdims=True))
        attended = odds / odds.sum(-1, keepdims=True) @ v
        joined = attended.transpose(1, 0, 2).reshape(len(tokens), WIDTH)
        hidden = np.tanh(hidden + joined @ matrices[f"o_{at}"])
    answered: Floats = hidden @ matrices["head"]
    return answered


def _in_heads(x: Floats) -> Floats:
    return x.reshape(len(x), HEADS, SIZE).transpose(1, 0, 2)


def model(*, reads_cache: bool = True) -> onnx.ModelProto:
    """Return the decoder: one step with a cache; or, as a fault, one that does not read it."""
    nodes: list[onnx.NodeProto] = []

    def add(kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{kind.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    hidden = add("Gather", "embedding", "tokens")
    length = add("Gather", add("Shape", "tokens"), "one")
    past = add("Gather", add("Shape", "past_key_0"), "two")
    seen = add(
        "Concat",
        add("Unsqueeze", length, "zero"),
        add("Unsqueeze", add("Add", past, length), "zero"),
        axis=0,
    )
    later = add("Trilu", add("Expand", "minus", seen), add("Add", past, "first"), upper=1)
    for at in range(LAYERS):
        heads = {
            part: add(
                "Transpose",
                add("Reshape", add("MatMul", hidden, f"{part}_{at}"), "in_heads"),
                perm=[0, 2, 1, 3],
            )
            for part in "qkv"
        }
        for part, name in (("k", "key"), ("v", "value")):
            before = f"past_{name}_{at}"
            before = before if reads_cache else add("Mul", before, "nothing")
            nodes.append(
                helper.make_node("Concat", [before, heads[part]], [f"present_{name}_{at}"], axis=2)
            )
        turned = add("Transpose", f"present_key_{at}", perm=[0, 1, 3, 2])
        scores = add("Add", add("Mul", add("MatMul", heads["q"], turned), "scale"), later)
        attended = add("MatMul", add("Softmax", scores, axis=-1), f"present_value_{at}")
        joined = add("Reshape", add("Transpose", attended, perm=[0, 2, 1, 3]), "joined")
        hidden = add("Tanh", add("Add", hidden, add("MatMul", joined, f"o_{at}")))
    nodes.append(helper.make_node("MatMul", [hidden, "head"], ["logits"]))
    constants = {
        "zero": np.array([0]),
        "one": np.array(1),
        "two": np.array(2),
        "first": np.array(1),
        "minus": np.array(-1e9, np.float32),
        **({} if reads_cache else {"nothing": np.array(0, np.float32)}),
        "scale": np.array(SIZE**-0.5, np.float32),
        "in_heads": np.array([0, 0, HEADS, SIZE]),
        "joined": np.array([0, 0, WIDTH]),
    }
    value, caches = (
        helper.make_tensor_value_info,
        [f"{name}_{at}" for at in range(LAYERS) for name in ("key", "value")],
    )
    graph = helper.make_graph(
        nodes,
        "decoder",
        [
            value("tokens", TensorProto.INT64, ["batch", "length"]),
            *(
                value(f"past_{name}", TensorProto.FLOAT, ["batch", HEADS, "past", SIZE])
                for name in caches
            ),
        ],
        [
            value("logits", TensorProto.FLOAT, ["batch", "length", VOCABULARY]),
            *(
                value(f"present_{name}", TensorProto.FLOAT, ["batch", HEADS, "seen", SIZE])
                for name in caches
            ),
        ],
        [numpy_helper.from_array(array, name) for name, array in (weights() | constants).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def description(expected: list[int] | None = None) -> dict[str, Any]:
    """Return ``generation.json`` of the decoder; the tokens are right unless others are given."""
    names = [f"{name}_{at}" for at in range(LAYERS) for name in ("key", "value")]
    return {
        "prompt": list(PROMPT),
        "steps": STEPS,
        "tokens": "tokens",
        "logits": "logits",
        "cache": {f"past_{name}": f"present_{name}" for name in names},
        "shapes": {f"past_{name}": [1, HEADS, 0, SIZE] for name in names},
        "expected": right_tokens() if expected is None else expected,
    }


def example() -> dict[str, NDArray[Any]]:
    """Return inputs of one step: some tokens after three others."""
    random = np.random.default_rng(1)
    names = [f"past_{name}_{at}" for at in range(LAYERS) for name in ("key", "value")]
    cache = {name: random.standard_normal((1, HEADS, 3, SIZE)).astype(np.float32) for name in names}
    return {"tokens": np.array([PROMPT]), **cache}


def save(folder: Path, *, reads_cache: bool = True, expected: list[int] | None = None) -> Path:
    """Write the model with its description beside it; return the model's path."""
    path = folder / "model.onnx"
    onnx.save(model(reads_cache=reads_cache), path)
    (folder / "generation.json").write_text(json.dumps(description(expected)))
    return path
