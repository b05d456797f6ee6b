"""The study's systems: each trains as gold does, with what differs in it made to agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepmatrix.config import matrix_file
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.images.interpreters import MissingInterpreters
from deepmatrix.results.rows import Results
from deepmatrix.workloads import networks
from tests.containers.conftest import ROOT
from tests.containers.test_causes import other_matrix
from tests.containers.test_matrix import finish

pytestmark = pytest.mark.timeout(2400)

MATRIX = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)


#: What stands on a Python that this machine, or a registry, has to have, and its base.
OLD = {
    "cntk-python36-amd64-cpu": "python36",
    "torch1-python36-amd64-cpu": "python36",
    "tensorflow1-python37-amd64-cpu": "python37",
}

#: torch 1.0.0 with the convolutions of Lua's Torch, and with LuaJIT beside it.
THNN = "torch1_thnn-python36-amd64-cpu"
LUAJIT = "torch1_luajit-python36-amd64-cpu"


def has_python36(engine: DockerEngine) -> bool:
    lacking = MissingInterpreters(matrix=MATRIX, environment=engine.endpoint.environment())
    return "python36" not in lacking


def run(
    engine: DockerEngine,
    runs: Path,
    preset: str,
    *cells: str,
    matrix: Path = ROOT / "matrix.yaml",
) -> Results:
    """Run a preset on some cells and those old ones that can be."""
    lacking = MissingInterpreters(matrix=MATRIX, environment=engine.endpoint.environment())
    old = [cell for cell, base in OLD.items() if base not in lacking]
    arguments = ("--file", str(matrix), "--preset", preset, "--name", "heritage")
    code = finish(runs, *arguments, *cells, *old)
    assert code == 0, (runs / "log").read_text()[-5000:]
    return Results.model_validate_json((runs / "heritage" / "results.json").read_text())


@pytest.mark.parametrize("cell", OLD)
def test_bases_with_an_old_python_have_one(docker_engine: DockerEngine, cell: str) -> None:
    environment = docker_engine.endpoint.environment()
    if OLD[cell] in MissingInterpreters(matrix=MATRIX, environment=environment):
        pytest.skip(f"no Python of {OLD[cell]} here, and no registry: {cell} is not tested")


@pytest.fixture(scope="module")
def trained(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The first steps of every network in those that do not compile for minutes."""
    runs = tmp_path_factory.mktemp("trained")
    variants = [THNN] if has_python36(docker_engine) else []
    return run(docker_engine, runs, "tiny", "caffe-debian11-amd64-cpu", *variants)


@pytest.mark.parametrize(
    ("about", "workload"),
    [
        ("the order of an LSTM's gates", "lstm-tiny"),
        ("the order of a GRU's gates, and its reset", "gru-tiny"),
        ("initial states, and both directions", "bilstm-tiny"),
        ("alpha of the local response normalization", "googlenet-tiny"),
        ("how pooling rounds", "alexnet-tiny"),
        ("which of equal values pooling takes", "vgg-a-tiny"),
    ],
)
def test_what_differs_in_each_system_is_made_to_agree(
    trained: Results, about: str, workload: str
) -> None:
    rows = [row for row in trained.training if row.workload == workload]
    assert rows, about
    for row in rows:
        assert row.status == "ok", (about, row)
        for error in (row.output_error, row.gradient_error, row.loss_error):
            assert error is not None
            assert error < 1e-4, (about, row)


@pytest.mark.usefixtures("docker_engine")
def test_theano_agrees_in_its_gates_its_states_and_how_pooling_rounds(tmp_path: Path) -> None:
    """Two networks only: it compiles for a minute each."""

    def fewer(document: Any) -> None:
        document["presets"]["tiny"]["workloads"] = ["lstm-tiny", "alexnet-tiny"]

    matrix = other_matrix(tmp_path, fewer)
    cell = "theano-debian11-amd64-cpu"
    arguments = ("--file", str(matrix), "--preset", "tiny", "--name", "theano")
    assert finish(tmp_path, *arguments, cell) == 0, (tmp_path / "log").read_text()[-5000:]
    results = Results.model_validate_json((tmp_path / "theano" / "results.json").read_text())
    errors = {
        row.workload: (row.output_error, row.gradient_error, row.loss_error)
        for row in results.training
    }
    assert errors.keys() == {"lstm-tiny", "alexnet-tiny"}
    for of_one in errors.values():
        assert all(error is not None and error < 1e-4 for error in of_one), errors


