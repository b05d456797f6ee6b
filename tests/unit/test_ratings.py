"""Ratings: the rule, recomputed by hand for two systems, and what counts as an input."""

from __future__ import annotations

import itertools
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
from deepmatrix.results.expressiveness.rows import IdiomRow, ProbeRow
from deepmatrix.results.rows import CellRow, PortabilityRow, Results, TrainingRow
from deepmatrix.results.timing.rows import StartupRow
from deepmatrix.results.timing.statistics import Estimate
from deepmatrix.study.rating import packages as package_rule
from deepmatrix.study.rating.inputs import largest_table
from deepmatrix.study.rating.packages import Packages
from deepmatrix.study.rating.ratings import LEAST, MOST, Rating, rate
from deepmatrix.study.statements import AREAS
from deepmatrix.workloads import networks

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Packages(asked=date(2026, 11, 28), releases={})
MATRIX = matrix_file.load(ROOT / "matrix.yaml", networks=networks.NETWORKS)
CAFFE, TENSORFLOW1 = "caffe-debian11-amd64-cpu", "tensorflow1-python37-amd64-cpu"
CAFFE_ARM, THEANO = "caffe-debian11-arm64-cpu", "theano-debian11-amd64-cpu"
CNTK, TORCH1 = "cntk-python36-amd64-cpu", "torch1-python36-amd64-cpu"
ORT, ARM = "onnxruntime-debian12-amd64-cpu", "onnxruntime-cpp-debian13-arm64-cpu"
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
    *map(cell, (CAFFE_ARM, CNTK, THEANO, TORCH1)),
    cell(ORT),
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


def served(
    producer: str, consumer: str, verdict: Any = "match", *, model: str = "alexnet-small"
) -> PortabilityRow:
    return PortabilityRow(
        artifact=f"{producer}--{model}--onnx",
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
            trained(THEANO, "alexnet-small"),
        ),
        probes=(
            probed(CAFFE, "own_layer"),
            probed(CAFFE, "derived_gradient", "unsupported"),
            probed(CAFFE, "attention", "unsupported"),
            probed(CAFFE, "beam_search", outside="the loop"),
            probed(CAFFE, "python_loop"),
            *(
                probed(TENSORFLOW1, probe)
                for probe in ("own_layer", "derived_gradient", "attention", "beam_search")
            ),
        ),
        portability=(
            served(THEANO, ORT),
            served(THEANO, ARM, "drift"),
            served(TENSORFLOW1, ARM),
            served(TENSORFLOW1, WINE),
            served(TENSORFLOW1, ORT, "error"),
            served(TENSORFLOW1, ARM, model="lstm-small"),
            served(TENSORFLOW1, WINE, "drift", model="lstm-small"),
        ),
    )
    rated = rate([run], MATRIX, PACKAGES)
    # Networks: 1 of 2, three stars. Probes: 1 of 4, two stars; the Python loop does not count.
    assert value(rated, "Caffe", "modeling capability") == pytest.approx(2.5)
    assert value(rated, "TensorFlow", "modeling capability") == pytest.approx(5.0)
    # Theano trained one network: with three cells 3 pairs, of which 1 matches, 1 + 4 * 1/3 stars.
    # TensorFlow trained two: of 6 pairs 3 match (AlexNet on two cells, the LSTM on one), so
    # 1 + 4 * 3/6 stars.
    assert value(rated, "Theano", "model deployment") == pytest.approx(1 + 4 / 3)
    assert value(rated, "TensorFlow", "model deployment") == pytest.approx(3.0)
    # Python and C++, which is one language on both systems: 1 of 2 pairs, and 2 of 4.
    assert value(rated, "Theano", "interfaces") == pytest.approx(3.0)
    assert value(rated, "TensorFlow", "interfaces") == pytest.approx(3.0)
    # Linux on amd64 and on arm64, as Wine is no platform: 1 of 2 pairs, and 2 of 4.
    assert value(rated, "Theano", "cross-platform") == pytest.approx(3.0)
    assert value(rated, "TensorFlow", "cross-platform") == pytest.approx(3.0)
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


