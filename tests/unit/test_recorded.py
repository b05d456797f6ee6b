"""A recorded run gives the same results as the version that recorded it.

``recorded/run.tar.xz`` holds what merging reads of a run of ``matrix.yaml``: its manifest, records,
builds, causes, engines and gold losses. It has no arrays, models and logs. Raw times are rounded
to six digits, and tracebacks are cut to their last line. One record was removed, and two skipped
cells and an expected failure that passes were added, so that every kind of line occurs.

``expected.json`` in the archive is the ``results.json`` that the recording version, of record
schema 1, made of exactly these files.

Keys that were renamed since are listed in the tables below, one line for each. To rename another
key, add a line.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import StartupRow
from deepmatrix.store.manifests import RUN_SCHEMA
from deepmatrix.store.records import paths_of_job
from deepmatrix.store.runs import Run

ARCHIVE = Path(__file__).parent / "recorded" / "run.tar.xz"

#: (path of the object, old key, new key). In a path, ``*`` stands for every item of a list or every
#: value of an object. A new key with dots is nested: ``system.family``; there an empty value, which
#: is the default, is dropped. An empty new key drops any value.
Rename = tuple[str, str, str]

#: Renamed in ``plan.json``.
MANIFEST: list[Rename] = [
    ("matrix", "known", "expected_failures"),
    ("matrix.tolerances", "stated", "overrides"),
    ("matrix.frameworks.*", "patience", "deadline_factor"),
    ("matrix.runtimes.*", "patience", "deadline_factor"),
    *(
        rename
        for cells in ("plan.cells.*", "plan.skipped.*.cell")
        for rename in (
            (cells, "role", ""),
            (cells, "tags", ""),
            (cells, "patience", "system.deadline_factor"),
            *(
                (cells, key, f"system.{key}")
                for key in (
                    "family",
                    "adapter",
                    "command",
                    "options",
                    "environment",
                    "pins",
                    "precision",
                    "language",
                    "exports",
                    "reads",
                )
            ),
        )
    ),
]

#: Renamed in the files below ``records/``.
RECORD: list[Rename] = []

#: Renamed in ``results.json``.
RESULTS: list[Rename] = [
    ("cells.*", "known", "expected_failures"),
    ("training.*", "known", "expected_failure"),
    ("idioms.*", "known", "expected_failure"),
    ("portability.*", "known", "expected_failure"),
    ("training.*", "share", "efficiency"),
    ("inference.*", "share", "efficiency"),
    ("passes.*", "forward_share", "forward_efficiency"),
    ("passes.*", "backward_share", "backward_efficiency"),
]

#: (path of the object, key) that ``results.json`` has gained.
GAINED: list[tuple[str, str, Any]] = [
    ("cells.*", "image_id", ""),
    ("cells.*", "machine", ""),
    ("cells.*", "machines", []),
    ("cells.*", "base", ""),
    ("cells.*", "pulled", ""),
    ("cells.*", "not_pulled", ""),
    ("training.*", "precision", "float32"),
    ("training.*", "float32_cell", ""),
    ("training.*", "machine", ""),
    ("inference.*", "machine", ""),
    ("passes.*", "machine", ""),
    ("startup.*", "machine", ""),
    ("serving.*", "machine", ""),
    ("cells.*.environment", "execution", None),
    ("cells.*.environment", "distribution", None),
    ("cells.*.environment", "shared_objects", None),
    ("startup.*", "operation_s", None),
    ("", "beside", False),
    ("", "facts", []),
    ("", "steps", []),
    ("", "compilation", []),
    ("", "crossovers", []),
    ("", "scaling", []),
    ("timeline.*", "job", ANY),  # a test of its own checks it
    ("training.*", "pending", False),
    ("portability.*", "pending", False),
    ("training.*", "failed_phase", ""),
    ("training.*", "error_type", ""),
    ("training.*", "greedy_accuracy", None),
    ("training.*", "guessed_accuracy", ANY),  # a test of its own checks it
    ("portability.*", "failed_phase", ""),
    ("portability.*", "error_type", ""),
    ("portability.*", "message", ANY),  # a test of its own checks it
    ("portability.*", "model", ""),
    ("portability.*", "judges", False),
    ("portability.*.outputs.*", "cosine", None),
    ("portability.*.outputs.*", "flip_margin", None),
    ("portability.*.cause", "model", ""),
    ("portability.*.cause", "alone", False),
    ("portability.*.cause", "only_node", False),
    ("portability.*.cause", "hint", ""),
    ("portability.*.cause", "as_on", ""),
    ("cells.*", "evaluator", False),
    ("cells.*", "float32_by", ""),
    ("cells.*", "serving_memory_bytes", ANY),  # so does one for this
    ("cells.*", "serving_memory_of", ANY),
    ("cells.*", "serving_memory_job", ANY),
    ("cells.*", "work_s", ANY),  # and for this
    ("", "models", []),
    ("", "nodes", []),
    ("portability.*.outputs.*", "judged_by", ""),
    ("portability.*", "worst_output", "y"),
    ("portability.*.outputs.*", "rounded", False),
    ("portability.*.outputs.*", "computed_in", ""),
    ("portability.*.outputs.*", "growth", 1.0),
    ("portability.*.outputs.*", "random", False),
    ("portability.*.outputs.*", "unjudged", False),
    ("portability.*", "stateful", False),
    ("portability.*", "unsteady", ""),
    ("portability.*", "repeats", ANY),
    ("portability.*", "threads_apart", 0.0),
    ("", "costs", []),
    ("", "quantised", []),
    ("portability.*", "isa", ""),
    ("", "reused", {}),
    ("", "anew", {}),
    ("", "earlier", ""),
    ("", "slower", []),
    ("", "over_budget", []),
    ("", "noisy", ANY),
    # Tests of their own check what a report draws.
    ("inference.*", "range_s", ANY),
    ("inference.*", "operators", {}),
    ("serving.*", "interpreter_s", ANY),
    ("serving.*", "import_s", ANY),
    ("training.*", "losses", ANY),
    ("training.*", "layers", ANY),
    ("training.*", "gradients", ANY),
    ("", "timeline", ANY),
    ("portability.*.outputs.*", "steps", None),
    ("portability.*.outputs.*", "slices", None),
    ("", "generation", []),
]

#: Path, key and value of rows that have another one, by what names the row.
EXCEPTIONS: dict[tuple[str, ...], dict[str, Any]] = {
    ("onnx-debian12-amd64-cpu",): {"evaluator": True},
    **{
        (f"jax-debian12-amd64-cpu--{workload}--onnx", consumer): {
            "failed_phase": "startup",
            "error_type": "RuntimeError",
            "worst_output": "",
        }
        for workload, consumer in (
            ("seq2seq-tiny", "onnx-debian12-amd64-cpu"),
            ("googlenet-tiny", "onnx-debian12-amd64-cpu"),
            ("googlenet-tiny", "openvino-debian12-amd64-cpu"),
            ("googlenet-tiny", "openvino_default-debian12-amd64-cpu"),
        )
    },
}

#: Networks that are described otherwise since: seq2seq had LSTMs.
CHANGED = {"seq2seq-tiny"}

#: (pattern, replacement) of texts that were reworded. Numbers and names in them still count.
TEXTS = [
    (
        r"the machine was slower at (\d+) of (\d+) jobs$",
        r"\1 of \2 jobs are noisy: the machine was slower; measure again when it is idle",
    ),
    (
        r"rounds differ by more than (\d+%) in (\d+) of (\d+) measurements$",
        r"in \2 of \3 measurements the rounds differ by more than \1; "
        "measure again on an idle machine",
    ),
    (
        r"no steady state in (\d+) of (\d+) measurements$",
        r"\1 of \2 measurements did not reach a steady state; "
        "longer measurements may give other medians",
    ),
    (
        r"^known to fail, and does not: ",
        "an expected failure no longer happens; remove it from expected-failures.yaml: ",
    ),
    (r"(\d+ of \d+) jobs were not reached$", r"\1 jobs have not run; finish with --resume"),
    (r"^not reached$", "the job has not run"),
    (r" times the producer's own$", " times the producer's own error"),
    (r"^the floor$", "the smallest tolerance"),
    (r"^stated for (\w+)$", r"tolerance of \1"),
    (r"(: a match of output .*) says little: ", r"\1 proves little: "),
]


def objects(document: Any, path: str) -> Iterator[dict[str, Any]]:
    """Yield the objects at a path."""
    first, _, remainder = path.partition(".")
    if not path:
        yield document
    elif first == "*":
        for value in document.values() if isinstance(document, dict) else document:
            yield from objects(value, remainder)
    elif document.get(first):
        yield from objects(document[first], remainder)


def rename(document: Any, renames: Sequence[Rename]) -> None:
    """Rename keys from old to new."""
    for path, old, new in renames:
        for target in objects(document, path):
            if old in target:
                value = target.pop(old)
                *parents, last = new.split(".")
                if parents and value in (None, [], {}):
                    continue
                parent = target
                for name in parents:
                    parent = parent.setdefault(name, {})
                if last:
                    parent[last] = value


def rename_back(document: Any, renames: Sequence[Rename]) -> None:
    """Rename keys from new to old."""
    rename(document, [(path, new, old) for path, old, new in renames])


def name_of(row: dict[str, Any]) -> tuple[str, ...]:
    """Return what names a row of portability, or of another table."""
    return tuple(row[key] for key in ("artifact", "consumer", "cell") if key in row)


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of everything that is not a list or object."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from leaves(value[key], f"{place}.{key}")
    elif isinstance(value, list):
        yield f"{place} (items)", len(value)
        for index, item in enumerate(value):
            yield from leaves(item, f"{place}.{index}")
    else:
        yield place, value


def reword(value: Any) -> Any:
    """Return a text in today's words; anything else as it is."""
    if isinstance(value, str):
        for pattern, replacement in TEXTS:
            value = re.sub(pattern, replacement, value)
    return value


