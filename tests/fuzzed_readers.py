"""All that reads files of a cell, a run, a person or this program: what the fuzzer tries.

Each reader goes through the door and then on to what people see: the merged results.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from rich.console import Console
from ruamel.yaml import YAML

from deepmatrix import reports
from deepmatrix.config import expected_failures, matrix_file
from deepmatrix.conformance import suite
from deepmatrix.conformance.suite import Conformity
from deepmatrix.engines import Ended, venv
from deepmatrix.engines.docker import endpoints
from deepmatrix.errors import DeepmatrixError
from deepmatrix.execution.conclusions import conclude
from deepmatrix.images import bases
from deepmatrix.images.prepared import Prepared
from deepmatrix.images.registry import digests
from deepmatrix.models import budgets
from deepmatrix.models.budgets import Budgets
from deepmatrix.models.formats import format_of
from deepmatrix.planning.plan import WAVES, Job
from deepmatrix.reports import html, junit, markdown
from deepmatrix.results import merging
from deepmatrix.store import arrays, artifacts, truths
from deepmatrix.store.causes import Cause, NodeError, NodeErrors
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.output import Exported, Output
from deepmatrix.store.runs import Run
from tests.fuzzed_machines import machine_readers
from tests.fuzzed_places import clear, place_readers, put, writer
from tests.fuzzed_plans import plan_readers
from tests.fuzzed_results import result_readers
from tests.fuzzing import Reader
from tests.unit.examples import MATRIX, artifact, output, planned, record
from tests.unit.test_config import GOOD

#: One of so many inputs is also shown on a screen, which takes longer than merging.
SHOWN_OF = 8


def is_clear(error: Exception) -> bool:
    """Return whether an error is one that a person is meant to see."""
    if isinstance(error, DeepmatrixError):
        return error.exit_code not in (0, DeepmatrixError.exit_code) and bool(error.message)
    return isinstance(error, arrays.Unreadable) and bool(str(error))


def all_readers(folder: Path) -> list[Reader]:
    """Return every reader, with files of its own below an empty folder."""
    small = _SmallRun(folder / "one", rounds=1)
    several = _SmallRun(folder / "several", rounds=3)
    return [
        *small.readers(),
        *several.records(", of several rounds"),
        *_own_files(folder / "own"),
        *_people(folder / "people"),
        *_array_files(folder / "arrays"),
        *place_readers(folder / "places", small.run),
        *plan_readers(folder / "plans"),
        *machine_readers(folder / "machines", merging.merge([small.run])),
        *result_readers(folder / "results", merging.merge([several.run])),
    ]


class _SmallRun:
    """A run of two cells, each job done, in which one file at a time is replaced."""

    def __init__(self, folder: Path, *, rounds: int) -> None:
        plan = planned("torch-debian12-amd64-cpu", "onnxruntime-debian12-amd64-cpu")
        plan = dataclasses.replace(plan, rounds_native=rounds, workloads=plan.workloads[:1])
        workloads = {name: MATRIX.workloads[name] for name in plan.workloads}
        matrix = MATRIX.model_copy(update={"workloads": workloads})
        self.run = Run.create(folder / "runs", plan, matrix, version="0.1.0", name="one")
        self.produce, self.consume = (next(plan.jobs(wave)) for wave in WAVES)
        for job in (*plan.jobs("produce"), *plan.jobs("consume")):
            self.run.save(job, record(job))
        self.run.save_engine({"engine": "docker", "system": "Debian"})
        cell_id = self.produce.cell
        image = Prepared(cell_id=cell_id, reference="image", built=True, size_bytes=10**9)
        self.run.save_prepared({cell_id: image})
        (self.run.path / "inputs").mkdir()
        self.gold = self.run.inputs / f"{self.produce.workload}.gold.json"
        self.gold.write_text('{"losses": [2.3, 1.2, 0.7], "accuracy": 0.9}')
        self.control = folder / "control"
        self.control.mkdir()

    def readers(self) -> Iterator[Reader]:
        run, served = self.run, self.consume.artifact
        assert served is not None
        names = {"artifact": served.id, "consumer": self.consume.cell}
        node = NodeError(node="n", kind="Conv", tensor="y", error=0.1, added=0.1, tolerance=1e-6)
        cause = Cause(**names, kind="runtime", text="wrong", node="n", error=0.1, tolerance=1e-6)
        outputs = [output(job).model_dump(mode="json", by_alias=True) for job in self._jobs]
        yield Reader("output.json", outputs, _schema(Output), self._read_output)
        yield from self.records()
        yield self._file("plan", run.path / "plan.json", Manifest)
        yield self._file("engine", next((run.path / "engines").iterdir()), dict[str, str])
        yield self._file("build", run.path / "builds" / f"{self.produce.cell}.json", Prepared)
        yield self._file("gold losses", self.gold, dict[str, Any])
        yield self._file(
            "cause",
            run.cause_path(served.id, self.consume.cell) / "cause.json",
            Cause,
            cause.model_dump(mode="json"),
        )
        yield self._file(
            "node errors",
            run.node_errors_path(served.id, self.consume.cell),
            NodeErrors,
            NodeErrors(**names, nodes=(node, node)).model_dump(mode="json"),
        )

    def records(self, title: str = "") -> Iterator[Reader]:
        """Yield the readers of both kinds of record."""
        for job in self._jobs:
            path = self.run.record_path(job)
            yield self._file(f"record, {job.wave}{title}", path, JobRecord)

    @property
    def _jobs(self) -> tuple[Job, Job]:
        return self.produce, self.consume

    def _read_output(self, content: bytes) -> None:
        job = self.consume if b'"infer"' in content and b'"train"' not in content else self.produce
        put(self.control / "output.json", content)
        ended = Ended(ending="exited", cause="", exit_code=0, wall_s=1.5)
        result, status, cause = conclude(job, self.control, ended)
        job_record = record(job, output=result, status=status, cause=cause)
        self._merge_with(
            self.run.record_path(job), job_record.model_dump_json(by_alias=True).encode()
        )

    def _file(self, name: str, path: Path, kind: Any, document: Any = None) -> Reader:
        """Return the reader of a file of the run, which is merged with each input in its place."""
        document = json.loads(path.read_bytes()) if document is None else document
        return Reader(
            name, [document], _schema(kind), lambda content: self._merge_with(path, content)
        )

    def _merge_with(self, path: Path, content: bytes) -> None:
        before = path.read_bytes() if path.is_file() else None
        put(path, content)
        try:
            show(self._opened(path), on_screen=zlib.crc32(content) % SHOWN_OF == 0)
        finally:
            clear(path)
            if before is not None:
                path.write_bytes(before)

    def _opened(self, changed: Path) -> Run:
        """Return the run, its plan read before unless that is the file that changed."""
        opened = Run.open(self.run.path)
        if changed.name != "plan.json":
            vars(opened)["manifest"] = self.run.manifest
        return opened


def show(run: Run, *, on_screen: bool) -> None:
    """Merge a run and make of it what programs read, and what people read if *on_screen*."""
    merged = merging.merge([run])
    budgets.load(run)
    merged.model_dump_json()
    html.run_page(merged, html.Evidence(folder=run.path))
    if on_screen:
        junit.document(merged)
        markdown.document(merged)
        reports.show(Console(file=io.StringIO(), width=160), merged, all_tables=True)


def _schema(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema(by_alias=True)


def _own_files(folder: Path) -> Iterator[Reader]:
    """Yield the readers of files that this program, or Docker's, keeps for itself."""
    folder.mkdir()
    meta = {
        "Name": "far",
        "Metadata": {},
        "Endpoints": {"docker": {"Host": "ssh://me@far", "SkipTLSVerify": False}},
    }
    yield Reader("Docker's context", [meta], _schema(endpoints._Meta), _context_reader(folder))
    facts = {"bytes": 12345, "seconds": 9.5}
    complete = folder / venv.COMPLETE
    yield Reader(
        "an environment's facts", [facts], _schema(venv._Facts),
        writer(complete, lambda: venv._is_complete(folder)),
    )  # fmt: skip
    memory = folder / "registry.json"
    yield Reader(
        "registries' answers", [{"python:3.11-slim": [1.7e9, f"sha256:{'0' * 64}"]}],
        _schema(dict[str, tuple[float, str]]), writer(memory, lambda: bases._read(memory)),
    )  # fmt: skip
    run = folder / "run"
    (run / "conformance").mkdir(parents=True)
    limits = {"p99_s": 0.005, "error": 1e-5, "image_bytes": 1e8}
    yield Reader(
        "budgets", [limits], _schema(Budgets),
        writer(run / budgets.FILE, lambda: budgets.load(Run(path=run))),
    )  # fmt: skip
    tried = {
        "cell": "x", "suite": "1.20", "versions": {"a": "1"}, "passed": 3, "skipped": {"s": "why"},
        "failed": {"t": {"ending": "wrong", "reason": "2 of 3 values differ"}},
    }  # fmt: skip
    yield Reader(
        "conformity", [tried], _schema(Conformity),
        writer(
            suite.path_in(run, "x"),
            lambda: reports.show_conformance(Console(file=io.StringIO()), suite.load_all(run)),
        ),
    )  # fmt: skip
    yield _description(folder / "stored")


