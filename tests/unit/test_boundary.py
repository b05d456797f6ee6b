"""What a cell, a file or a machine says is a result or one clear error, never a fault of ours."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from deepmatrix.boundary import removing
from deepmatrix.boundary.bounds import Count, relative_path
from deepmatrix.boundary.files import Damaged, read_json
from deepmatrix.boundary.writing import write_bytes
from deepmatrix.engines import Ended, venv
from deepmatrix.engines.docker import endpoints
from deepmatrix.engines.docker.connection import Connection
from deepmatrix.engines.docker.endpoints import Endpoint
from deepmatrix.errors import ArgumentError, RecordError
from deepmatrix.execution.attempts import Attempt
from deepmatrix.execution.collecting import collect
from deepmatrix.execution.conclusions import conclude
from deepmatrix.images import bases
from deepmatrix.machine import clocks
from deepmatrix.machine.clocks import Stopwatch
from deepmatrix.paths import ROOT
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store import arrays, artifacts, listing
from deepmatrix.store.causes import Cause, NodeErrors
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.output import Output
from deepmatrix.store.runs import Run
from harness.record import NOT_REACHED
from tests.fuzzed_readers import all_readers, is_clear
from tests.fuzzing import Reader, inputs
from tests.unit.examples import artifact, new_run, output, planned, record, store_model

PLAN = planned("torch-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu")
COUNTS = TypeAdapter(dict[str, Count])

FEW = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    return {reader.name: reader for reader in all_readers(tmp_path_factory.mktemp("fuzzed"))}


@FEW
@given(data=st.data())
def test_a_reader_returns_a_result_or_one_clear_error(
    readers: dict[str, Reader], data: st.DataObject
) -> None:
    reader = readers[data.draw(st.sampled_from(sorted(readers)))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            reader.read(data.draw(inputs(reader)))
        except Exception as error:
            if not is_clear(error):
                raise


PLANT = """
from deepmatrix.boundary import bounds, opening
{plant}
import runpy, sys
arguments = ["--longest", "2", *(part for name in {names!r} for part in ("--only", name))]
sys.argv = ["fuzz", "--inputs", str(400 * len({names!r})), *arguments]
runpy.run_path({path!r}, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("plant", "names", "fault"),
    [
        (
            "bounds.Sample = bounds.Seconds  # nothing refuses a call that took no time",
            ("output.json", "record, produce", "record, consume"),
            "ZeroDivisionError",
        ),
        (
            "opening.WITHOUT_WAITING = 0  # a pipe is waited for",
            ("the history that is added to",),
            "a hang",
        ),
        (
            "bounds.path_text = str  # a name is not made text",
            ("a further file of a run",),
            "surrogates",
        ),
        (
            "from deepmatrix.reports.html import scales; scales.LEAST_DECADE = -400",
            ("the numbers of results",),
            "scales.py",
        ),
    ],
)
def test_a_planted_missing_check_is_found_within_the_default_budget(
    tmp_path: Path, plant: str, names: tuple[str, ...], fault: str
) -> None:
    program = PLANT.format(plant=plant, names=names, path=str(ROOT / "bench" / "fuzz.py"))
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stderr
    assert fault in ended.stdout


def unbounded(schema: Any, place: str = "") -> Iterator[str]:
    """Yield where a schema allows a number, text, list or mapping of any size."""
    if isinstance(schema, list):
        for number, item in enumerate(schema):
            yield from unbounded(item, f"{place}.{number}")
    if not isinstance(schema, dict):
        return
    limits = {
        "integer": ({"minimum", "exclusiveMinimum", "const"}, {"maximum", "const"}),
        "number": ({"minimum", "exclusiveMinimum"}, {"maximum"}),
        "object": ({"maxProperties", "properties", "const"},),
        "string": ({"maxLength", "pattern", "const", "enum"},),
        "array": ({"maxItems"},),
    }
    for keys in limits.get(str(schema.get("type")), ()):
        if not keys & schema.keys():
            yield f"{place}: {schema}"
    for key, value in schema.items():
        if key != "propertyNames":
            yield from unbounded(value, f"{place}.{key}")


def test_every_number_text_and_list_that_a_cell_answers_with_is_bounded() -> None:
    places = [line.partition(": ")[0] for line in unbounded(Output.model_json_schema())]
    assert [place for place in places if "losses" not in place] == [], "losses may be NaN"


