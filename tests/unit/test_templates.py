"""The templates of the HTML report put each number into its own column, and each mark in place."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from deepmatrix.drawing import numbers
from deepmatrix.drawing.verdicts import SIGNS
from deepmatrix.reports import html
from deepmatrix.reports.html import nodes
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store.runs import Run
from tests.unit.pages import drifting, many_series
from tests.unit.test_recorded import recorded  # noqa: F401 - a fixture

NOTHING = html.Evidence()


@pytest.fixture(scope="module")
def results(recorded: Path) -> Results:  # noqa: F811
    return merging.merge([Run.open(recorded / "recorded")])


def part_of(results: Results, anchor: str) -> str:
    """Return the source of the part of a page that a heading begins."""
    source = html.run_page(results, NOTHING)
    begin = source.index(f'id="{anchor}"')
    return source[begin : source.index("</section>", begin)]


def labelled(source: str) -> dict[str, str]:
    """Return the texts of fields by their labels; of several lines, those of the last."""
    fields = re.findall(r'data-label="([^"]+)"[^>]*>(.*?)</td>', source)
    return {label: re.sub("<[^>]*>", "", text) for label, text in fields}


def test_each_column_of_a_training_has_its_own_number(results: Results) -> None:
    errors = {"output_error": 1e-7, "gradient_error": 2e-6, "loss_error_all": 3e-5}
    shares = {"accuracy": 0.25, "accuracy_wanted": 0.5, "guessed_accuracy": 0.1}
    row = next(row for row in results.training if row.step_s)
    row = row.model_copy(update={**errors, **shares, "greedy_accuracy": None})
    fields = labelled(part_of(results.model_copy(update={"training": (row,)}), "training"))
    assert fields == {
        "step": numbers.interval(row.step_s),
        "accuracy": numbers.share(0.25),
        "output error": numbers.error(1e-7),
        "gradient error": numbers.error(2e-6),
        "loss error": numbers.error(3e-5),
    }


def test_a_curve_is_called_by_its_own_cell(results: Results) -> None:
    row = next(row for row in results.training if row.losses)
    rows = tuple(row.model_copy(update={"cell": cell}) for cell in ("first", "second"))
    titles = re.findall(
        r"<title>(\w+)</title>", part_of(results.model_copy(update={"training": rows}), "training")
    )
    assert titles[:2] == ["first", "second"]


def test_memory_and_images_have_their_own_columns_and_drawings(results: Results) -> None:
    sizes = {"serving_memory_bytes": 3_000_000, "image_bytes": 7_000_000_000}
    cells = tuple(cell.model_copy(update=sizes) for cell in results.cells)
    source = part_of(results.model_copy(update={"cells": cells}), "costs")
    fields = labelled(source)
    assert fields["memory"] == numbers.size(3_000_000)
    assert fields["image"] == numbers.size(7_000_000_000)
    drawings = re.findall(r"<figcaption>(\w+) over.*?</figure>", source, re.DOTALL)
    units = [
        set(re.findall(r'class="left"[^>]*>[^<]*(MB|GB)<', drawn))
        for drawn in re.findall(r"<figcaption>.*?</figure>", source, re.DOTALL)
    ]
    assert drawings[:2] == ["Memory", "Image"]
    assert units[:2] == [{"MB"}, {"GB"}]


def test_only_a_noisy_job_is_marked_and_counted(results: Results) -> None:
    span = results.timeline[0]
    spans = tuple(
        span.model_copy(update={"noisy": noisy, "jobs": 5, "start_s": start})
        for noisy, start in ((0, 0.0), (1, 10.0), (0, 20.0))
    )
    source = part_of(results.model_copy(update={"timeline": spans}), "timeline")
    assert ["noisy" in rect for rect in re.findall(r"<rect[^>]*>", source)] == [False, True, False]
    fields = labelled(source)
    assert (fields["jobs"], fields["noisy"]) == ("15", "▲ 1")


def test_the_marks_of_a_strip_are_its_interval_around_its_median(results: Results) -> None:
    row = results.inference[0]
    p50 = replace(row.p50_s, low=1e-3, median=2e-3, high=3e-3)
    rows = tuple(
        row.model_copy(update={"p50_s": p50, "batch": batch, "samples_per_s": rate})
        for batch, rate in ((1, 10.0), (2, 40.0))
    )
    source = part_of(results.model_copy(update={"inference": rows}), "latency")
    ((low, high), *_) = re.findall(r'class="interval" d="M([\d.]+) 7H([\d.]+)"', source)
    (median, *_) = re.findall(r'class="median" d="M([\d.]+) 1v12"', source)
    assert float(low) < float(median) < float(high)
    bars = [float(width) for width in re.findall(r'class="bar"><rect width="([\d.]+)"', source)]
    assert bars[1] == pytest.approx(4 * bars[0])


def test_the_marks_of_an_axis_have_their_own_labels(results: Results) -> None:
    source = part_of(results, "latency")
    (axis, *_) = re.findall(r'<svg class="axis".*?</svg>', source)
    labels = re.findall(r">([^<>]+)</text>", axis)
    assert len(set(labels)) == len(labels) > 1


def test_every_field_of_the_map_has_the_sign_of_its_verdict() -> None:
    fields = re.findall(
        r'<td class="v-([a-z-]+)[^"]*"><a[^>]*aria-label="([\w ]+?) ?[^ "]*">(.)',
        part_of(drifting(), "map"),
    )
    assert {verdict for verdict, *_ in fields} > {"match", "drift"}
    for verdict, _, sign in fields:
        if verdict != "judge":
            assert sign == SIGNS[verdict], verdict


def test_the_dot_of_a_verdict_is_its_error_and_the_bar_its_tolerance() -> None:
    results = drifting()
    judged = next(row for row in results.portability if row.error and row.outputs)
    output = judged.outputs[0].model_copy(update={"max_abs": 7e-3, "cosine": 0.5, "top1": 0.9})
    row = judged.model_copy(
        update={"error": 1e-6, "tolerance": 1e-3, "outputs": (output,), "isa": "avx2_isa"}
    )
    source = part_of(results.model_copy(update={"portability": (row,)}), "verdicts")
    (dot,) = re.findall(r'<circle cx="([\d.]+)"', source)
    (bar,) = re.findall(r'class="tolerance" d="M([\d.]+) ', source)
    assert float(dot) < float(bar)
    fields = labelled(source)
    assert fields["largest difference"] == numbers.error(7e-3)
    assert fields["cosine"] == numbers.cosine(0.5)
    assert "avx2_isa" in source


def test_a_graph_has_a_cross_where_a_node_has_no_number_and_the_errors_of_the_first_wrong() -> None:
    results = drifting()
    errors = ((0, 1e-6), (60, None), (121, 1e-3))
    rows = tuple(row.model_copy(update={"errors": errors}) for row in results.nodes)
    results = results.model_copy(update={"nodes": rows})
    drawn = [graph for graph in nodes.graphs(results, NOTHING) if graph.first_wrong]
    source = part_of(results, "nodes")
    crosses = re.findall(r'class="broken" d="M([\d.]+) ', source)
    middle = nodes.WIDTH / 2
    assert len(crosses) == len(rows)
    assert all(abs(float(cross) - middle) < 10 for cross in crosses)
    for graph in drawn:
        wrong = graph.first_wrong
        assert wrong
        figures = f"error {numbers.error(wrong.error)}, tolerance {numbers.error(wrong.tolerance)}."
        assert figures in source


def test_the_level_of_a_history_lies_among_its_runs() -> None:
    source = html.history_page(many_series(count=1))
    levels = re.findall(r'class="level" d="M([\d.]+) ([\d.]+)H([\d.]+)"', source)
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', source)
    assert len(levels) == 2
    for begin, height, end in levels:
        heights = [float(y) for x, y in dots if float(begin) <= float(x) <= float(end)]
        assert min(heights) <= float(height) <= max(heights)
