"""Ratings: the rule, recomputed by hand for two systems, and what counts as an input."""

from __future__ import annotations

from datetime import date
from math import log2
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepmatrix.config import matrix_file
from deepmatrix.machine.packages.listings import ListedFile
from deepmatrix.reports.tables.study import packages as package_table
from deepmatrix.reports.tables.study import ratings as rating_tables
from deepmatrix.results.expressiveness.rows import ProbeRow
from deepmatrix.results.rows import CellRow, PortabilityRow, Results, TrainingRow
from deepmatrix.results.timing.rows import StartupRow
from deepmatrix.results.timing.statistics import Estimate
from deepmatrix.study.rating import packages as package_rule
from deepmatrix.study.rating.packages import Packages
from deepmatrix.study.rating.ratings import LEAST, MOST, Rating, rate
from deepmatrix.study.statements import AREAS
from deepmatrix.workloads import networks

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Packages(asked=date(2026, 11, 28), releases={})
MATRIX = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)
CAFFE, TENSORFLOW1 = "caffe-debian11-amd64-cpu", "tensorflow1-python37-amd64-cpu"
OPENCV, ARM = "opencv4-debian12-amd64-cpu", "onnxruntime-cpp-debian13-arm64-cpu"
WINE = "onnxruntime-cpp_wine-debian13-amd64-cpu"

EMPTY = ("startup", "training", "passes", "idioms", "probes", "notes", "inference", "serving")


def results(name: str = "run", **parts: Any) -> Results:
    facts: dict[str, Any] = dict.fromkeys((*EMPTY, "exports", "portability", "findings"), ())
    facts |= {"warnings": (), "problems": (), "cells": CELLS, **parts}
    return Results(run=name, created="2026", version="0", preset="p", seed=1, engines={}, **facts)


def cell(name: str, language: str = "Python", **facts: Any) -> CellRow:
    return CellRow(
        cell=name,
        name=name.split("-debian", maxsplit=1)[0].split("-python", maxsplit=1)[0],
        language=language,
        status="ok",
        jobs=1,
        **facts,
    )


CELLS = (
    cell(CAFFE, image_bytes=600_000_000),
    cell(TENSORFLOW1, image_bytes=1_200_000_000),
    cell(OPENCV),
    cell(ARM, "C++"),
    cell(WINE, "C++ for Windows (wine)"),
)