@pytest.mark.parametrize("wanted", [0.0, 0.48])
def test_a_network_that_is_asked_for_little_is_no_input(wanted: float) -> None:
    names = (CAFFE, TENSORFLOW1)
    rows = (trained(name, "googlenet-tiny", accuracy_wanted=wanted) for name in names)
    run = results(training=tuple(rows))
    assert value(rate([run], MATRIX, PACKAGES), "Caffe", "modeling capability") is None


def test_the_last_run_that_tried_something_counts() -> None:
    runs = [
        results(
            "a",
            training=(
                trained(CAFFE, "lstm-small", "crashed"),
                trained(TENSORFLOW1, "lstm-small"),
            ),
        ),
        results("b", training=(trained(CAFFE, "lstm-small"),)),
        results("c"),
    ]
    rating = find(rate(runs, MATRIX, PACKAGES), "Caffe", "modeling capability")
    assert rating.stars
    assert rating.stars.value == MOST
    assert rating.inputs[0].measured.record == f"b/records/{CAFFE}/lstm-small/r0.json"


def idiom(name: str, lines: int, workload: str = "x") -> IdiomRow:
    return IdiomRow(cell=name, workload=workload, emulated=False, status="ok", lines=lines)


def lines_text(runs: list[Results], system: str) -> str:
    rating = find(rate(runs, MATRIX, PACKAGES), system, "modeling capability")
    (entry,) = rating.inputs
    return entry.measured.text


def test_lines_of_a_later_run_of_some_systems_are_compared_with_all_systems() -> None:
    rows = (idiom(CAFFE, 20), idiom(CNTK, 5), idiom(TORCH1, 15))
    later = results("b", idioms=(idiom(CAFFE, 40), idiom(TORCH1, 10)))
    runs = [results("a", idioms=rows), later]
    assert lines_text(runs, "CNTK").startswith("1.000× of the best, on x (5 lines)")
    assert lines_text(runs, "torch 1.0.0").startswith("2.000× of the best, on x (10 lines)")
    assert lines_text(runs, "Caffe").startswith("8.000× of the best, on x (40 lines)")


def test_systems_are_compared_on_the_same_networks() -> None:
    rows = [idiom(name, 10, network) for name in (CAFFE, CNTK) for network in ("x", "y")]
    run = results(idioms=(*rows, idiom(CAFFE, 10, "z"), idiom(TORCH1, 30, "y")))
    # Three systems have one network, two have two: that table is larger.
    assert lines_text([run], "Caffe").endswith("on x (10 lines), y (10 lines)")
    assert not find(rate([run], MATRIX, PACKAGES), "torch 1.0.0", "modeling capability").inputs


def test_a_later_run_of_fewer_systems_does_not_replace_their_times() -> None:
    def timed(run: str, *medians: tuple[str, float]) -> Results:
        rows = (trained(name, "x", step_s=seconds(each, each, each)) for name, each in medians)
        return results(run, training=tuple(rows))

    runs = [
        timed("a", (CAFFE, 8.0), (CNTK, 1.0), (TORCH1, 4.0)),
        timed("b", (CAFFE, 4.0), (CNTK, 1.0), (TORCH1, 4.0)),
        timed("c", (CAFFE, 1.0), (TORCH1, 1.0)),
    ]
    assert value(rate(runs, MATRIX, PACKAGES), "Caffe", "performance") == pytest.approx(3.0)


def test_a_later_run_that_trained_nothing_leaves_what_an_earlier_one_served() -> None:
    runs = [
        results(
            "a", training=(trained(CAFFE, "alexnet-small"),), portability=(served(CAFFE, ARM),)
        ),
        results("b", portability=(served(CAFFE, ARM, "drift"),)),
    ]
    rating = find(rate(runs, MATRIX, PACKAGES), "Caffe", "model deployment")
    assert [entry.measured.record for entry in rating.inputs] == ["a/results.json"]