@pytest.mark.parametrize("kind", [JobRecord, Cause, NodeErrors])
def test_all_of_a_record_is_bounded_but_errors_that_the_host_computed(kind: Any) -> None:
    """These may be infinite or NaN, as the arrays are that they come from."""
    bare = re.compile("'type': 'number'")
    assert [line for line in unbounded(kind.model_json_schema()) if not bare.search(line)] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ('{"a": %s}' % ("9" * 400), "a: Input should be less than or equal to"),
        ('{"a": %s}' % ("9" * 5000), "Invalid JSON: number out of range"),
        ('{"a": -1}', "a: Input should be greater than or equal to 0"),
        ("[" * 5000, "Invalid JSON: recursion limit exceeded"),
    ],
)
def test_a_damaged_file_is_named_with_its_field(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(Damaged) as caught:
        read_json(path, COUNTS)
    assert caught.value.message.startswith(f"{path}: {problem}")


def test_a_field_of_a_damaged_file_is_shown_without_control_characters(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"a\x1b[31m\u202e\nb": -1}))
    with pytest.raises(Damaged) as caught:
        read_json(tmp_path / "x.json", COUNTS)
    assert caught.value.problem.startswith("a b: Input should be")


def test_a_record_of_another_wave_or_workload_does_not_count(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    job = next(PLAN.jobs("produce"))
    for change in ({"wave": "consume"}, {"workload": "another"}):
        run.save(job, record(job, **change))
        found = run.record(job)
        assert found.status == "damaged"
        assert "it is of the wave" in found.cause


def test_a_file_that_is_none_or_too_large_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b" " * 101)
    for name, problem in (("pipe", "no plain file"), ("large", "more than 100"), ("no", "No such")):
        with pytest.raises(Damaged, match=problem):
            read_json(tmp_path / name, COUNTS, largest=100)


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / f"x.json.{os.getpid()}.part").symlink_to(tmp_path / "theirs")
    write_bytes(tmp_path / "x.json", b"ours")
    assert (tmp_path / "x.json").read_bytes() == b"ours"
    assert (tmp_path / "theirs").read_text() == "theirs"


@pytest.mark.parametrize("path", ["/x", "../x", "a/../x", "a//x", "", "c:x", "a\\x", "a/\0"])
def test_a_path_that_leaves_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        relative_path(path)


def test_a_name_that_no_file_system_takes_is_refused() -> None:
    assert relative_path(f"{'x' * 255}/y") == f"{'x' * 255}/y"
    with pytest.raises(ValueError, match="more than 255 bytes"):
        relative_path(f"a/{'é' * 128}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "../../../zz"}, "cannot be part of an id"),
        ({"isa": "../../../zz"}, "cannot be part of an id"),
        ({"architecture": "riscv"}, "there is no 'riscv'"),
        ({"python": "3"}, "is no version of Python"),
    ],
)
def test_a_plan_whose_names_leave_the_run_is_refused(
    tmp_path: Path, change: dict[str, str], problem: str
) -> None:
    run = new_run(tmp_path, PLAN)
    document = json.loads((run.path / "plan.json").read_bytes())
    document["plan"]["cells"][0].update(change)
    (run.path / "plan.json").write_text(json.dumps(document))
    with pytest.raises(Damaged, match=problem):
        _ = Run.open(run.path).manifest


def test_a_seed_that_no_generator_takes_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    document = json.loads((run.path / "plan.json").read_bytes())
    document["plan"]["seed"] = 2**32
    (run.path / "plan.json").write_text(json.dumps(document))
    with pytest.raises(Damaged, match=r"plan\.seed: Input should be less than or equal"):
        _ = Run.open(run.path).manifest


