"""Generation: the tokens of a consumer against those that are right, and near ties.

Greedy decoding chooses the largest logit. Where two are nearly equal, rounding decides, and all
tokens after that one have another context.
"""

from __future__ import annotations

from pathlib import Path

from deepmatrix.judging.terms import Terms
from deepmatrix.store import artifacts
from deepmatrix.store.records import Agreement, Deviation, Generated
from deepmatrix.store.reported.output import Generation, Output
from deepmatrix.store.reported.phases import InferData
from harness.record import SMALLEST_SCALE


def measure(artifact: Path, output: Output | None) -> Generated | None:
    """Compare what a consumer generated with what is right; None where the model does not generate.

    Raises Damaged where the artifact's own files are.
    """
    described = artifacts.read_generation(artifact)
    inference = output.infer() if output else None
    return compare(inference, described) if inference and described else None


def compare(inference: InferData, described: Generation) -> Generated:
    """Return how the tokens that were generated compare with those that are *described*."""
    data, right = inference.generation, described.expected
    generated = Generated(
        output=described.logits, prompt=len(described.prompt), steps=described.steps
    )
    if data is None:
        return generated.changed(note="its runner generated nothing")
    if len(data.tokens) != len(right):
        return generated.changed(note=f"it gave {len(data.tokens)} tokens, not {len(right)}")
    generated = generated.changed(repeatable=data.repeatable)
    pairs = enumerate(zip(data.tokens, right, strict=True))
    step = next((step for step, (token, wanted) in pairs if token != wanted), None)
    if step is None:
        return generated.changed(equal=len(right))
    return generated.changed(
        equal=step,
        token=data.tokens[step],
        expected=right[step],
        runner_up=data.runners_up[step],
        margin=data.margins[step] / max(data.scales[step], SMALLEST_SCALE),
    )


def near_tie(generated: Generated, agreement: Agreement, terms: Terms) -> str:
    """Return why another token is no fault, or "": rounding decides between it and the right one.

    Each of the two logits may be wrong by the tolerance, so that they change places where they are
    less than two tolerances apart.
    """
    allowed = 2 * _tolerance(generated, agreement, terms)
    if generated.margin is None or generated.expected != generated.runner_up:
        return ""
    if generated.margin > allowed:
        return ""
    return (
        f"near tie: token {generated.equal + 1} of {generated.steps} is {generated.token}, not "
        f"{generated.expected}; their logits differ by {generated.margin:.1e}, and rounding may "
        f"cost {allowed:.1e}: the tokens after it are not compared"
    )


def fault(generated: Generated, agreement: Agreement, terms: Terms) -> str:
    """Return what is wrong with the tokens, or "" where they are right up to a near tie."""
    if generated.note:
        return generated.note
    if not generated.repeatable:
        return "generated again, the tokens are others"
    if generated.equal == generated.steps or near_tie(generated, agreement, terms):
        return ""
    return (
        f"token {generated.equal + 1} of {generated.steps} is {generated.token}, not "
        f"{generated.expected}, by a margin of {generated.margin:.1e}"
    )


def _tolerance(generated: Generated, agreement: Agreement, terms: Terms) -> float:
    """Return the tolerance of the logits."""
    named = (output for output in agreement.outputs if output.name == generated.output)
    return terms.allowed_of(next(named, Deviation(name=generated.output, error=None)), agreement)[0]