def test_a_run_that_trains_nothing_to_the_end_takes_no_network_away() -> None:
    names = (CAFFE, TENSORFLOW1)
    runs = [
        results("a", training=tuple(trained(name, "lstm-small") for name in names)),
        results("b", training=tuple(trained(name, "lstm-small", accuracy=None) for name in names)),
    ]
    assert value(rate(runs, MATRIX, PACKAGES), "Caffe", "modeling capability") == MOST


def test_a_failure_in_a_run_that_trains_nothing_is_none_of_the_network() -> None:
    names = (CAFFE, TENSORFLOW1)
    timeout = trained(CAFFE, "lstm-small", "timeout")
    runs = [
        results("a", training=tuple(trained(name, "lstm-small") for name in names)),
        results("b", training=(timeout, trained(TENSORFLOW1, "lstm-small", accuracy=None))),
    ]
    assert value(rate(runs, MATRIX, PACKAGES), "Caffe", "modeling capability") == MOST


def test_shares_of_different_networks_are_not_compared() -> None:
    rows = (trained(CAFFE, "lstm-small"), trained(TENSORFLOW1, "rnn-small"))
    rated = rate([results(training=rows)], MATRIX, PACKAGES)
    assert not find(rated, "Caffe", "modeling capability").inputs


def test_a_run_that_is_not_finished_leaves_what_an_earlier_one_served() -> None:
    def run(name: str, *verdicts: PortabilityRow) -> Results:
        rows = tuple(trained(cell, "alexnet-small") for cell in (CAFFE, CNTK))
        return results(name, training=rows, portability=verdicts)

    both = (served(CAFFE, ARM), served(CNTK, ARM))
    waiting = served(CNTK, ORT).model_copy(update={"verdict": "not-run", "pending": True})
    runs = [run("a", *both), run("b", *both, waiting)]
    rating = find(rate(runs, MATRIX, PACKAGES), "Caffe", "model deployment")
    assert [entry.measured.record for entry in rating.inputs] == ["a/results.json"]


def test_shares_are_of_the_networks_that_all_systems_tried() -> None:
    rows = [trained(name, "lstm-small") for name in (CAFFE, CNTK, TENSORFLOW1)]
    rows += [trained(CAFFE, "rnn-small", "crashed"), trained(CAFFE, "gru-small", "crashed")]
    rated = rate([results(training=tuple(rows))], MATRIX, PACKAGES)
    # Three systems by one network are as much as Caffe alone by three; Caffe alone is no table.
    assert value(rated, "Caffe", "modeling capability") == MOST


def test_models_that_only_their_framework_reads_are_served_by_no_runtime() -> None:
    run = results(
        training=tuple(trained(name, "alexnet-small") for name in (TENSORFLOW1, THEANO)),
        portability=(
            served(TENSORFLOW1, ARM),
            served(TENSORFLOW1, ORT, "error"),
            served(THEANO, THEANO),
        ),
    )
    rated = rate([run], MATRIX, PACKAGES)
    assert value(rated, "Theano", "model deployment") == LEAST
    assert value(rated, "TensorFlow", "model deployment") == pytest.approx((LEAST + MOST) / 2)
    (entry,) = find(rated, "Theano", "cross-platform").inputs
    assert entry.measured.text == "0 of 2; none: Linux on amd64, Linux on arm64"


def test_a_runtime_of_another_systems_own_format_is_no_target() -> None:
    opencv, library = "opencv4-debian12-amd64-cpu", "tensorflow-c-debian12-amd64-cpu"
    run = results(
        cells=(*CELLS, cell(opencv), cell(library, "C++")),
        training=tuple(trained(name, "alexnet-small") for name in (TENSORFLOW1, CAFFE, CNTK)),
        portability=(
            served(CAFFE, opencv),
            served(CAFFE, ARM),
            served(CNTK, ARM),
            served(TENSORFLOW1, ARM),
            served(TENSORFLOW1, library, "drift"),
        ),
    )
    texts = {
        system: measured(run, system, "model deployment").popitem()[1]
        for system in ("Caffe", "CNTK", "TensorFlow")
    }
    assert texts == {
        "Caffe": f"2 of 2; its model: {ARM}, {opencv}",
        "CNTK": f"1 of 1; its model: {ARM}",
        "TensorFlow": f"1 of 2; its model: {ARM}; none: {library}",
    }


