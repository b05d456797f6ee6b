"""A user's own models: recognised by what they are, planned, kept and judged."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.boundary.writing import write_text
from deepmatrix.cli import main
from deepmatrix.cli.own_models import refusing
from deepmatrix.config.sections import ExpectedFailure, Infer
from deepmatrix.errors import ArgumentError
from deepmatrix.models import budgets, files, imports
from deepmatrix.models.budgets import Budgets
from deepmatrix.models.names import own_names
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.model_plan import First, find_unserved, plan_models
from deepmatrix.planning.plan import Job, Plan
from deepmatrix.planning.selection import Selection
from deepmatrix.reports.budgets import exceeded
from deepmatrix.results import merging
from deepmatrix.store import arrays, artifacts, truths
from deepmatrix.store.arrays import Unreadable
from deepmatrix.store.causes import NodeError, NodeErrors
from deepmatrix.store.reported.output import Exported, Output
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs
from harness.phases import inspection
from harness.record import BAD_MODEL, FLOAT64, MODEL_INPUTS, PRODUCED, WRONG_INPUTS
from tests.unit.examples import (
    DOCKER,
    MATRIX,
    artifact,
    new_run,
    output,
    planned,
    record,
    write_zip,
)

INFER = Infer(batches=(1,), samples=5, min_s=0.0, max_s=1.0, warmup=1)


def verification(*models: tuple[str, str, str], same: bool = False, only: str = "*") -> Plan:
    selection = Selection(include=(only,))
    first: First = "same" if same else "served"
    return plan_models(MATRIX, models, selection, DOCKER, seed=0, infer=INFER, first=first)


ONE = verification(("net", "onnx", "model.onnx"), only="*-debian12-amd64-cpu")


def test_an_original_is_inspected_first_gives_its_inputs_and_is_not_served() -> None:
    models = (("m", "onnx", "model.onnx"), ("m_int8", "tflite", "model.tflite"))
    selection = Selection(include=("litert-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu"))
    plan = plan_models(MATRIX, models, selection, DOCKER, seed=0, infer=INFER, first="original")
    assert [job.subject for job in plan.jobs("produce")] == ["m", "m_int8"]
    assert [artifact.workload for artifact in plan.artifacts()] == ["m_int8"]
    assert {job.cell for job in plan.jobs("consume")} == {"litert-debian12-amd64-cpu"}
    assert plan.size("consume") == 1


def test_a_model_that_is_a_program_has_a_process_of_its_own() -> None:
    models = (("graph", "onnx", "model.onnx"), ("program", "torchscript", "model.pt"))
    selection = Selection(
        include=("torch-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu"), native=True
    )
    plan = plan_models(MATRIX, models, selection, DOCKER, seed=0, infer=INFER)
    isolated = {job.subject: plan.is_isolated(job) for job in plan.jobs("consume")}
    assert {artifact.workload: isolated[artifact.id] for artifact in plan.artifacts()} == {
        "graph": False,
        "program": True,
    }


# Recognised -----------------------------------------------------------------------------------


def test_a_model_is_known_by_its_ending_and_a_saved_model_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "My Net.onnx").write_bytes(b"onnx")
    (tmp_path / "net.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"pb")
    models = files.recognise([tmp_path / one for one in ("My Net.onnx", "net.tflite", "saved")])
    assert [(one.name, one.format, one.main, list(one.files)) for one in models] == [
        ("my-net", "onnx", "model.onnx", ["model.onnx"]),
        ("net", "tflite", "model.tflite", ["model.tflite"]),
        ("saved", "saved-model", "saved_model", ["saved_model/saved_model.pb"]),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("net.bin", b"x", ": unknown model format"),
        ("net.onnx", b"", "is empty"),
        ("net.tflite", b"\x08\x07\x12\x07pytorch", "is no file of the format tflite: wrong header"),
        ("net.pt", b"weights", "is no file of the format torchscript: wrong header"),
        ("missing.onnx", None, "is not there"),
    ],
)
def test_what_is_no_model_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ArgumentError, match=message):
        files.recognise([tmp_path / name])


def test_a_torchscript_file_needs_inputs_unless_another_model_gives_them(tmp_path: Path) -> None:
    write_zip(tmp_path / "net.ts", "net/code/__torch__.py", "net/constants.pkl", "net/data.pkl")
    (tmp_path / "net.onnx").write_bytes(b"onnx")
    script, onnx = files.recognise([tmp_path / "net.ts", tmp_path / "net.onnx"])
    assert (script.format, list(script.files)) == ("torchscript", ["model.pt"])
    with pytest.raises(ArgumentError, match="does not declare the shapes") as caught:
        files.check_declared([onnx, script], None, same=False)
    assert "--inputs" in str(caught.value.hint)
    files.check_declared([onnx, script], None, same=True)
    files.check_declared([script], tmp_path / "inputs.npz", same=False)


def test_torch_looks_into_torchscript() -> None:
    plan = verification(("net", "torchscript", "model.pt"), only="torch-*")
    (looked,) = plan.jobs("produce")
    assert looked.cell == "torch-debian12-amd64-cpu"


@pytest.mark.parametrize(
    "named",
    [
        {"a/net.onnx": "a-net", "b/net.onnx": "b-net", "other.onnx": "other"},
        {"net.onnx": "net", "a/net.onnx": "a-net"},
        {"net.onnx": "net-onnx", "net.tflite": "net-tflite"},
        {"x/a/net.onnx": "x-a-net", "y/a/net.onnx": "y-a-net"},
        {"a.onnx": "a", "a/model.onnx": "a-model"},
        {"a/net.onnx": "a-net-onnx-e221db", "a/Net.onnx": "a-net-onnx-0ad92a", "b.onnx": "b"},
        {f"{'a' * 60}.onnx": f"{'a' * 33}-11ee39"},
        {"w/模型.onnx": "w-onnx-717d6e", "w/型.onnx": "w-onnx-6d555c", "b.onnx": "b"},
    ],
)
def test_models_of_one_name_are_told_apart_whatever_their_order(
    tmp_path: Path, named: dict[str, str]
) -> None:
    for name in named:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\x1c\0\0\0TFL3" if name.endswith("tflite") else b"onnx")
    paths = [tmp_path / name for name in named]
    for ordered in (paths, paths[::-1]):
        names = {model.path: model.name for model in files.recognise(ordered)}
        assert [names[path] for path in paths] == list(named.values())
    (alone,) = files.recognise(paths[:1], beside=paths)
    assert alone.name == next(iter(named.values())), "a run of its own gives the same name"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("resnet50/model.onnx", "resnet50"),
        ("resnet50/1/model.onnx", "resnet50"),
        ("yolo/saved_model.onnx", "yolo"),
        ("net/7/model-2.onnx", "model-2"),
        ("Net V2/model.onnx", "net-v2"),
    ],
)
def test_a_file_whose_name_says_nothing_is_named_by_its_folder(
    tmp_path: Path, path: str, name: str
) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(b"onnx")
    assert [model.name for model in files.recognise([tmp_path / path])] == [name]


def test_the_folder_of_a_clone_names_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for clone in ("mine", "yours"):
        folder = tmp_path / clone / "resnet50"
        folder.mkdir(parents=True)
        for path in (folder.parent / "model.onnx", folder.parent / "1.onnx", folder / "model.onnx"):
            path.write_bytes(b"onnx")
        monkeypatch.chdir(folder.parent)
        for name, wanted in (
            ("model.onnx", "model"),
            ("1.onnx", "model"),
            ("resnet50/model.onnx", "resnet50"),
        ):
            (model,) = files.recognise([Path(name)])
            assert model.name == wanted
        monkeypatch.chdir(folder)
        (model,) = files.recognise([folder / "model.onnx"], root=folder.parent)
        assert model.name == "resnet50"


def test_a_link_counts_by_its_own_name_before_that_of_its_target(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "5e1f").write_bytes(b"\x08\x07onnx")
    (tmp_path / "blobs" / "net.onnx").write_bytes(b"\x08\x07onnx")
    (tmp_path / "encoder.onnx").symlink_to(tmp_path / "blobs" / "5e1f")
    (tmp_path / "latest").symlink_to(tmp_path / "blobs" / "net.onnx")
    models = files.recognise([tmp_path / "encoder.onnx", tmp_path / "latest"])
    assert [(model.name, model.format) for model in models] == [
        ("encoder", "onnx"),
        ("latest", "onnx"),
    ]


def test_a_saved_model_in_a_folder_of_versions_is_named_by_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "resnet50" / "1" / "model.savedmodel"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"pb")
    assert [model.name for model in files.recognise([folder])] == ["resnet50"]


def test_a_model_that_is_given_twice_is_served_once(tmp_path: Path) -> None:
    for name, content in (("a", b"onnx"), ("b", b"onnx"), ("c", b"other")):
        (tmp_path / f"{name}.onnx").write_bytes(content)
    first, copy, third = (tmp_path / f"{name}.onnx" for name in "abc")
    models, lines = files.drop_duplicates(files.recognise([first, copy, third, first]))
    assert [model.path for model in models] == [first, third]
    assert lines == [
        f"{copy} has the content of {first}: it is served once",
        f"{first} is given twice: it is served once",
    ]


#: What names are made of: text, and as half a surrogate pair each byte that is not UTF-8.
IN_NAMES = st.characters(codec="utf-8", exclude_characters="/\0")
IN_NAMES |= st.characters(categories=["Cs"], min_codepoint=0xDC80, max_codepoint=0xDCFF)


@given(st.lists(st.text(IN_NAMES, min_size=1, max_size=60), min_size=1, max_size=3, unique=True))
def test_whatever_files_are_called_their_names_differ_and_can_be_part_of_an_id(
    names: list[str],
) -> None:
    paths = [Path(f"/x/{name}.onnx") for name in names]
    model_names = own_names(paths, Path()).values()
    assert len({*model_names}) == len(paths)
    for model_name in model_names:
        assert re.fullmatch("[a-z0-9_]+(-[a-z0-9_]+)*", model_name)
        assert len(model_name) <= 40


def test_a_model_larger_than_its_format_can_be_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "net.onnx").open("wb") as file:
        file.truncate(12 * 2**30)
    with pytest.raises(ArgumentError, match=r"has 12 GiB; a file of the format onnx has less"):
        files.recognise([tmp_path / "net.onnx"])


# Planned --------------------------------------------------------------------------------------


def test_a_model_is_looked_into_once_and_served_by_every_cell_that_reads_it() -> None:
    (looked,) = ONE.jobs("produce")
    assert (looked.cell, looked.phases) == ("onnx-debian12-amd64-cpu", ("inspect",))
    serving = {job.cell for job in ONE.jobs("consume")}
    assert serving == {cell.id for cell in ONE.cells if "onnx" in cell.reads}
    assert len(list(ONE.jobs("consume"))) == ONE.size("consume")
    assert ONE.size("produce") == 1


def test_native_cells_serve_first_and_emulated_ones_can_be_left_out() -> None:
    everywhere = verification(("net", "onnx", "model.onnx"), only="onnxruntime-debian1*")
    order = [job.cell in everywhere.emulated for job in everywhere.jobs("consume")]
    assert set(order) == {False, True}
    assert order == sorted(order)
    native = plan_models(
        MATRIX,
        [("net", "onnx", "model.onnx")],
        Selection(include=("onnxruntime-debian1*",), native=True),
        DOCKER,
        seed=0,
        infer=INFER,
    )
    assert not native.emulated
    left_out = {skipped.cell.id for skipped in native.skipped if "--native" in skipped.reason}
    assert left_out == everywhere.emulated


@pytest.mark.parametrize(("native", "architecture"), [(True, "amd64"), (False, "arm64")])
def test_of_cells_that_a_name_may_have_meant_one_is_named_that_can_run(
    native: bool, architecture: str
) -> None:
    selection = Selection(include=("onnxruntime-node-debian13-arm46-cpu",), native=native)
    with pytest.raises(ArgumentError) as caught:
        plan_models(MATRIX, [("net", "onnx", "model.onnx")], selection, DOCKER, seed=0, infer=INFER)
    meant = f"did you mean 'onnxruntime-node-debian13-{architecture}-cpu'?"
    assert caught.value.message.endswith(meant)


def test_the_command_of_a_plan_is_the_one_that_makes_it() -> None:
    assert (ONE.command, planned("torch-*").command) == ("verify", "matrix")


def test_a_cell_that_only_looks_serves_nothing() -> None:
    plan = verification(("net", "onnx", "model.onnx"), only="onnxruntime-debian12-amd64-cpu")
    assert {job.cell for job in plan.jobs("consume")} == {"onnxruntime-debian12-amd64-cpu"}


def test_the_first_of_several_formats_is_looked_into_first() -> None:
    models = [(name, "onnx", "model.onnx") for name in ("z", "a", "m")]
    plan = verification(*models, same=True)
    assert [job.subject for job in plan.jobs("produce")] == ["z", "a", "m"]


def test_without_a_cell_that_can_look_there_is_no_plan() -> None:
    nothing = Capabilities(engine="venv", native=frozenset({"amd64"}), pythons=frozenset())
    with pytest.raises(ArgumentError, match="nothing here can inspect a model"):
        plan_models(
            MATRIX, [("n", "onnx", "model.onnx")], Selection(), nothing, seed=0, infer=INFER
        )


@pytest.mark.parametrize(
    ("only", "unread", "hint"),
    [
        ("torch-*", "net", "try a wider --only"),
        ("onnxruntime-*-cuda", "net", "the engine has no NVIDIA runtime"),
        ("onnxruntime-debian12-amd64-cpu", "lite", "try a wider --only"),
    ],
)
def test_a_model_that_no_chosen_cell_reads_is_refused(only: str, unread: str, hint: str) -> None:
    models = [("net", "onnx", "model.onnx"), ("lite", "tflite", "model.tflite")]
    with pytest.raises(ArgumentError, match=f"{unread}: no selected cell that can") as caught:
        verification(*models, only=only)
    assert hint in str(caught.value.hint)


def test_models_that_nothing_serves_are_told_from_those_that_are_served() -> None:
    models = [("net", "onnx", "model.onnx"), ("lite", "tflite", "model.tflite")]
    onnxruntime = Selection(include=("onnxruntime-debian12-amd64-cpu",))
    unserved = find_unserved(MATRIX, models, onnxruntime, DOCKER)
    assert unserved.keys() == {"lite"}
    assert "reads the format tflite" in unserved["lite"].message
    nothing = Capabilities(engine="venv", native=frozenset({"amd64"}), pythons=frozenset())
    assert find_unserved(MATRIX, models, Selection(), nothing).keys() == {"net", "lite"}


def test_every_cell_left_out_is_refused() -> None:
    nothing = Selection(exclude=("*",))
    with pytest.raises(ArgumentError, match="the selection leaves no cell"):
        plan_models(MATRIX, [("n", "onnx", "model.onnx")], nothing, DOCKER, seed=0, infer=INFER)


# Kept -----------------------------------------------------------------------------------------


def looked_into(tmp_path: Path, plan: Plan = ONE, **arrays: dict[str, np.ndarray]) -> Run:
    """A run whose models were looked into, with what the inspector left."""
    run = new_run(tmp_path, plan)
    for imported in plan.imports:
        run.model_path(imported.name).mkdir(parents=True)
        (run.model_path(imported.name) / imported.file).write_bytes(b"model")
    control = tmp_path / "control" / "artifacts"
    control.mkdir(parents=True)
    for name, values in arrays.items():
        np.savez(control / f"{name}.npz", **values)
    return run


def said(job: Job) -> Output:
    return Output.model_validate(
        {
            "schema": 1,
            "job": job.id,
            "harness": "0" * 16,
            "environment": {},
            "selftest": [],
            "peak_memory_bytes": 1,
            "memory_source": "process",
            "records": [
                {
                    "phase": "inspect",
                    "status": "ok",
                    "started_s": 0.0,
                    "seconds": 1.0,
                    "data": {"precise": True, "opset": 17},
                }
            ],
        }
    )


def test_gold_is_the_reference_before_float64_before_the_inspectors_own_answers(
    tmp_path: Path,
) -> None:
    reference, evaluated, inspected = ({"y": np.array([value])} for value in (1.0, 2.0, 3.0))
    run = looked_into(tmp_path, inputs={"x": np.ones(1)}, outputs=reference, gold=evaluated)
    (job,) = ONE.jobs("produce")
    folder = run.artifact_path(ONE.imports[0].artifact)
    gold = folder / "gold.npz"

    imports.keep_import(run, job, said(job), tmp_path / "control")
    assert np.load(gold)["y"] == 2.0
    run.user_arrays_path("reference").parent.mkdir()
    np.savez(run.user_arrays_path("reference"), **inspected)
    imports.keep_import(run, job, said(job), tmp_path / "control")
    assert np.load(gold)["y"] == 3.0
    assert artifacts.verify(folder).opset == 17
    run.user_arrays_path("reference").unlink()
    (tmp_path / "control" / "artifacts" / "gold.npz").unlink()
    imports.keep_import(run, job, said(job), tmp_path / "control")
    assert np.load(gold)["y"] == 1.0


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"y": np.ones(3)}, r"of output 'y' has the shape \(3,\); the model gives \(2,\)"),
        ({"y": np.ones(2, np.int64)}, "of output 'y' is int64; the model gives float64"),
        ({"y": np.array([np.nan, np.inf])}, "of output 'y' has no finite value"),
        (
            {"y": np.ones(2), "q": np.ones(2)},
            r"has 2 outputs \(y, q\), the model has 1 output \(y\): it",
        ),
    ],
)
def test_a_reference_that_cannot_be_right_is_refused(
    tmp_path: Path, reference: dict[str, np.ndarray], message: str
) -> None:
    run = looked_into(tmp_path, inputs={"x": np.ones(1)}, outputs={"y": np.ones(2)})
    (job,) = ONE.jobs("produce")
    run.user_arrays_path("reference").parent.mkdir()
    np.savez(run.user_arrays_path("reference"), **reference)
    with pytest.raises(Unreadable, match=message):
        imports.keep_import(run, job, said(job), tmp_path / "control")


def test_where_the_model_that_is_right_cannot_be_read_the_others_say_so(tmp_path: Path) -> None:
    models = [(name, "onnx", "model.onnx") for name in ("first", "second")]
    plan = verification(*models, same=True)
    run = looked_into(tmp_path, plan, inputs={"x": np.ones(1)}, outputs={"y": np.ones(2)})
    _, job = plan.jobs("produce")
    with pytest.raises(Unreadable, match="first, which says what is right, could not be read"):
        imports.keep_import(run, job, said(job), tmp_path / "control")


def test_a_reference_names_every_output_or_none(tmp_path: Path) -> None:
    outputs = {"y": np.ones(2), "z": np.ones(2)}
    run = looked_into(tmp_path, inputs={"x": np.ones(1)}, outputs=outputs)
    (job,) = ONE.jobs("produce")
    run.user_arrays_path("reference").parent.mkdir()
    np.savez(run.user_arrays_path("reference"), first=np.ones(2), second=np.zeros(2))
    imports.keep_import(run, job, said(job), tmp_path / "control")
    (remark,) = truths.read(run.artifact_path(ONE.imports[0].artifact)).remarks
    assert remark.endswith("taken in their order: first for y, second for z")
    np.savez(run.user_arrays_path("reference"), y=np.ones(2), zz=np.zeros(2))
    with pytest.raises(Unreadable, match="it does not give 'zz'"):
        imports.keep_import(run, job, said(job), tmp_path / "control")


def test_one_model_in_two_formats_is_judged_by_the_gold_of_the_first(tmp_path: Path) -> None:
    plan = verification(("a", "onnx", "model.onnx"), ("b", "onnx", "model.onnx"), same=True)
    values = {"y": np.array([1.0])}
    run = looked_into(tmp_path, plan, inputs={"x": np.ones(1)}, outputs=values, gold=values)
    first, second = plan.jobs("produce")
    imports.keep_import(run, first, said(first), tmp_path / "control")
    assert imports.inputs_for(run, plan.imports[1]).is_file()
    other_outputs = {"z": np.array([9.0])}
    np.savez(tmp_path / "control" / "artifacts" / "outputs.npz", **other_outputs)
    imports.keep_import(run, second, said(second), tmp_path / "control")
    assert np.load(run.artifact_path(plan.imports[1].artifact) / "gold.npz")["z"] == 1.0


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (("q",), r"^a\.onnx has 2 outputs \(y, z\), the model has 1 output \(q\)$"),
        (("y", "q"), r"^a\.onnx has 2 outputs .* \(y, q\): it does not give 'z'$"),
        (("y", "z", "z.0"), r"^a\.onnx has 2 .* 3 outputs .*: it also gives 'z\.0'$"),
    ],
)
def test_a_model_with_other_outputs_than_the_first_is_not_served_and_says_how_they_differ(
    tmp_path: Path, outputs: tuple[str, ...], message: str
) -> None:
    pair = verification(("a", "onnx", "model.onnx"), ("b", "onnx", "model.onnx"), same=True)
    pair = pair.with_sources({"a": "a.onnx", "b": "b.onnx"})
    values = {"y": np.ones(1), "z": np.ones(1)}
    run = looked_into(tmp_path, pair, inputs={"x": np.ones(1)}, outputs=values, gold=values)
    first, second = pair.jobs("produce")
    imports.keep_import(run, first, said(first), tmp_path / "control")
    changed = {name: np.ones(1) for name in outputs}
    np.savez(tmp_path / "control" / "artifacts" / "outputs.npz", **changed)
    with pytest.raises(Unreadable, match=message) as raised:
        imports.keep_import(run, second, said(second), tmp_path / "control")
    for job in (first, second):
        cause = {"status": "bad-artifact", "cause": str(raised.value)} if job is second else {}
        run.save(job, record(job, output=said(job), parity=None, **cause))
    assert f"b: the model is not served: {raised.value}" in merging.merge([run]).problems


def test_inputs_of_any_kind_are_handed_over_as_they_are(tmp_path: Path) -> None:
    inputs = {"ids": np.array([[1, 2]]), "mask": np.array(True), "words": np.array(["a", "bc"])}
    values = {"y": np.array([1.0])}
    run = looked_into(tmp_path, inputs=inputs, outputs=values, gold=values)
    (job,) = ONE.jobs("produce")
    imports.keep_import(run, job, said(job), tmp_path / "control")
    (tmp_path / "served").mkdir()
    document = artifacts.hand_over(run, ONE.imports[0].artifact, tmp_path / "served")
    assert document["splits"] is None
    for entry in document["inputs"]:
        array = np.load(tmp_path / "served" / entry["path"])
        np.testing.assert_array_equal(array, inputs[entry["name"]])


@pytest.mark.parametrize("name", ["inputs/w.bin", "artifact.json", "gold.npz", "inputs.npz"])
def test_external_data_may_be_called_as_the_hosts_own_files_are(tmp_path: Path, name: str) -> None:
    run = looked_into(tmp_path, inputs={"x": np.ones(1)}, outputs={"y": np.ones(1)})
    (job,) = ONE.jobs("produce")
    beside = run.model_path("net") / name
    beside.parent.mkdir(exist_ok=True)
    beside.write_bytes(b"weights")
    imports.keep_import(run, job, said(job), tmp_path / "control")
    (tmp_path / "served").mkdir()
    document = artifacts.hand_over(run, ONE.imports[0].artifact, tmp_path / "served")
    model = tmp_path / "served" / document["model"]
    assert (model.parent / name).read_bytes() == b"weights"
    assert [np.load(tmp_path / "served" / entry["path"]) for entry in document["inputs"]] == [1.0]


def test_tensors_may_be_called_as_the_arguments_of_functions_are(tmp_path: Path) -> None:
    values = {name: np.ones(1) for name in ("file", "self", "args")}
    run = looked_into(tmp_path)
    for name in ("inputs", "outputs"):
        path = tmp_path / "control" / "artifacts" / f"{name}.npz"
        path.write_bytes(inputs.npz_bytes(values))
    (job,) = ONE.jobs("produce")
    imports.keep_import(run, job, said(job), tmp_path / "control")
    folder = run.artifact_path(ONE.imports[0].artifact)
    assert np.load(folder / "gold.npz").files == list(values)


def test_a_model_that_nothing_could_evaluate_is_kept_without_gold(tmp_path: Path) -> None:
    run = looked_into(tmp_path, inputs={"x": np.ones(1)}, outputs={})
    (job,) = ONE.jobs("produce")
    imports.keep_import(run, job, said(job), tmp_path / "control")
    assert truths.read(run.artifact_path(ONE.imports[0].artifact)).gold == {}


# Judged ---------------------------------------------------------------------------------------


def judged(tmp_path: Path, **changes: object) -> Run:
    run = new_run(tmp_path, ONE)
    for job in ONE.jobs("produce"):
        run.save(job, record(job, output=said(job), parity=None, **changes))
    if not changes:
        for job in ONE.jobs("consume"):
            run.save(job, record(job, output=output(job)))
    return run


def test_a_verification_is_merged_like_any_run(tmp_path: Path) -> None:
    merged = merging.merge([judged(tmp_path)])
    assert merged.problems == ()
    assert merged.training == ()
    assert {row.verdict for row in merged.portability} == {"match"}
    assert {row.workload for row in merged.inference} == {"net"}


def test_the_evaluator_is_no_consumer_with_a_reference_and_without(tmp_path: Path) -> None:
    run = judged(tmp_path)
    for job in ONE.jobs("consume"):
        if job.cell == "onnx-debian12-amd64-cpu":
            run.save(job, record(job, status="unsupported", agreement=None, cause="no kernel"))
    merged = merging.merge([run])
    assert [row.consumer for row in merged.portability if row.judges] == ["onnx-debian12-amd64-cpu"]
    assert merged.problems == ()
    assert "onnx-debian12-amd64-cpu" not in {row.cell for row in merged.inference}
    run.user_arrays_path("reference").parent.mkdir()
    np.savez(run.user_arrays_path("reference"), y=np.ones(1))
    results = merging.merge([run])
    assert [row.consumer for row in results.portability if row.judges] == [
        "onnx-debian12-amd64-cpu"
    ]
    assert results.problems == ()
    assert "no kernel" in [row.reason for row in results.portability]


@pytest.mark.parametrize(("source", "judges"), [(FLOAT64, False), ("a baseline", True)])
def test_the_evaluator_elsewhere_tells_of_its_platform_where_it_can_evaluate(
    tmp_path: Path, source: str, judges: bool
) -> None:
    plan = verification(("net", "onnx", "model.onnx"), only="onnx-debian13-arm64-cpu")
    run = new_run(tmp_path, plan)
    for job in (*plan.jobs("produce"), *plan.jobs("consume")):
        run.save(job, record(job, parity=None))
    folder = artifact(run.artifact_path(plan.imports[0].artifact), [1.0], [1.0])
    described = Exported.model_validate_json((folder / "artifact.json").read_bytes())
    described = described.model_copy(update={"gold": {"y": source}})
    (folder / "artifact.json").write_text(described.model_dump_json())
    (row,) = merging.merge([run]).portability
    assert row.judges == judges


def test_the_first_wrong_node_and_those_that_add_most_are_in_the_results(tmp_path: Path) -> None:
    run = judged(tmp_path)
    artifact, consumer = ONE.imports[0].artifact.id, "onnxruntime-debian12-amd64-cpu"
    nodes = tuple(
        NodeError(node=f"n{at}", kind="Add", tensor=f"t{at}", error=at, added=at, tolerance=1.0)
        for at in range(9)
    )
    measured = NodeErrors(artifact=artifact, consumer=consumer, nodes=nodes)
    path = run.node_errors_path(artifact, consumer)
    write_text(path, measured.model_dump_json())
    (row,) = merging.merge([run]).nodes
    assert (row.model, row.count) == ("net", 9)
    assert [node.node for node in row.largest] == ["n2", "n4", "n5", "n6", "n7", "n8"]
    assert path == run.path / "nodes" / f"net--on--{consumer}.json"


def test_a_model_that_cannot_be_read_is_served_nowhere_and_says_why(tmp_path: Path) -> None:
    merged = merging.merge([judged(tmp_path, status="failed", cause="inspect: it is truncated")])
    reasons = {row.reason for row in merged.portability}
    assert reasons == {"the model is not served: inspect: it is truncated"}


def test_a_model_that_cannot_be_read_is_told_without_the_phase_and_the_type(tmp_path: Path) -> None:
    run = new_run(tmp_path, ONE)
    for job in ONE.jobs("produce"):
        document = output(job).model_dump(by_alias=True)
        error = {"type": BAD_MODEL, "message": "it is truncated"}
        document["records"][0].update(status="failed", error=error)
        failed = output(job, records=document["records"])
        cause = f"inspect: {BAD_MODEL}: it is truncated"
        run.save(job, record(job, output=failed, parity=None, status="failed", cause=cause))
    reasons = {row.reason for row in merging.merge([run]).portability}
    assert reasons == {"the model is not served: it is truncated"}


WITHOUT_ARRAYS = argparse.Namespace(inputs=[], reference=None)


def half_read(tmp_path: Path, *unread: str) -> Run:
    """Return a run with two models of which those named could not be read."""
    plan = verification(
        ("first", "onnx", "model.onnx"),
        ("second", "tflite", "model.tflite"),
        only="*-debian12-amd64-cpu",
    ).with_sources({"first": "first.onnx", "second": "second.tflite"})
    run = new_run(tmp_path, plan)
    for job in plan.jobs("produce"):
        failed = {"status": "failed", "cause": "torn"} if job.subject in unread else {}
        run.save(job, record(job, output=said(job), parity=None, **failed))
    for job in plan.jobs("consume"):
        if job.artifact and job.artifact.workload not in unread:
            run.save(job, record(job, output=output(job)))
    return run


def test_a_model_that_cannot_be_read_costs_its_own_cells_only(tmp_path: Path) -> None:
    run = half_read(tmp_path, "second")
    refusing._refuse_unreadable(run, WITHOUT_ARRAYS)
    merged = merging.merge([run])
    assert merged.problems == ("second: the model is not served: torn",)
    verdicts = {(row.artifact.split("--")[1], row.verdict) for row in merged.portability}
    assert verdicts == {("first", "match"), ("second", "not-run")}


@pytest.mark.parametrize("option", ["original", "same"])
def test_a_model_that_does_not_take_the_inputs_of_the_first_ends_the_run(
    tmp_path: Path, option: First
) -> None:
    models = [("first", "onnx", "a.onnx"), ("second", "onnx", "b.onnx")]
    only = Selection(include=("*-debian12-amd64-cpu",))
    plan = plan_models(MATRIX, models, only, DOCKER, seed=0, infer=INFER, first=option)
    plan = plan.with_sources({"first": "a.onnx", "second": "b.onnx"})
    run = new_run(tmp_path, plan)
    for job in plan.jobs("produce"):
        document = output(job).model_dump(by_alias=True)
        if job.subject == "second":
            error = {"type": WRONG_INPUTS, "message": "it has no input 'x'"}
            document["records"][0].update(status="failed", error=error)
        status = "failed" if job.subject == "second" else "ok"
        reported = output(job, records=document["records"])
        run.save(job, record(job, output=reported, parity=None, status=status))
    message = r"^b\.onnx does not take the inputs of a\.onnx: it has no input 'x'$"
    with pytest.raises(ArgumentError, match=message) as raised:
        refusing._refuse_unreadable(run, WITHOUT_ARRAYS)
    assert f"--{option}" in str(raised.value.hint)


def test_where_no_model_can_be_read_nothing_is_served(tmp_path: Path) -> None:
    run = half_read(tmp_path, "first", "second")
    with pytest.raises(ArgumentError, match=r"first\.onnx: torn\nsecond\.tflite: torn") as raised:
        refusing._refuse_unreadable(run, WITHOUT_ARRAYS)
    assert "nothing was served" in str(raised.value.hint)


def test_a_budget_that_is_broken_names_its_line(tmp_path: Path) -> None:
    merged = merging.merge([judged(tmp_path)])
    assert list(exceeded(Budgets(1.0, 1e-3), merged)) == []
    lines = list(exceeded(Budgets(1e-6, 1e-9), merged))
    assert any("p99" in line and "is over the budget of 1.00 µs" in line for line in lines)
    assert any("error 2.0e-07 is over the budget of 1.0e-09" in line for line in lines)


def test_a_budget_that_nothing_was_held_to_is_broken(tmp_path: Path) -> None:
    merged = merging.merge([judged(tmp_path)])
    emulated = tuple(row.model_copy(update={"emulated": True}) for row in merged.inference)
    merged = merged.model_copy(update={"inference": emulated})
    assert list(exceeded(Budgets(1.0, 1e-3, 1e8), merged)) == [
        "p99: no measurement to compare with the budget of 1.00 s",
        "image: no measurement to compare with the budget of 100 MB",
    ]


def test_whoever_finishes_a_verification_holds_it_to_its_budgets(tmp_path: Path) -> None:
    run = judged(tmp_path)
    assert main.main(["merge", str(run.path)]) == 0
    budgets.save(Budgets(error=1e-9), run)
    assert main.main(["merge", str(run.path)]) == 1


def test_what_is_known_of_this_projects_artifacts_excuses_no_model_of_a_person(
    tmp_path: Path,
) -> None:
    known = ExpectedFailure(cells="*", subjects="*", reason="it is ours")
    matrix = MATRIX.model_copy(update={"expected_failures": (known,)})
    run = Run.create(tmp_path, ONE, matrix, version="0.1.0", name="one")
    for job in (*ONE.jobs("produce"), *ONE.jobs("consume")):
        status = "ok" if job.wave == "produce" else "crashed"
        run.save(job, record(job, parity=None, status=status))
    assert merging.merge([run]).problems
    assert merging.merge([run], expected_failures=[known]).problems


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (budgets.seconds, "5ms", 0.005),
        (budgets.seconds, "1.5 s", 1.5),
        (budgets.size, "100MB", 1e8),
        (budgets.size, "1 GiB", 2**30),
        (budgets.number, "1e-5", 1e-5),
    ],
)
def test_budgets_are_read_with_their_units(read: object, text: str, value: float) -> None:
    assert read(text) == pytest.approx(value)  # type: ignore[operator]


@pytest.mark.parametrize("text", ["5", "ms", "-5ms", "0ms", "5 MB", "five ms", "", "1e999s"])
def test_a_budget_without_its_unit_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a budget; write it like 5s"):
        budgets.seconds(text)


def test_what_was_kept_says_so(tmp_path: Path) -> None:
    values = {"y": np.array([1.0])}
    run = looked_into(tmp_path, inputs={"x": np.ones(1)}, outputs=values)
    (job,) = ONE.jobs("produce")
    imports.keep_import(run, job, said(job), tmp_path / "control")
    folder = run.artifact_path(ONE.imports[0].artifact)
    assert isinstance(artifacts.verify(folder), Exported)
    (folder / "model" / "model.onnx").write_bytes(b"other")
    with pytest.raises(Exception, match=r"model\.onnx: it has changed"):
        artifacts.verify(folder)


def test_a_model_without_inputs_is_inspected_like_any(tmp_path: Path) -> None:
    outputs = {"y": np.ones(2, np.float32)}
    adapter = SimpleNamespace(
        inspect=lambda *_: {"inputs": {}, "outputs": outputs, "gold": outputs, "described": {}}
    )
    document = {"import": {"model": "m", "format": "onnx", "seed": 0}, "cell": {"name": "onnx"}}
    job = SimpleNamespace(
        document=document, directory=str(tmp_path), adapter=adapter, user_inputs=lambda: None
    )
    inspection.inspect(job, {})
    assert arrays.read_all(tmp_path / MODEL_INPUTS, arrays.ANY) == {}
    assert set(arrays.read_all(tmp_path / PRODUCED, arrays.ANY)) == {"y"}
