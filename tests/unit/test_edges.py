"""The judge's own definitions at the edges of their attributes, against ONNX Runtime's kernels."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from harness.graphs.operators import definitions
from harness.graphs.unrolling import unrolled
from harness.runtimes.onnx.undecided import undefined
from tests.unit.edges import DIFFERENCES, EDGES
from tests.unit.fused_edges import EQUIVALENTS
from tests.unit.one_node import CONTRIB, Case, by_judge, by_runtime, difference
from tests.unit.test_operators import CASES

pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

#: Models of what ONNX Runtime's optimiser writes: these have no named values to try.
FUSED = [Case(*case, domain=CONTRIB) for case in CASES.values()]

BY_OPERATOR: dict[tuple[str, str], list[Case]] = defaultdict(list)
for _case in [*EDGES, *FUSED]:
    BY_OPERATOR[_case.key].append(_case)


def run(case: Case) -> dict[str, np.ndarray]:
    equivalent = EQUIVALENTS.get(case.operator)
    return by_runtime(case, equivalent(case) if equivalent else None)


def how_it_differs(case: Case, answers: dict[str, np.ndarray]) -> str:
    masks = undefined.masks(unrolled(case.model(), case.fed()), case.fed(), answers).masks
    return difference(by_judge(case), answers, masks)


def is_known(case: Case) -> bool:
    return any(applies(case) for applies in DIFFERENCES.values())


def test_every_definition_is_tried() -> None:
    defined = {(definition.op_domain, definition.__name__) for definition in definitions()}
    assert defined == set(BY_OPERATOR)


@pytest.mark.parametrize("case", EDGES, ids=str)
def test_an_operator_answers_as_its_kernel_at_an_edge(case: Case) -> None:
    assert bool(how_it_differs(case, run(case))) == is_known(case)


@pytest.mark.parametrize("reason", DIFFERENCES)
def test_a_known_difference_is_tried(reason: str) -> None:
    assert any(DIFFERENCES[reason](case) for case in EDGES)


def falsified(value: Any) -> Any:
    """Return a wrong value: floats times 1.5, integers plus 1, other text, other truth."""
    if isinstance(value, dict):
        return {key: falsified(element) for key, element in value.items()}
    if isinstance(value, list):
        return [falsified(element) for element in value]
    array = np.asarray(value)
    if array.dtype.kind in "OUS":
        return np.array([f"{text}x" for text in array.ravel()], object).reshape(array.shape)
    if array.dtype.kind == "b":
        return ~array
    return (array * 1.5 if array.dtype.kind == "f" else array + 1).astype(array.dtype)


@pytest.mark.parametrize("definition", definitions(), ids=lambda d: f"{d.op_domain}.{d.__name__}")
def test_every_output_of_a_definition_is_noticed_where_it_is_wrong(
    definition: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [c for c in BY_OPERATOR[definition.op_domain, definition.__name__] if not is_known(c)]
    answers = [run(case) for case in cases]
    right = definition._run
    for wrong in range(max(case.outputs for case in cases)):

        def falsify(self: Any, *args: Any, wrong: int = wrong, **settings: Any) -> tuple[Any, ...]:
            results = right(self, *args, **settings)
            return tuple(falsified(x) if at == wrong else x for at, x in enumerate(results))

        with monkeypatch.context() as patched:
            patched.setattr(definition, "_run", falsify)
            noticed = (how_it_differs(*pair) for pair in zip(cases, answers, strict=True))
            assert any(noticed), f"output {wrong}"