def _context_reader(folder: Path) -> Callable[[bytes], object]:
    name = hashlib.sha256(b"far").hexdigest()
    path = folder / "docker" / "contexts" / "meta" / name / "meta.json"
    path.parent.mkdir(parents=True)
    environment = {"DOCKER_CONFIG": str(folder / "docker"), "HOME": str(folder)}
    return writer(path, lambda: endpoints.endpoint_named("far", environment))


def _description(folder: Path) -> Reader:
    """Return the reader of an artifact's description, with its files beside it."""
    artifact(folder, [[1.0, 2.0]], [[1.0, 2.0]])
    (folder / "model" / "model.onnx").write_bytes(b"model")
    np.savez(folder / "inputs.npz", x=np.ones((2, 3), np.float32))
    described = artifacts.read_description(folder)
    model = artifacts.describe_file(folder / "model" / "model.onnx", folder / "model")
    whole = artifacts.describe(described.model_copy(update={"files": (model,)}), "a", folder)

    def read() -> None:
        artifacts.verify(folder, artifacts.fingerprint(whole))
        truths.read(folder)

    return Reader(
        "an artifact's description", [whole.model_dump(mode="json")], _schema(Exported),
        writer(folder / artifacts.DESCRIPTION, read),
    )  # fmt: skip