def test_a_network_counts_as_trained_by_its_accuracy_where_its_numbers_are_known_to_differ() -> (
    None
):
    known = {
        "expected_failure": "its pooling gives equal values another gradient",
        "status": "failed",
    }
    for accuracy, part in ((0.92, 1), (0.9, 1), (0.5, 0), (None, 0)):
        row = trained(TENSORFLOW1, "conv3d-small").model_copy(
            update={**known, "accuracy": accuracy}
        )
        run = results(training=(row, trained(CAFFE, "conv3d-small")))
        (text,) = measured(run, "TensorFlow", "modeling capability").values()
        assert text.startswith(f"{part} of 1")


def test_a_failure_that_was_not_expected_is_none_of_a_network_that_learned() -> None:
    row = trained(TENSORFLOW1, "conv3d-small", "failed", accuracy=0.95)
    run = results(training=(row, trained(CAFFE, "conv3d-small")))
    (text,) = measured(run, "TensorFlow", "modeling capability").values()
    assert text.startswith("0 of 1")


def test_wine_is_no_platform() -> None:
    run = results(
        training=(trained(CAFFE, "alexnet-small"), trained(CNTK, "alexnet-small")),
        portability=(served(CAFFE, ARM), served(CNTK, ARM), served(CNTK, WINE)),
    )
    for system in ("Caffe", "CNTK"):
        (entry,) = find(rate([run], MATRIX, PACKAGES), system, "cross-platform").inputs
        assert entry.measured.text == "1 of 1; its model: Linux on arm64"


def timed(*names: str, workload: str = "digits-conv") -> Results:
    """A run in which each system takes a second longer than the one before it."""
    rows = (
        trained(name, workload, step_s=seconds(time, time, time))
        for time, name in enumerate(names, start=1)
    )
    return results(cells=tuple(map(cell, names)), training=tuple(rows))


def test_the_times_of_theano_are_those_of_its_own_operations() -> None:
    own = THEANO.replace("theano", "theano_own")
    run = timed(CNTK, own, CAFFE, THEANO)
    rated = rate([run], MATRIX, PACKAGES)
    (entry,) = find(rated, "Theano", "performance").inputs
    assert entry.measured.text == "2.000× of the best, on digits-conv (2 s)"
    known = {"status": "failed", "expected_failure": "its gradient of equal values is another"}
    for accuracy in (None, 0.5):
        unknown = {**known, "accuracy": accuracy}
        rows = [row.model_copy(update=unknown if row.cell == own else {}) for row in run.training]
        unknown_run = run.model_copy(update={"training": tuple(rows)})
        assert not find(rate([unknown_run], MATRIX, PACKAGES), "Theano", "performance").inputs
    rows = [row.model_copy(update=known if row.cell == own else {}) for row in run.training]
    known_run = run.model_copy(update={"training": tuple(rows)})
    assert find(rate([known_run], MATRIX, PACKAGES), "Theano", "performance").inputs
    assert not find(rate([timed(CNTK, THEANO)], MATRIX, PACKAGES), "Theano", "performance").inputs


