"""Every report of a verification says which inputs were served, and where they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from deepmatrix import reports
from deepmatrix.judging.verdicts import Verdict
from deepmatrix.models import imports
from deepmatrix.reports import markdown
from deepmatrix.results import remarks
from deepmatrix.results.portability import blame_inputs
from deepmatrix.results.rows import Results
from deepmatrix.store.reported.output import ModelInput
from deepmatrix.store.truths import Truth
from tests.unit import verifications

IMAGE = ModelInput(
    name="image", dtype="float32", shape=(2, 3, 64, 64), low=-4.25, high=4.5, sampled=True
)
IDS = ModelInput(
    name="ids",
    dtype="int64",
    shape=(2, 8),
    low=0,
    high=99,
    sampled=True,
    values="indices of Gather",
)
TEXT = ModelInput(name="words", dtype="str", shape=(), sampled=False)


def verified(*inputs: ModelInput) -> Results:
    model = verifications.MODEL.model_copy(update={"inputs": inputs})
    return verifications.results().model_copy(update={"models": (model,)})


def printed(results: Results) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        reports.show(console, results)
    return capture.get()


def test_the_screen_says_name_type_shape_range_and_who_made_them_in_a_line() -> None:
    line = "sample inputs: image float32 2x3x64x64 from -4.25 to 4.5, ids int64 2x8 from 0 to 99"
    assert line in printed(verified(IMAGE, IDS)).splitlines()
    assert "user-provided inputs: words str scalar" in printed(verified(TEXT)).splitlines()
    assert "inputs, " not in printed(verified())


def test_infinities_and_nan_of_inputs_are_said() -> None:
    mixed = IMAGE.model_copy(update={"special": "-inf, NaN"})
    no_range = IMAGE.model_copy(update={"low": None, "high": None, "special": "-inf"})
    assert "image float32 2x3x64x64 from -4.25 to 4.5 and -inf, NaN" in printed(verified(mixed))
    assert "image float32 2x3x64x64 of -inf" in printed(verified(no_range))
    report = markdown.document(verified(mixed))
    assert "| image | float32 | 2x3x64x64 | -4.25 | 4.5 | sample | with -inf, NaN |" in report
    assert imports._special(np.float32([1, -np.inf, np.nan])) == "-inf, NaN"
    assert imports._special(np.array(["inf"])) == imports._special(np.float32([1, 2])) == ""


def test_a_line_names_few_inputs_and_counts_the_others() -> None:
    line = printed(verified(*[IMAGE.model_copy(update={"name": f"x{n}"}) for n in range(6)]))
    assert "x3 float32" in line
    assert "x4 float32" not in line
    assert "and 2 more" in line


def test_the_report_has_a_table_of_all_inputs() -> None:
    report = markdown.document(verified(IMAGE, IDS))
    assert "## Inputs of resnet50" in report
    assert "| image | float32 | 2x3x64x64 | -4.25 | 4.5 | sample |  |" in report
    assert "| ids | int64 | 2x8 | 0 | 99 | sample | indices of Gather |" in report


def test_sample_inputs_are_warned_about_once_a_model() -> None:
    (warning,) = remarks.sample_inputs(verified(IMAGE, IDS).models)
    assert warning == (
        "resnet50: uses sample inputs; random data may hide or exaggerate a difference; give real "
        "ones with --inputs"
    )
    assert not list(remarks.sample_inputs(verified(TEXT).models))


def test_models_that_are_alike_share_a_warning() -> None:
    (model,) = verified(IMAGE).models
    several = [model.model_copy(update={"name": f"m{number}"}) for number in range(5)]
    (warning,) = remarks.sample_inputs(several)
    assert warning.startswith("m0, m1, m2 and 2 more: use sample inputs; ")
    row = verifications.results().portability[0]
    row = row.model_copy(update={"verdict": "match", "tolerance": 0.1, "basis": "of bfloat16"})
    rows = [
        row.model_copy(update={"model": name, "artifact": f"x--{name}--onnx"}) for name in "abcd"
    ]
    (warning,) = remarks.wide_tolerances(rows)
    assert warning.startswith("a, b, c and 1 more: a match allows an error of 10.0% (of bfloat16) ")


def test_a_model_that_keeps_state_is_named_by_its_name_once_with_the_cells() -> None:
    plain = verifications.results().portability[:2]
    rows = [row.model_copy(update={"stateful": True}) for row in plain]
    (warning,) = remarks.stateful(rows, [verifications.MODEL])
    assert warning == (
        "resnet50: stateful, it keeps state between calls; outputs are compared after a fresh "
        "load (onnxruntime-debian12-amd64-cpu, onnxruntime-debian13-arm64-cpu)"
    )
    assert not list(remarks.stateful(plain, [verifications.MODEL]))


def test_a_model_that_is_random_by_design_keeps_no_state() -> None:
    row = verifications.results().portability[0].model_copy(update={"stateful": True})
    random = verifications.MODEL.model_copy(update={"random": ("logits",)})
    assert not list(remarks.stateful([row], [random]))


def test_sample_inputs_that_nothing_takes_are_our_fault_not_the_consumers() -> None:
    refused = Verdict(name="error", reason="infer: Fail: dimension mismatch")
    branch = "decides a branch of If"
    shapes = {"input": ("float32", (1, 64), ""), "sr": ("int64", (), branch)}
    inputs = tuple(
        ModelInput(name=name, dtype=dtype, shape=shape, sampled=True, steers=steers)
        for name, (dtype, shape, steers) in shapes.items()
    )
    model = verifications.MODEL.model_copy(
        update={"refusal": "dimension mismatch", "inputs": inputs}
    )
    verdict = blame_inputs(refused, model)
    assert verdict.name == "not-run"
    assert verdict.reason == (
        "no sample inputs fit it: say what sr (decides a branch of If) has to be: "
        "--range sr=VALUE:VALUE; or give other sizes with --shape, or real ones with --inputs "
        "FILE.npz; tried were input (float32 [1, 64]), sr (int64 []) "
        "(infer: Fail: dimension mismatch)"
    )
    told = {"low": 16e3, "high": 16e3, "values": "what a branch compares it with"}
    known = model.model_copy(update={"inputs": (inputs[0], inputs[1].model_copy(update=told))})
    assert "--range sr=16000:16000;" in blame_inputs(refused, known).reason
    assert blame_inputs(refused, verifications.MODEL) == refused
    matched = Verdict(name="match")
    assert blame_inputs(matched, model) == matched


def test_a_sample_number_that_steers_the_graph_needs_a_meaning() -> None:
    sizes = {"shape": (), "sampled": True, "low": 3, "high": 3}
    size = ModelInput(name="n", dtype="int64", steers="is a step of Range", **sizes)
    told = size.model_copy(update={"name": "sr", "values": "what a branch compares it with"})
    (warning,) = remarks.sample_inputs(verified(size, told).models)
    assert warning.endswith(
        "give real ones with --inputs; n is a step of Range: say what it is with "
        "--range n=VALUE:VALUE"
    )


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_reference_leaves_the_outputs_their_type(tmp_path: Path, dtype: str) -> None:
    """The tolerance of a reduced precision is that of the type of the producer's outputs."""
    reference = tmp_path / "reference.npz"
    np.savez(reference, y=np.float64([0.5, 0.25]))
    outputs, precise = {"y": np.array([0.5, 0.251], dtype)}, {"y": np.float64([0.5, 0.2505])}
    judged = imports._by_reference(reference, Truth(gold=precise, produced=outputs), precise)
    assert judged.produced["y"].dtype == dtype
    assert judged.produced["y"][1] == pytest.approx(0.2505, abs=2e-4)


def test_nan_in_a_reference_is_said(tmp_path: Path) -> None:
    reference = tmp_path / "reference.npz"
    np.savez(reference, y=np.float32([0.5, np.nan, np.nan]), z=np.int64([1]))
    outputs = {"y": np.float32([0.5, 1, 2]), "z": np.int64([1])}
    judged = imports._by_reference(reference, Truth(gold=outputs, produced=outputs), outputs)
    reason = "2 of 3 values of output 'y' are NaN: there only NaN is right"
    assert judged.remarks == (f"--reference: {reason}",)
