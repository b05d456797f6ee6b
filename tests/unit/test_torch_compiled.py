"""torch.compile as it comes, in the image that has its compiler."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not (shutil.which("g++") and shutil.which("openssl")):
    pytest.skip("torch.compile needs a compiler and openssl", allow_module_level=True)

from torch._inductor.runtime import cache_dir_utils  # noqa: E402

from harness.frameworks.torch import adapter  # noqa: E402

NETWORK = {"input": [4], "classes": 3, "layers": [{"name": "a", "kind": "dense", "units": 3}]}


def test_a_compiled_step_is_an_eager_one_and_its_headers_are_compiled_once() -> None:
    numbers = np.random.default_rng(0)
    weights = {
        "a.kernel": numbers.normal(size=(3, 4)).astype("float32"),
        "a.bias": np.zeros(3, "float32"),
    }
    x, y = numbers.normal(size=(8, 4)).astype("float32"), np.arange(8) % 3
    adapter.start()
    losses = {}
    for execution in ("eager", "compiled"):
        adapter.configure("cpu", 1, execution=execution)
        model = adapter.build(NETWORK, weights, 0.1)
        losses[execution] = [float(adapter.step(model, adapter.put(x, y))) for _ in range(3)]
        if execution == "compiled":
            adapter.activations(model, x)
    assert np.allclose(losses["compiled"], losses["eager"], rtol=1e-6)
    assert list(Path(cache_dir_utils.cache_dir()).rglob("*.gch"))