def test_a_network_with_a_substitute_for_what_a_system_lacks_is_no_time_of_it() -> None:
    pytensor, torch, jax = (
        f"{name}-amd64-cpu" for name in ("pytensor-debian13", "torch-debian12", "jax-debian12")
    )
    for workload, count in (("digits-conv", 0), ("lstm-small", 1)):
        rated = rate([timed(torch, pytensor, workload=workload)], MATRIX, PACKAGES)
        assert len(find(rated, "PyTensor", "performance", "now").inputs) == count, workload
    both = [timed(torch, jax, pytensor, workload=name) for name in ("digits-conv", "lstm-small")]
    rows = itertools.chain.from_iterable(run.training for run in both)
    rated = rate([both[0].model_copy(update={"training": tuple(rows)})], MATRIX, PACKAGES)
    # Two systems by two networks are more than three by one.
    assert (
        find(rated, "JAX", "performance", "now")
        .inputs[0]
        .measured.text.endswith("on digits-conv (2 s), lstm-small (2 s)")
    )
    assert not find(rated, "PyTensor", "performance", "now").inputs


def test_a_framework_that_read_its_own_models_before_the_runtimes_did_has_no_share() -> None:
    waiting = served(THEANO, ARM).model_copy(update={"verdict": "not-run"})
    run = results(
        training=tuple(trained(name, "alexnet-small") for name in (TENSORFLOW1, THEANO)),
        portability=(served(TENSORFLOW1, ARM), served(THEANO, THEANO), waiting),
    )
    assert not find(rate([run], MATRIX, PACKAGES), "Theano", "model deployment").inputs


def test_all_systems_of_a_row_are_served_in_one_run() -> None:
    def run(name: str, *verdicts: PortabilityRow) -> Results:
        rows = tuple(trained(cell, "alexnet-small") for cell in (THEANO, CNTK))
        return results(name, training=rows, portability=verdicts)

    both = run("a", served(THEANO, ARM), served(THEANO, ORT, "error"), served(CNTK, ARM))
    alone = run("b", served(THEANO, ARM))
    for runs in ([both, alone], [alone, both]):
        rating = find(rate(runs, MATRIX, PACKAGES), "Theano", "model deployment")
        (entry,) = rating.inputs
        assert entry.measured.record == "a/results.json"
        assert entry.measured.text.startswith("1 of 2")


def test_sizes_are_those_of_one_run() -> None:
    def run(name: str, caffe: int, *further: CellRow) -> Results:
        return results(name, cells=(cell(CAFFE, image_bytes=caffe * 10**6), *further))

    both = run("a", 800, cell(TENSORFLOW1, image_bytes=400 * 10**6))
    runs = [both, run("b", 400)]
    assert architecture(runs[0], "Caffe")["size of its image"] == "800 MB, 2.000× of the best"
    rating = find(rate(runs, MATRIX, PACKAGES), "Caffe", "architecture")
    (entry,) = rating.inputs
    assert entry.measured.text == "800 MB, 2.000× of the best"


def fields_of(having: dict[str, set[str]]) -> list[tuple[str, str]]:
    return [(row, framework) for row, frameworks in having.items() for framework in frameworks]


@given(
    st.dictionaries(
        st.sampled_from("rstuv"), st.sets(st.sampled_from("abcde")), min_size=1, max_size=5
    )
)
def test_the_largest_table_is_that_of_all_tables(having: dict[str, set[str]]) -> None:
    rows, frameworks = largest_table("abcde", fields_of(having))
    assert all(frameworks <= having[row] for row in rows)
    sizes = [
        len(chosen) * len(set.intersection(*(having[row] for row in chosen)))
        for count in range(1, len(having) + 1)
        for chosen in itertools.combinations(having, count)
        if len(set.intersection(*(having[row] for row in chosen))) > 1
    ]
    assert len(rows) * len(frameworks) == max(sizes, default=0)
    backwards = dict(reversed(having.items()))
    assert largest_table("abcde", fields_of(backwards)) == (rows, frameworks)