@pytest.mark.parametrize(
    ("rounds", "workloads", "cells", "problem"),
    [
        (1000, 1, 300, "plan: it has 90,300,000 jobs, more than 200,000"),
        (1, 20, 4000, "plan: it has 320,080,000 jobs, more than 200,000"),
    ],
)
def test_a_plan_with_more_jobs_than_can_be_run_is_refused_at_once(
    tmp_path: Path, rounds: int, workloads: int, cells: int, problem: str
) -> None:
    run = new_run(tmp_path, PLAN)
    document = json.loads((run.path / "plan.json").read_bytes())
    plan = document["plan"]
    (cell,) = [cell for cell in plan["cells"] if cell["name"] == "torch"][:1]
    cell["system"].update(exports=["onnx"], reads=["onnx"])
    names = [f"w{number}" for number in range(workloads)]
    workload = document["matrix"]["workloads"][plan["workloads"][0]]
    document["matrix"]["workloads"] = dict.fromkeys(names, workload)
    all_cells = [{**cell, "base": f"b{number}"} for number in range(cells)]
    plan.update(rounds_native=rounds, workloads=names, cells=all_cells, emulated=[])
    (run.path / "plan.json").write_text(json.dumps(document))
    stopwatch = Stopwatch()
    stopwatch.start()
    with pytest.raises(Damaged, match=problem):
        _ = Run.open(run.path).manifest
    assert stopwatch.wall_s < 10


def test_a_plan_of_models_and_workloads_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    document = json.loads((run.path / "plan.json").read_bytes())
    model = {"name": "m", "format": "onnx", "file": "m.onnx", "cell": PLAN.cells[0].id}
    document["plan"]["imports"] = [model]
    (run.path / "plan.json").write_text(json.dumps(document))
    with pytest.raises(Damaged, match="a run has models or workloads, not both"):
        _ = Run.open(run.path).manifest


def test_a_run_with_a_link_in_it_is_not_opened(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    (run.path / "records").symlink_to(tmp_path)
    with pytest.raises(RecordError, match="records: a link"):
        Run.open(run.path)


def test_a_run_that_another_process_goes_on_with_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, PLAN)
    part = run.path / "artifacts" / "a.part"
    part.mkdir(parents=True)
    scan = os.scandir

    def finish_it_before(folder: str) -> Any:
        if folder == str(part):
            part.rename(part.with_suffix(""))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", finish_it_before)
    assert Run.open(run.path).id == run.id
    assert not part.exists()


#: Begins a run in a folder, and says so when it is half made.
HALF_MADE = """
import sys, time
from pathlib import Path
from deepmatrix.store.runs import Run
from tests.unit.examples import MATRIX, planned

def wait(run):
    print(run.path, flush=True)
    time.sleep(600)

plan = planned("torch-debian12-amd64-cpu")
Run.create(Path(sys.argv[1]), plan, MATRIX, version="0.1.0", name="half", fill=wait)
"""


def test_what_a_killed_process_had_made_of_a_run_is_none_and_goes_with_the_next_one(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", HALF_MADE, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        part = Path(maker.stdout.readline().strip())
        new_run(tmp_path, PLAN, "before")
        assert (part / "plan.json").is_file()  # its process is alive
        maker.kill()
    assert [path.parent.name for path in listing.plans(tmp_path)] == ["before"]
    new_run(tmp_path, PLAN, "after")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "before"]
    assert sorted(path.name for path in (tmp_path / "after").iterdir()) == ["plan.json"]


def nested(folder: Path, depth: int = 1500) -> None:
    """Nest folders deeper than Python's functions may call one another."""
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(depth):
        folder /= "a"
        folder.mkdir()


@pytest.mark.parametrize("name", ["logs", "records", "answers", "artifacts/a/model", "other.part"])
def test_a_run_with_deeply_nested_folders_is_one_clear_error(tmp_path: Path, name: str) -> None:
    run = new_run(tmp_path, PLAN)
    nested(run.path / name)
    with pytest.raises(RecordError, match="folders are nested more than 64 deep") as raised:
        Run.open(run.path)
    assert name in raised.value.message
    removing.remove(run.path)
    assert not run.path.exists()