def _people(folder: Path) -> Iterator[Reader]:
    """Yield the readers of what people write and give: YAML (of which JSON is a part), models."""
    folder.mkdir()
    matrix = json.loads(json.dumps(YAML(typ="safe").load(GOOD)))
    path = folder / "matrix.yaml"
    yield Reader(
        "the matrix file", [matrix], json.loads(matrix_file.schema()),
        writer(path, lambda: matrix_file.load(path, networks=("digits-conv",))),
    )  # fmt: skip
    failures = folder / "failures.yaml"
    expected = {"version": 1, "expected_failures": [{"cells": "*", "subjects": "*", "reason": "r"}]}
    yield Reader(
        "expected failures", [expected], json.loads(expected_failures.schema()),
        writer(failures, lambda: expected_failures.load(failures)),
    )  # fmt: skip
    listed = folder / "image-digests.json"
    yield Reader(
        "digests of images", [{"x:0123": f"sha256:{'0' * 64}"}], digests._DIGESTS.json_schema(),
        writer(listed, lambda: digests.read(listed)),
    )  # fmt: skip
    model = folder / "model.onnx"
    heads = ["\x08\x07", "PK\x03\x04", "TFL3", "version https://git-lfs", "{", "<?xml", "7767517\n"]
    yield Reader(
        "a model's first bytes", heads, {"type": "string"},
        lambda content: _recognise(model, content),
    )  # fmt: skip


def _recognise(model: Path, content: bytes) -> None:
    decoded = _document(content)
    is_text = isinstance(decoded, str)
    put(model, decoded.encode("latin-1", "replace") if is_text else content)
    format_of(model)


def _array_files(folder: Path) -> Iterator[Reader]:
    """Yield the readers of arrays. Their inputs are descriptions of a file, made into its bytes."""
    folder.mkdir()
    header = {"descr": "<f4", "fortran_order": False, "shape": [2, 3], "data": 24, "members": 1,
              "method": 8, "declared": 152}  # fmt: skip
    schema = {
        "type": "object",
        "required": list(header),
        "properties": {
            "descr": {"enum": ["<f4", ">f8", "|O", "<U9", "<U999999999", "|V8", "|b1", "<c8", "x"]},
            "fortran_order": {"type": "boolean"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}, "maxItems": 40},
            "data": {"type": "integer", "minimum": 0, "maximum": 100_000},
            "members": {"type": "integer", "minimum": 0, "maximum": 300},
            "method": {"enum": [0, 8, 12, 14, 99]},
            "declared": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
        },
    }
    npy, npz = folder / "x.npy", folder / "x.npz"
    yield Reader("an .npy", [header], schema, lambda content: _read_npy(npy, content))
    yield Reader("an .npz", [header], schema, lambda content: _read_npz(npz, content))


def _npy_bytes(document: Any) -> bytes:
    """Return an ``.npy`` as a description has it, whether or not numpy would write it so."""
    shape = tuple(document.get("shape") or ()) if isinstance(document, dict) else document
    fields = document if isinstance(document, dict) else {}
    text = str({
        "descr": fields.get("descr"), "fortran_order": fields.get("fortran_order"), "shape": shape,
    })  # fmt: skip
    encoded = text.encode("latin-1", "replace")[:60_000] + b"\n"
    size = fields.get("data")
    content = bytes(size if isinstance(size, int) and 0 <= size <= 100_000 else 10)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded)) + encoded + content


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _read_npy(path: Path, content: bytes) -> None:
    document = _document(content)
    try:
        written = content if document is None else _npy_bytes(document)
    except TypeError:
        written = content
    put(path, written)
    arrays.read_array(path)


def _read_npz(path: Path, content: bytes) -> None:
    document = _document(content)
    try:
        put(path, content if document is None else _npz_bytes(document))
    except (TypeError, ValueError, OverflowError, NotImplementedError, KeyError, IndexError):
        put(path, content)
    arrays.read_all(path, arrays.ANY)


def _npz_bytes(document: Any) -> bytes:
    """Return an archive of arrays; the size that it declares for its members may be false."""
    target = io.BytesIO()
    inner = _npy_bytes(document)
    with zipfile.ZipFile(target, "w") as file:
        for number in range(min(int(document["members"]), 300)):
            file.writestr(f"{number}.npy", inner, compress_type=8 if document["method"] else 0)
    changed = bytearray(target.getvalue())
    place = changed.find(b"PK\x01\x02")
    if place >= 0 and document["declared"] != 152:
        declared = struct.pack("<I", int(document["declared"]) & 0xFFFFFFFF)
        changed[place + 24 : place + 28] = declared
        changed[place + 10 : place + 12] = struct.pack("<H", int(document["method"]) & 0xFFFF)
    return bytes(changed)