def test_a_cell_whose_jobs_have_not_run_yet_serves_neither_well_nor_badly() -> None:
    rows = [trained(name, "alexnet-small") for name in (CAFFE, TENSORFLOW1)]
    verdicts = (
        served(CAFFE, ARM),
        served(TENSORFLOW1, ARM),
        served(CAFFE, WINE).model_copy(update={"verdict": "not-run", "pending": True}),
        served(TENSORFLOW1, WINE),
    )
    rated = rate([results(training=tuple(rows), portability=verdicts)], MATRIX, PACKAGES)
    assert value(rated, "Caffe", "model deployment") == MOST
    assert value(rated, "TensorFlow", "model deployment") == MOST


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


def listed(**files: list[ListedFile]) -> Packages:
    releases = {name: package_rule.releases(rows) for name, rows in files.items()}
    return Packages(asked=date(2026, 11, 28), releases=releases)


TENSORFLOWS = [
    uploaded("tensorflow-0.12.0-cp35-cp35m-manylinux1_x86_64.whl", "2016-12-01"),
    uploaded("tensorflow-0.12.0-cp35-cp35m-win_amd64.whl", "2016-12-02"),
    uploaded("tensorflow-0.11.0-cp35-cp35m-manylinux1_x86_64.whl", "2016-06-20"),
    uploaded("tensorflow-2.22.0rc1-cp313-cp313-win_amd64.whl", "2026-11-01"),
    uploaded("tensorflow-2.21.0-cp313-cp313-manylinux_2_27_aarch64.whl", "2026-10-01"),
]


def test_ecosystems_are_rated_by_what_the_index_listed_on_the_day() -> None:
    packages = listed(
        tensorflow=TENSORFLOWS,
        theano=[uploaded("theano-0.8.2-py2.py3-none-any.whl", "2016-04-21")],
        pytensor=[uploaded("pytensor-3.3.8-py3-none-any.whl", "2026-11-07")],
    )
    rated = rate([], MATRIX, packages)
    # Then TensorFlow had two of four platforms and two of four quarters, Theano all and one.
    assert value(rated, "TensorFlow", "ecosystem") == pytest.approx(3.0)
    assert value(rated, "Theano", "ecosystem") == pytest.approx((5 + 2) / 2)
    # Now TensorFlow has one of each.
    now = find(rated, "TensorFlow", "ecosystem", "now").stars
    assert now
    assert now.value == pytest.approx(2.0)


def test_an_archive_of_sources_is_for_no_number_of_platforms() -> None:
    archive = [uploaded("theano-0.8.2.tar.gz", "2016-04-21")]
    rated = rate([], MATRIX, listed(tensorflow=TENSORFLOWS, theano=archive))
    inputs = {entry.measured.what for entry in find(rated, "Theano", "ecosystem").inputs}
    assert inputs == {"quarters of the last year with a release"}
    # So only quarters count: two of four for TensorFlow, one for Theano.
    assert value(rated, "TensorFlow", "ecosystem") == pytest.approx(3.0)
    assert value(rated, "Theano", "ecosystem") == pytest.approx(2.0)


def test_a_single_system_of_a_row_is_compared_with_nothing_and_has_no_stars() -> None:
    rated = rate([], MATRIX, listed(tensorflow=TENSORFLOWS))
    assert find(rated, "TensorFlow", "ecosystem").inputs
    assert value(rated, "TensorFlow", "ecosystem") is None


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
    run = results(
        training=(
            trained(CAFFE, "lstm-small"),
            trained(CAFFE, "rnn-small", "crashed"),
            trained(TENSORFLOW1, "lstm-small"),
            trained(TENSORFLOW1, "rnn-small"),
        ),
        probes=(probed(CAFFE, "attention"),),
    )
    tables = {table.title: table for table in rating_tables.tables(rate([run], MATRIX, PACKAGES))}
    then = tables["Ratings then"]
    assert then.titles[:2] == ("area", "Caffe")
    assert [line.texts[1] for line in then.rows[:3]] == ["caffe", "3.0", "–"]
    inputs = tables["Inputs: modeling capability"]
    assert inputs.rows[0].texts[3:5] == ("1 of 2, without rnn-small (crashed)", "3.0")
    assert inputs.rows[-1].texts[1:5] == ("Caffe (caffe)", "then", "1 of 1", "–")
    assert "does not count" in inputs.note