def test_an_unfinished_job_with_deeply_nested_folders_is_swept(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    nested(run.path / "scratch" / "job")
    Run.open(run.path).sweep()
    assert not (run.path / "scratch").exists()
    with run.scratch(next(PLAN.jobs("produce"))) as control:
        nested(control / "made")
    assert not control.exists()


def test_the_sweep_removes_what_was_not_finished_and_nothing_of_a_model(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    staying = [
        "models/net/w.7.part",
        "models/net.part/m",
        "artifacts/a/model/w.7.part",
        "given/x.part",
    ]
    gone = [
        "artifacts/a.part/model/x",
        "records/c/s/r0.json.12.part",
        "scratch/x",
        "plan.json.3.part",
    ]
    for name in (*staying, *gone):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("x")
    run.sweep()
    assert [name for name in (*staying, *gone) if (run.path / name).exists()] == staying


def stored(tmp_path: Path) -> tuple[Path, str]:
    """Return an artifact, and its fingerprint."""
    folder = artifact(tmp_path / "artifact", [[1.0]], [[1.0]])
    (folder / "model" / "model.onnx").write_bytes(b"model")
    np.savez(folder / "inputs.npz", x=np.ones(1))
    described = artifacts.read_description(folder)
    model = artifacts.describe_file(folder / "model" / "model.onnx", folder / "model")
    described = described.model_copy(update={"files": (model,)})
    described = artifacts.describe(described, "a", folder)
    (folder / artifacts.DESCRIPTION).write_text(described.model_dump_json())
    return folder, artifacts.fingerprint(described)


@pytest.mark.parametrize("name", ["model/model.onnx", "inputs.npz", "gold.npz"])
def test_an_artifact_of_which_a_byte_changed_is_refused(tmp_path: Path, name: str) -> None:
    folder, recorded = stored(tmp_path)
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged, match="it has changed since it was stored") as raised:
        artifacts.verify(folder, recorded)
    assert raised.value.path == path


def test_an_artifact_that_was_changed_with_its_description_is_refused(tmp_path: Path) -> None:
    folder, recorded = stored(tmp_path)
    (folder / "model" / "model.onnx").write_bytes(b"other")
    described = artifacts.read_description(folder)
    changed = [artifacts.describe_file(folder / file.path, folder) for file in described.files]
    described = described.model_copy(update={"files": tuple(changed)})
    (folder / artifacts.DESCRIPTION).write_text(described.model_dump_json())
    artifacts.verify(folder)
    with pytest.raises(Damaged, match="another one than its producer's record says"):
        artifacts.verify(folder, recorded)


def test_an_artifact_that_is_served_is_what_its_producers_record_says(tmp_path: Path) -> None:
    run = new_run(tmp_path, PLAN)
    exported = next(each for each in PLAN.artifacts() if each.format == "onnx")
    job = next(job for job in PLAN.jobs("produce") if exported in PLAN.exports(job))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    store_model(run, exported, np.ones((1, 2)), b"model")
    recorded = run.record(job)
    artifacts.hand_over(run, exported, tmp_path / "first")
    removing.remove(run.artifact_path(exported))
    store_model(run, exported, np.ones((1, 2)), b"other")
    run.save(job, recorded)
    with pytest.raises(Damaged, match="another one than its producer's record says"):
        artifacts.hand_over(run, exported, tmp_path / "second")


def test_an_artifact_with_a_link_a_further_file_or_another_record_is_refused(
    tmp_path: Path,
) -> None:
    folder, recorded = stored(tmp_path)
    artifacts.verify(folder, recorded)
    with pytest.raises(Damaged, match="another one than its producer's record says"):
        artifacts.verify(folder, "0" * 64)
    (folder / "model" / "further").write_text("x")
    with pytest.raises(Damaged, match="was not there"):
        artifacts.verify(folder, recorded)
    (folder / "model" / "further").unlink()
    shutil.move(folder / "model" / "model.onnx", tmp_path / "theirs")
    (folder / "model" / "model.onnx").symlink_to(tmp_path / "theirs")
    with pytest.raises(Damaged, match="no plain file"):
        artifacts.verify(folder, recorded)


def test_a_small_archive_that_unpacks_to_very_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    header = {"descr": "<f4", "fortran_order": False, "shape": (80 << 20,)}
    deflated = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", deflated) as file, file.open("x.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(320):
            member.write(bytes(1 << 20))
    with pytest.raises(arrays.Unreadable, match="too many for its size"):
        arrays.read_all(path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"bytes": null}', '{"bytes": -1, "seconds": 1}']
)
def test_a_damaged_file_of_an_environment_or_the_cache_is_made_anew(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / venv.COMPLETE).write_text(content)
    assert not venv._is_complete(tmp_path)
    (tmp_path / "registry.json").write_text(content)
    assert bases._read(tmp_path / "registry.json") == {}