def unpack(folder: Path) -> None:
    """Unpack the recorded run into a folder, its keys and file names those of today."""
    with tarfile.open(ARCHIVE) as archive:
        # Python 3.11 has the filter since 3.11.4; the archive is our own.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    for path in sorted((folder / "recorded").rglob("*.json")):
        renames = {"plan.json": MANIFEST}.get(path.name, RECORD if "records" in path.parts else [])
        document = json.loads(path.read_text(encoding="utf-8"))
        rename(document, renames)
        if path.name == "plan.json":
            document["schema_version"] = RUN_SCHEMA
        path.write_text(json.dumps(document), encoding="utf-8")
        path.rename(path.with_name(path.name.replace(".aside", ".retried")))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the recorded run."""
    folder = tmp_path_factory.mktemp("recorded")
    unpack(folder)
    return folder


@pytest.fixture(scope="module")
def merged(recorded: Path) -> Results:
    return merging.merge([Run(path=recorded / "recorded")])


#: Times that emulated cells no longer have, by the path of their rows.
UNTOLD = {
    "cells": ("import_s",),
    "training": ("step_s", "samples_per_s", "efficiency"),
    "startup": tuple(name for name in StartupRow.model_fields if name.endswith("_s")),
    "serving": ("start_s", "load_s", "first_forward_s"),
}


def without_emulated_times(document: dict[str, Any]) -> dict[str, Any]:
    """Return results without the times of emulated cells, and of the models that they made."""
    emulated = {cell["cell"] for cell in document["cells"] if cell["emulated"]}

    def is_native(row: dict[str, Any]) -> bool:
        return not {row["cell"], str(row.get("subject")).split("--")[0]} & emulated

    for path, names in UNTOLD.items():
        for row in document[path]:
            if not is_native(row):
                row.update({name: None for name in names if name in row})
                row.update({"unsteady": 0} if "unsteady" in row else {})
    for path in ("inference", "passes"):
        document[path] = [row for row in document[path] if is_native(row)]
    document["warnings"] = [line for line in document["warnings"] if "measurements" not in line]
    return document


def without_shares_of_changed_networks(document: dict[str, Any]) -> dict[str, Any]:
    """Return results without shares of the peak that count the operations of another network."""
    for path in ("training", "inference"):
        for row in document[path]:
            if row["workload"] in CHANGED:
                row["share"] = None
    return document


def grouped(findings: list[str]) -> list[str]:
    """Return lines, those with one reason together, as findings are written today."""
    alike: dict[str, list[str]] = {}
    for line in findings:
        subject, reason = line.split(": ", 1)
        alike.setdefault(reason, []).append(subject)
    return [
        f"{subjects[0]} and {len(subjects) - 1} more: {reason}"
        if len(subjects) > 1
        else f"{subjects[0]}: {reason}"
        for reason, subjects in alike.items()
    ]


def test_a_recorded_run_gives_the_same_rows_and_verdicts(recorded: Path, merged: Results) -> None:
    document = json.loads(merged.model_dump_json())
    rename_back(document, RESULTS)
    document["schema_version"] = 1
    for path, key, value in GAINED:
        for row in objects(document, path):
            expected_value = EXCEPTIONS.get(name_of(row), {}).get(key, value)
            assert row.pop(key) == expected_value, (path, key, name_of(row))
    expected = json.loads((recorded / "expected.json").read_text(encoding="utf-8"))
    expected["findings"] = grouped(expected["findings"])
    document, expected = without_emulated_times(document), without_emulated_times(expected)
    document, expected = map(without_shares_of_changed_networks, (document, expected))
    today, then = dict(leaves(document)), dict(leaves(expected))
    # Of two views of keys pytest would seek the difference for minutes.
    assert today.keys() ^ then.keys() == set()
    for place, value in then.items():
        if isinstance(value, float):  # another processor may round the last digit differently
            assert today[place] == pytest.approx(value, rel=1e-12), place
        else:
            assert today[place] == reword(value), place


def test_a_recorded_run_tells_phase_type_and_message_of_every_error(merged: Results) -> None:
    errors = [row for row in merged.portability if row.verdict == "error"]
    assert errors
    for row in errors:
        assert row.reason.startswith(f"{row.failed_phase}: {row.error_type}: ")


def test_the_work_of_a_cell_is_the_time_of_its_records(recorded: Path, merged: Results) -> None:
    for row in merged.cells:
        paths = (recorded / "recorded" / "records" / row.cell).glob("*/r[0-9].json")
        walls = [json.loads(path.read_text(encoding="utf-8"))["wall_s"] for path in paths]
        assert row.work_s == pytest.approx(sum(walls))


def test_serving_takes_the_memory_of_the_jobs_that_serve_one_network(
    recorded: Path, merged: Results
) -> None:
    rows = {row.cell: row for row in merged.cells if row.jobs}
    by_job: dict[tuple[str, str], int] = {}  # the least of its rounds
    for path in (recorded / "recorded" / "records").rglob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["wave"] == "consume" and record["output"]:
            peak, cell = record["output"]["peak_memory_bytes"], record["cell"]
            if record["workload"] == rows[cell].serving_memory_of:
                job = (cell, record["subject"])
                by_job[job] = min(peak, by_job.get(job, peak))
    peaks = {cell: max(x for (of, _), x in by_job.items() if of == cell) for cell, _ in by_job}
    assert peaks == {
        cell: row.serving_memory_bytes for cell, row in rows.items() if row.serving_memory_of
    }
    trained = {row.cell for row in merged.training}
    for cell, row in rows.items():
        if row.serving_memory_job:
            path = recorded / "recorded" / paths_of_job(cell, row.serving_memory_job)["record"]
            output = json.loads(path.read_text(encoding="utf-8"))["output"]
            assert output["peak_memory_bytes"] == row.serving_memory_bytes
    assert any(rows[cell].serving_memory_bytes != rows[cell].peak_memory_bytes for cell in trained)