def test_a_program_that_is_another_than_the_studys_has_its_own_name() -> None:
    then, now = rating_tables.stars(rate([], MATRIX, PACKAGES))
    assert then.titles[1:] == ("Caffe", "CNTK", "TensorFlow", "Theano", "torch 1.0.0")
    assert now.titles[1:] == ("TensorFlow", "PyTensor", "PyTorch", "JAX")
    assert "are PyTorch's" in then.note
    assert "no toolkit for deep learning" in now.note
    assert "other networks and platforms" in now.note, "no share of one period is of the other's"


# The inputs that count ------------------------------------------------------------------------


def test_the_systems_of_a_row_are_rated_by_the_same_inputs() -> None:
    run = results(
        training=tuple(trained(name, "lstm-small") for name in (CAFFE, CNTK, TENSORFLOW1)),
        probes=(probed(CAFFE, "attention", "unsupported"), probed(THEANO, "attention")),
    )
    rated = rate([run], MATRIX, PACKAGES)
    # Three systems have networks, two have probes, and one has both: three by one is largest.
    assert value(rated, "Caffe", "modeling capability") == MOST
    assert value(rated, "CNTK", "modeling capability") == MOST
    assert value(rated, "Theano", "modeling capability") is None


def test_of_two_tables_the_larger_counts_even_with_fewer_systems() -> None:
    rows = (trained(CAFFE, "lstm-small"), trained(TENSORFLOW1, "lstm-small", "crashed"))
    probes = [probed(name, "attention") for name in (CAFFE, TENSORFLOW1, THEANO)]
    rated = rate([results(training=rows, probes=tuple(probes))], MATRIX, PACKAGES)
    # Two systems by two inputs are four, three by one are three.
    assert value(rated, "TensorFlow", "modeling capability") == pytest.approx((LEAST + MOST) / 2)
    assert value(rated, "Theano", "modeling capability") is None


def test_a_loop_of_python_is_a_style_and_no_input() -> None:
    probes = [probed(name, "python_loop") for name in (CAFFE, TENSORFLOW1)]
    rating = find(
        rate([results(probes=tuple(probes))], MATRIX, PACKAGES), "Caffe", "modeling capability"
    )
    assert rating.inputs == ()


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
    cells = (loaded(CNTK, 10, ["numpy"]), loaded(TENSORFLOW1, 40, ["numpy", "six", "absl-py"]))
    run = results(
        cells=(*cells, cell(CAFFE)),
        probes=(probed(CAFFE, "own_layer"), probed(TENSORFLOW1, "own_layer")),
    )
    cntk, tensorflow = architecture(run, "CNTK"), architecture(run, "TensorFlow")
    assert cntk["packages that it brings along"] == "2 packages, 1.000× of the best"
    assert tensorflow["packages that it brings along"] == "4 packages, 2.000× of the best"
    assert tensorflow["size of its shared objects"] == "3 with 42 MB, 4.000× of the best"
    assert tensorflow["lines of a new layer"] == "3 lines, 1.000× of the best"
    assert architecture(run, "Caffe")["lines of a new layer"].startswith(
        "8 lines, 2.667× of the best"
    )


def test_metadata_that_names_no_package_says_nothing_of_those_that_come_along() -> None:
    requires: dict[str, list[str]] = {TORCH1: [], CNTK: ["numpy"], TENSORFLOW1: ["numpy", "six"]}
    run = results(cells=tuple(loaded(name, 1, names) for name, names in requires.items()))
    assert "packages that it brings along" not in architecture(run, "torch 1.0.0")
    assert architecture(run, "CNTK")["packages that it brings along"].startswith("2 packages, 1.0")


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


# Serving and platforms -------------------------------------------------------------------------


def measured(run: Results, system: str, area: str) -> dict[str, str]:
    rating = find(rate([run], MATRIX, PACKAGES), system, area)
    return {entry.measured.what: entry.measured.text for entry in rating.inputs}