def test_thnn_computes_the_convolutions_of_torch_where_it_should(trained: Results) -> None:
    blas = {row.name: str(row.environment["blas"]) for row in trained.cells if row.jobs}
    if "torch1_thnn" in blas:
        assert "conv2d by MkldnnConvolution" in blas["torch1"]
        assert "conv2d by ThnnConv2D" in blas["torch1_thnn"]


def test_all_networks_train_but_for_expected_failures(trained: Results) -> None:
    wrong = {row.cell.split("-")[0] for row in trained.training if row.status != "ok"}
    assert wrong <= {"tensorflow1"}
    for row in trained.training:
        assert row.status == "ok" or row.expected_failure
    for name in {row.cell for row in trained.training}:
        assert len([row for row in trained.training if row.cell == name]) == 13


def test_the_idiom_of_a_language_model_trains_as_the_neutral_network(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    """Each step has a label: the loss is the mean over the steps of all examples."""

    def fewer(document: Any) -> None:
        document["presets"]["heritage"].update(
            workloads=["decoder-small"], phases=["startup", "idiom"]
        )

    matrix = other_matrix(tmp_path, fewer)
    results = run(docker_engine, tmp_path, "heritage", "caffe-debian11-amd64-cpu", matrix=matrix)
    errors = {row.cell.split("-")[0]: (row.status, row.error or 0.0) for row in results.idioms}
    assert "caffe" in errors
    for system, (status, error) in errors.items():
        assert status == "ok", system
        assert 0 < error < MATRIX.tolerances.parity, (system, error)


def test_exports_of_old_frameworks_match_on_current_runtimes(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    runtimes = ["onnxruntime-debian12-amd64-cpu", "tensorflow-c-debian12-amd64-cpu"]
    results = run(docker_engine, tmp_path, "smoke", *runtimes)
    served = {row.artifact.split("-")[0] for row in results.portability if row.consumer in runtimes}
    ran = {row.name for row in results.cells if row.jobs and row.cell in OLD}
    assert served == ran
    assert {row.verdict for row in results.portability} == {"match"}
    formats = {tuple(row.artifact.split("--")[::2]) for row in results.portability}
    if "tensorflow1" in ran:
        cell = "tensorflow1-python37-amd64-cpu"
        assert {(cell, "onnx"), (cell, "saved-model")} <= formats, "tf2onnx, and its own"
    for row in results.cells:
        if row.name == "torch1" and row.jobs:
            assert "TH, THNN;" in str(row.environment["blas"]), "Torch's own C libraries"


#: System -> probe -> its verdict, where that is no plain match: `outside`, Python does a part.
LIMITS = {
    "caffe": {
        "derived_gradient": "unsupported",
        "data_dependent_loop": "outside",
        "data_dependent_loop_gradient": "outside",
        "python_loop": "outside",
        "beam_search": "outside",
        "higher_order_gradients": "unsupported",
    },
    "cntk": {
        "python_loop": "unsupported",
        "beam_search": "outside",
        "higher_order_gradients": "failed",
    },
    "theano": {"python_loop": "unsupported"},
    "tensorflow1": {},
    "torch1": {},
    "torch1_luajit": {},
}


def test_what_old_frameworks_express_and_what_python_does_for_them(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    cells = ["caffe-debian11-amd64-cpu", "theano-debian11-amd64-cpu"]
    has_luajit = has_python36(docker_engine)
    cells += [LUAJIT, "cntk-python36-amd64-cpu"] if has_luajit else []
    results = run(docker_engine, tmp_path, "heritage-probes", *cells)
    timed = {row.cell for row in results.facts if row.fact == "luajit_is_about_as_fast_as_cpp"}
    assert timed == ({LUAJIT} if has_luajit else set())
    limits: dict[str, dict[str, str]] = {row.cell.split("-")[0]: {} for row in results.probes}
    for row in results.probes:
        if row.verdict != "match" or row.outside:
            verdict = "outside" if row.verdict == "match" else row.verdict
            limits[row.cell.split("-")[0]][row.probe] = verdict
    assert limits == {name: LIMITS[name] for name in limits}
    called = {row.ran for row in results.probes if row.probe == "temporal_convolution"}
    assert all(ran.endswith("of 1 dimension") for ran in called), called