def test_a_docker_context_without_endpoints_is_one_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "contexts" / "meta" / "x"
    folder.mkdir(parents=True)
    config = tmp_path / "config.json"
    environment = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    for text in ('{"Name": "x", "Endpoints": null}', '{"Endpoints": {"docker": null}}', "[]", "{"):
        (folder / "meta.json").write_text(text)
        with pytest.raises(ArgumentError):
            endpoints.endpoint_named("x", environment)
    config.write_text('{"currentContext": 7}')
    with pytest.raises(ArgumentError, match=r"config\.json: currentContext"):
        list(endpoints.candidates(environment))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"proxies": 3}', "proxies"),
        ('{"proxies": null}', "proxies"),
        ('{"proxies": {"default": null}}', "proxies.default"),
        ('{"proxies": {"default": {"httpProxy": [1]}}}', "proxies.default.httpProxy"),
        ('{"HttpHeaders": 4}', "HttpHeaders"),
        ('{"HttpHeaders": {"a": 1}}', "HttpHeaders.a"),
        ('{"credsStore": 5}', "credsStore"),
        ('{"credHelpers": [1]}', "credHelpers"),
        ('{"detachKeys": 5}', "detachKeys"),
        ('{"auths": [1]}', "logins"),
        ('{"auths": {"x": 7}}', "logins"),
        ('{"auths": {"x": {"auth": 5}}}', "logins"),
        ('{"auths": {"x": {"auth": "!"}}}', "logins"),
        ('{"x": {"auth": 5}}', "logins"),
        ("[" * 100_000, ""),
        ("[1]", ""),
    ],
)
def test_a_configuration_at_which_dockers_sdk_fails_is_one_error_with_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, field: str
) -> None:
    (tmp_path / "config.json").write_text(text)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(ArgumentError) as raised:
        Connection(Endpoint(url="unix:///nobody.sock", origin="DOCKER_HOST", explicit=True))
    assert raised.value.message.startswith(f"{tmp_path}/config.json: ")
    assert field in raised.value.message


def test_a_configuration_as_docker_writes_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    login = base64.b64encode(b"me:secret").decode()
    written = {
        "auths": {"https://index.docker.io/v1/": {"auth": login}, "ghcr.io": {}},
        "credHelpers": {"gcr.io": "gcloud"},
        "HttpHeaders": {"User-Agent": "Docker-Client"},
        "detachKeys": "ctrl-e,e",
        "proxies": {"default": {"httpProxy": "http://proxy:3128", "noProxy": "localhost"}},
        "psFormat": "table",
        "plugins": {"debug": {"hooks": "exec"}},
        "currentContext": "default",
    }
    (tmp_path / "config.json").write_text(json.dumps(written))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    endpoints.check_configuration()


#: What reads the clock of the day: a point in time, the age of a cached digest, the end of a log.
POINTS_IN_TIME = {
    "deepmatrix/machine/clocks.py",
    "deepmatrix/images/bases.py",
    "deepmatrix/engines/docker/following.py",
    "deepmatrix/execution/reuse/inputs_cache.py",
    "harness/phases/inference.py",
}


def test_a_clock_that_was_moved_changes_no_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    stopwatch = Stopwatch()
    stopwatch.start()
    day = clocks.time.time
    for moved in (34_560_000, -34_560_000):
        monkeypatch.setattr(clocks.time, "time", lambda moved=moved: day() + moved)
        assert 0 <= stopwatch.wall_s < 60
    sources = [*(ROOT / "deepmatrix").rglob("*.py"), *(ROOT / "harness").rglob("*.py")]
    of_the_day = re.compile(r"\btime\.time\(|import .*\btime_ns\b|from time import")
    found = {path for path in sources if of_the_day.search(path.read_text("utf-8"))}
    assert {path.relative_to(ROOT).as_posix() for path in found} == POINTS_IN_TIME


def test_a_clock_that_was_moved_gives_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    stopwatch = Stopwatch()
    stopwatch.start()
    assert stopwatch.started_at is not None
    day = clocks.time.time
    monkeypatch.setattr(clocks.time, "time", lambda: day() + 34_560_000)
    assert stopwatch.started_at is None