def test_a_runtime_counts_by_the_share_of_the_models_that_it_serves() -> None:
    run = results(
        training=(
            trained(THEANO, "alexnet-small"),
            trained(THEANO, "vgg-a-small"),
            trained(THEANO, "lstm-small", "unsupported"),
        ),
        portability=(
            served(THEANO, ORT),
            served(THEANO, ORT, "error", model="vgg-a-small"),
            served(THEANO, ORT, "not-run", model="lstm-small"),
            served(THEANO, ARM, "drift"),
        ),
    )
    # A network that it did not train is no model; those that it trained are two, by two cells.
    assert measured(run, "Theano", "model deployment") == {
        "cells of runtimes that serve its models": f"1 of 4; 1 of 2 models: {ORT}; none: {ARM}"
    }
    assert measured(run, "Theano", "interfaces") == {
        "languages that serve its models": "1 of 4; 1 of 2 models: Python; none: C++"
    }


def test_languages_and_platforms_are_named_with_those_that_are_missing() -> None:
    run = results(
        training=(trained(THEANO, "alexnet-small"),),
        portability=(served(THEANO, ORT), served(THEANO, ARM, "drift")),
    )
    text = measured(run, "Theano", "interfaces")["languages that serve its models"]
    assert text == "1 of 2; its model: Python; none: C++"
    tables = {table.title: table for table in rating_tables.tables(rate([run], MATRIX, PACKAGES))}
    for area in ("interfaces", "model deployment", "cross-platform"):
        assert "are not independent" in tables[f"Inputs: {area}"].note


@pytest.mark.parametrize(
    ("name", "system"), [(CAFFE, "Caffe"), (CNTK, "CNTK"), (TORCH1, "torch 1.0.0")]
)
def test_what_a_library_that_was_not_tried_might_serve_is_no_share(name: str, system: str) -> None:
    rows = tuple(trained(name, network) for network in ("alexnet-small", "vgg-a-small"))
    verdicts = [served(name, ORT), served(name, ORT, "error", model="vgg-a-small")]
    run = results(training=rows, portability=tuple(verdicts))
    assert measured(run, system, "interfaces") == {}
    whole = results(training=rows[:1], portability=tuple(verdicts[:1]))
    (text,) = measured(whole, system, "interfaces").values()
    assert text == "1 of 1; its model: Python"


TRAINED = "platforms on which it trained"


def test_platforms_on_which_a_system_trained_are_counted() -> None:
    run = results(
        training=(
            *(trained(name, "alexnet-tiny") for name in (CAFFE, CAFFE_ARM, CNTK, THEANO)),
            trained(TENSORFLOW1, "alexnet-tiny", "crashed"),
        )
    )
    assert measured(run, "Caffe", "cross-platform")[TRAINED] == (
        "2 of 2: Linux on amd64, Linux on arm64"
    )
    for name, why in (("CNTK", "it is excluded on arm64"), ("Theano", "it could be tried there")):
        assert TRAINED not in measured(run, name, "cross-platform"), why
    assert TRAINED not in measured(run, "TensorFlow", "cross-platform"), "it trained nowhere"


def test_a_platform_on_which_training_failed_says_how() -> None:
    rows = [trained(name, "alexnet-tiny") for name in (CAFFE, CNTK, CAFFE_ARM, THEANO)]
    arm = THEANO.replace("amd64", "arm64")
    run = results(
        cells=(*CELLS, cell(arm)), training=(*rows, trained(arm, "alexnet-tiny", "timeout"))
    )
    text = measured(run, "Theano", "cross-platform")[TRAINED]
    assert text == "1 of 2: Linux on amd64; not Linux on arm64 (timeout)"


def test_one_platform_alone_is_no_input() -> None:
    rows = tuple(trained(name, "alexnet-tiny") for name in (CAFFE, CNTK))
    assert measured(results(training=rows), "Caffe", "cross-platform") == {}


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