def seconds(*rounds: float) -> Estimate:
    middle = sorted(rounds)[len(rounds) // 2]
    return Estimate(
        median=middle,
        low=min(rounds),
        high=max(rounds),
        samples=len(rounds),
        rounds=len(rounds),
        round_medians=rounds,
    )


def trained(name: str, workload: str, status: str = "ok", **facts: Any) -> TrainingRow:
    accuracy = 0.95 if status == "ok" else None
    return TrainingRow(
        cell=name,
        workload=workload,
        emulated=False,
        status=status,
        **{"accuracy": accuracy, "accuracy_wanted": 0.9, **facts},
    )


def probed(name: str, probe: str, verdict: Any = "match", outside: str = "") -> ProbeRow:
    return ProbeRow(
        cell=name, probe=probe, emulated=False, verdict=verdict, error=1e-7, outside=outside
    )


def served(producer: str, consumer: str, verdict: Any = "match") -> PortabilityRow:
    return PortabilityRow(
        artifact=f"{producer}--digits-conv--onnx",
        consumer=consumer,
        emulated=False,
        verdict=verdict,
    )


def find(rated: list[Rating], system: str, area: str, period: str = "then") -> Rating:
    return next(
        rating
        for rating in rated
        if (rating.system, rating.area, rating.period) == (system, area, period)
    )


def value(rated: list[Rating], system: str, area: str) -> float | None:
    stars = find(rated, system, area).stars
    return stars.value if stars else None


def test_ratings_of_two_systems_are_those_that_one_works_out_by_hand() -> None:
    run = results(
        training=(
            trained(CAFFE, "alexnet-small", step_s=seconds(1.0, 1.0, 1.0)),
            trained(CAFFE, "lstm-small", "unsupported", failed_phase="train"),
            trained(TENSORFLOW1, "alexnet-small", step_s=seconds(4.0, 4.0, 4.0)),
            trained(TENSORFLOW1, "lstm-small"),
        ),
        probes=(
            probed(CAFFE, "own_layer"),
            probed(CAFFE, "derived_gradient", "unsupported"),
            probed(CAFFE, "attention", "unsupported"),
            probed(CAFFE, "beam_search", outside="the loop"),
            probed(TENSORFLOW1, "own_layer"),
            probed(TENSORFLOW1, "derived_gradient"),
        ),
        portability=(
            served(CAFFE, OPENCV),
            served(CAFFE, ARM, "drift"),
            served(TENSORFLOW1, ARM),
            served(TENSORFLOW1, WINE),
            served(TENSORFLOW1, OPENCV, "error"),
        ),
    )
    rated = rate([run], MATRIX, PACKAGES)
    # Networks: 1 of 2, three stars. Probes in the graph: 1 of 4, two stars.
    assert value(rated, "Caffe", "modeling capability") == pytest.approx(2.5)
    assert value(rated, "TensorFlow", "modeling capability") == pytest.approx(5.0)
    # One of three cells is 1 + 4/3 stars, two of three 1 + 8/3.
    assert value(rated, "Caffe", "model deployment") == pytest.approx(1 + 4 / 3)
    assert value(rated, "TensorFlow", "model deployment") == pytest.approx(1 + 8 / 3)
    # Python, C++ and C++ for Windows: Caffe's models are served by Python only.
    assert value(rated, "Caffe", "interfaces") == pytest.approx(1 + 4 / 3)
    assert value(rated, "TensorFlow", "interfaces") == pytest.approx(1 + 8 / 3)
    # Linux on amd64, Linux on arm64, Windows on amd64.
    assert value(rated, "Caffe", "cross-platform") == pytest.approx(1 + 4 / 3)
    # Four times as slow is two stars less.
    assert value(rated, "Caffe", "performance") == pytest.approx(5.0)
    assert value(rated, "TensorFlow", "performance") == pytest.approx(3.0)
    # New layers: 1 of 2, three stars, the smaller image, five, and 8 lines of a layer for 3.
    assert value(rated, "Caffe", "architecture") == pytest.approx((3 + 5 + 5 - log2(8 / 3)) / 3)
    assert value(rated, "TensorFlow", "architecture") == pytest.approx((5 + 4 + 5) / 3)
    assert value(rated, "Caffe", "ecosystem") is None


def test_what_no_run_measured_has_no_stars() -> None:
    rated = rate([], MATRIX, PACKAGES)
    assert {rating.area for rating in rated} == set(AREAS)
    assert not any(rating.stars for rating in rated)


def test_a_single_round_or_a_disturbed_one_is_no_input() -> None:
    rows = (
        trained(CAFFE, "alexnet-small", step_s=seconds(1.0)),
        trained(TENSORFLOW1, "alexnet-small", step_s=seconds(4.0)),
    )
    assert value(rate([results(training=rows)], MATRIX, PACKAGES), "Caffe", "performance") is None
    steps = (
        trained(CAFFE, "alexnet-small", step_s=seconds(1.0, 1.0, 1.0)),
        trained(TENSORFLOW1, "alexnet-small", step_s=seconds(4.0, 4.0, 4.0)),
    )
    noisy = results(training=steps, noisy=(f"{CAFFE}--alexnet-small--r0",))
    assert value(rate([noisy], MATRIX, PACKAGES), "TensorFlow", "performance") is None


def test_times_of_two_runs_are_not_compared() -> None:
    runs = [
        results("a", training=(trained(CAFFE, "x", step_s=seconds(1.0, 1.0, 1.0)),)),
        results("b", training=(trained(TENSORFLOW1, "x", step_s=seconds(4.0, 4.0, 4.0)),)),
    ]
    assert value(rate(runs, MATRIX, PACKAGES), "Caffe", "performance") is None


def test_a_network_without_a_wanted_accuracy_is_no_input() -> None:
    run = results(training=(trained(CAFFE, "googlenet-tiny", accuracy_wanted=0.0),))
    assert value(rate([run], MATRIX, PACKAGES), "Caffe", "modeling capability") is None


def test_the_last_run_that_tried_something_counts() -> None:
    runs = [
        results("a", training=(trained(CAFFE, "lstm-small", "crashed"),)),
        results("b", training=(trained(CAFFE, "lstm-small"),)),
        results("c"),
    ]
    rating = find(rate(runs, MATRIX, PACKAGES), "Caffe", "modeling capability")
    assert rating.stars
    assert rating.stars.value == MOST
    assert rating.inputs[0].measured.record == f"b/records/{CAFFE}/lstm-small/r0.json"


def test_rounds_that_differ_give_an_interval() -> None:
    rows = (
        trained(CAFFE, "x", step_s=seconds(1.0, 1.1, 1.2)),
        trained(TENSORFLOW1, "x", step_s=seconds(3.6, 4.0, 4.4)),
    )
    stars = find(
        rate([results(training=rows)], MATRIX, PACKAGES), "TensorFlow", "performance"
    ).stars
    assert stars
    assert stars.low < stars.value < stars.high


@given(
    st.lists(st.floats(0.001, 1000.0), min_size=2, max_size=2),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_stars_are_from_one_to_five(medians: list[float], learned: int, failed: int) -> None:
    rows = [
        trained(name, "x", step_s=seconds(middle, middle * 1.01, middle * 1.02))
        for name, middle in zip((CAFFE, TENSORFLOW1), medians, strict=True)
    ]
    rows += [trained(CAFFE, f"good{number}") for number in range(learned)]
    rows += [trained(CAFFE, f"bad{number}", "error") for number in range(failed)]
    for rating in rate([results(training=tuple(rows))], MATRIX, PACKAGES):
        if rating.stars:
            assert LEAST <= rating.stars.low <= rating.stars.value <= rating.stars.high <= MOST


def uploaded(name: str, day: str) -> ListedFile:
    return ListedFile(name=name, uploaded=date.fromisoformat(day))


def test_ecosystems_are_rated_by_what_the_index_listed_on_the_day() -> None:
    files = [
        uploaded("tensorflow-0.12.0-cp35-cp35m-manylinux1_x86_64.whl", "2016-12-01"),
        uploaded("tensorflow-0.12.0-cp35-cp35m-win_amd64.whl", "2016-12-02"),
        uploaded("tensorflow-0.11.0-cp35-cp35m-manylinux1_x86_64.whl", "2016-06-20"),
        uploaded("tensorflow-2.22.0rc1-cp313-cp313-win_amd64.whl", "2026-11-01"),
        uploaded("tensorflow-2.21.0-cp313-cp313-manylinux_2_27_aarch64.whl", "2026-10-01"),
    ]
    packages = Packages(
        asked=date(2026, 11, 28), releases={"tensorflow": package_rule.releases(files)}
    )
    rated = rate([], MATRIX, packages)
    # Then two of four platforms and two of four quarters; now one of each.
    assert value(rated, "TensorFlow", "ecosystem") == pytest.approx(3.0)
    now = find(rated, "TensorFlow", "ecosystem", "now").stars
    assert now
    assert now.value == pytest.approx(2.0)


def test_a_wheel_for_any_platform_is_for_all_and_an_archive_for_none() -> None:
    whole, archive = package_rule.releases(
        [
            uploaded("jax-0.1-py3-none-any.whl", "2020-01-01"),
            uploaded("jax-0.2.tar.gz", "2020-02-01"),
        ]
    )
    assert whole.platforms == tuple(package_rule.PLATFORMS)
    assert archive.platforms == ()


def test_the_tables_show_stars_and_every_input() -> None:
    run = results(training=(trained(CAFFE, "lstm-small"), trained(CAFFE, "rnn-small", "crashed")))
    tables = {table.title: table for table in rating_tables.tables(rate([run], MATRIX, PACKAGES))}
    then = tables["Ratings then"]
    assert then.titles[:2] == ("area", "Caffe")
    assert [line.texts[1] for line in then.rows[:3]] == ["caffe", "3.0", "–"]
    inputs = tables["Inputs: modeling capability"]
    assert inputs.rows[0].texts[3:5] == ("1 of 2, without rnn-small", "3.0")


# Architecture ---------------------------------------------------------------------------------


def loaded(name: str, mebibytes: int, requires: list[str], **facts: Any) -> CellRow:
    environment = {
        "distribution": {"licence": "MIT", "requires": requires},
        "shared_objects": {"count": 3, "bytes": mebibytes * 2**20},
    }
    return cell(name, environment=environment, **facts)


def architecture(run: Results, system: str) -> dict[str, str]:
    rating = find(rate([run], MATRIX, PACKAGES), system, "architecture")
    return {entry.measured.what: entry.measured.text for entry in rating.inputs}


def test_what_a_framework_brings_along_is_counted_and_shown() -> None:
    cells = (loaded(CAFFE, 10, []), loaded(TENSORFLOW1, 40, ["numpy", "six", "absl-py"]))
    run = results(
        cells=cells, probes=(probed(CAFFE, "own_layer"), probed(TENSORFLOW1, "own_layer"))
    )
    caffe, tensorflow = architecture(run, "Caffe"), architecture(run, "TensorFlow")
    assert caffe["packages that it brings along"] == "1 package, 1.000× of the best"
    assert tensorflow["packages that it brings along"] == "4 packages, 4.000× of the best"
    assert tensorflow["size of its shared objects"] == "3 with 42 MB, 4.000× of the best"
    assert tensorflow["lines of a new layer"] == "3 lines, 1.000× of the best"
    assert caffe["lines of a new layer"].startswith("8 lines, 2.667× of the best")


def test_a_layer_that_gave_wrong_answers_has_no_lines() -> None:
    probes = (probed(CAFFE, "own_layer", "wrong"), probed(TENSORFLOW1, "own_layer"))
    assert "lines of a new layer" not in architecture(results(probes=probes), "TensorFlow")


def test_training_shared_by_two_processes_is_of_the_architecture_and_of_no_model() -> None:
    run = results(probes=(probed(TENSORFLOW1, "data_parallel"), probed(TENSORFLOW1, "attention")))
    assert architecture(run, "TensorFlow")["training shared by two processes"] == "1 of 1"
    rating = find(rate([run], MATRIX, PACKAGES), "TensorFlow", "modeling capability")
    assert [entry.measured.text for entry in rating.inputs] == ["1 of 1"]


def test_the_time_of_a_tiny_operation_is_compared() -> None:
    starts = tuple(started(name, time) for name, time in ((CAFFE, 8e-6), (TENSORFLOW1, 1e-6)))
    text = architecture(results(startup=starts), "Caffe")["time of a tiny operation"]
    assert text.startswith("8.000×")
    assert text.endswith("on digits-conv (8e-06 s)")


def started(name: str, operation_s: float) -> StartupRow:
    second = seconds(1.0, 1.0, 1.0)
    return StartupRow(
        cell=name,
        workload="digits-conv",
        emulated=False,
        interpreter_s=second,
        import_s=second,
        build_s=second,
        first_forward_s=second,
        first_step_s=second,
        second_step_s=second,
        operation_s=seconds(operation_s, operation_s, operation_s),
    )


def test_languages_and_platforms_are_named_with_those_that_are_missing() -> None:
    run = results(portability=(served(CAFFE, OPENCV), served(CAFFE, ARM, "drift")))
    rating = find(rate([run], MATRIX, PACKAGES), "Caffe", "interfaces")
    assert rating.inputs[0].measured.text == "1 of 2: Python; not C++"


# Packages -------------------------------------------------------------------------------------


def test_the_table_of_packages_has_dates_cadence_wheels_and_licence() -> None:
    files = [
        uploaded("tensorflow-0.12.0-cp35-cp35m-manylinux1_x86_64.whl", "2016-12-01"),
        uploaded("tensorflow-0.11.0-cp35-cp35m-manylinux1_x86_64.whl", "2016-11-01"),
        uploaded("tensorflow-0.10.0-cp35-cp35m-manylinux1_x86_64.whl", "2016-10-30"),
        uploaded("tensorflow-2.21.0-cp313-cp313-win_amd64.whl", "2026-10-01"),
    ]
    packages = Packages(
        asked=date(2026, 11, 28), releases={"tensorflow": package_rule.releases(files)}
    )
    run = results(cells=(loaded(TENSORFLOW1, 1, [], version="1.15.5"),))
    then, now = (line.texts for line in package_table.table(packages, [run]).rows)
    assert then == (
        "tensorflow",
        "TensorFlow (then)",
        "2016-12-06",
        "3",
        "2016-10-30",
        "0.12.0 of 2016-12-01",
        "16",
        "Linux on x86-64",
        "MIT (1.15.5)",
    )
    assert now[2:6] == ("2026-11-28", "4", "2016-10-30", "2.21.0 of 2026-10-01")
    assert now[-2:] == ("Windows", "–"), "no TensorFlow of today ran"