def test_a_time_to_answer_lies_within_the_process(tmp_path: Path) -> None:
    job = next(job for job in PLAN.jobs("consume") if PLAN.is_timed(job))
    for answered_at, expected in ((1001.0, 1.0), (1000.0 + 34_560_001, None), (999.0, None)):
        documents = output(job).model_dump(by_alias=True)["records"]
        documents[0]["data"]["answered_at"] = answered_at
        job_record = record(job, started_at=1000.0, output=output(job, records=documents))
        run = new_run(tmp_path, PLAN, name=f"at-{answered_at:.0f}")
        run.save(job, job_record.model_copy(update={"run": run.id}))
        (row,) = merging.merge([run]).serving
        assert (row.start_s.median if row.start_s else None) == expected


ABSURD = {
    "output.peak_memory_bytes": 10**400,
    "output.canaries.0.copy_bytes_s": 1e-300,
    "output.artifacts.0.opset": -1,
    "wall_s": -1,
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    run = new_run(folder, planned("*-debian12-*-cpu"), name="one")
    for job in (*run.manifest.plan.jobs("produce"), *run.manifest.plan.jobs("consume")):
        if job.round == 0:
            path = run.record_path(job)
            path.parent.mkdir(parents=True)
            path.write_text(record(job).model_dump_json(by_alias=True))
    return run.path


def rows_but(results: Results, cell: str) -> bytes:
    """Return all rows that are not of a cell, as bytes."""
    document = json.loads(results.model_dump_json())
    tables = {
        name: [row for row in rows if cell not in (row.get("cell"), row.get("consumer"))]
        for name, rows in document.items()
        if isinstance(rows, list) and rows and isinstance(rows[0], dict)
    }
    return json.dumps(tables).encode()


@pytest.mark.parametrize("place", ABSURD)
def test_one_absurd_cell_among_ten_changes_no_other_and_says_why(
    recorded: Path, place: str
) -> None:
    run = Run.open(recorded)
    assert len(run.manifest.plan.cells) >= 10
    before = merging.merge([run])
    job = next(run.manifest.plan.jobs("produce"))
    path = run.record_path(job)
    content = path.read_bytes()
    document = json.loads(content)
    if ".artifacts." in place:
        document["output"]["artifacts"] = [
            {
                "format": "onnx",
                "export_s": 1,
                "files": [{"path": "m", "bytes": 1, "sha256": "0" * 64}],
            }
        ]
    holder: Any = document
    *parents, last = place.split(".")
    for step in parents:
        holder = holder[int(step) if step.isdigit() else step]
    holder[last] = ABSURD[place]
    path.write_text(json.dumps(document))
    try:
        after = merging.merge([Run.open(recorded)])
    finally:
        path.write_bytes(content)
    assert rows_but(after, job.cell) == rows_but(before, job.cell)
    row = next(row for row in after.cells if row.cell == job.cell)
    assert row.status == "damaged"
    assert f"r0.json: {place}: " in row.reason


@pytest.mark.parametrize(
    ("phase", "error", "message"),
    [
        ("train", "ValueError", "the loss is NaN after step 3"),
        ("startup", "ModuleNotFoundError", "No module named 'torch'"),
    ],
)
def test_the_first_cause_of_a_failed_training_stays(
    tmp_path: Path, phase: str, error: str, message: str
) -> None:
    job = next(PLAN.jobs("produce"))
    run = new_run(tmp_path, PLAN)
    cell = next(cell for cell in PLAN.cells if cell.id == job.cell)
    documents = output(job).model_dump(by_alias=True)["records"]
    for document in documents[[entry["phase"] for entry in documents].index(phase) :]:
        reached = document["phase"] == phase
        kind, text = (error, message) if reached else (NOT_REACHED, f"{phase} did not succeed")
        document.update(status="failed", data={}, error={"type": kind, "message": text})
    control = tmp_path / "control"
    control.mkdir()
    written = output(job, records=documents).model_dump_json(by_alias=True)
    (control / "output.json").write_text(written)
    ended = Ended(ending="exited", cause="", exit_code=0, wall_s=1.0)
    result, status, cause = conclude(job, control, ended)
    attempt = Attempt(
        output=result,
        status=status,
        cause=cause,
        control=control,
        ended=ended,
        emulated=False,
        energy_j=None,
    )
    job_record = collect(run, "docker", job, cell, attempt)
    assert (job_record.status, job_record.cause) == ("failed", f"{phase}: {error}: {message}")
