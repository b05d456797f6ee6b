"""The drawings of the HTML report show the numbers, and lead to the records, of their own lines."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from deepmatrix.drawing import numbers
from deepmatrix.reports import html
from deepmatrix.reports.html import latency, nodes, timeline, training, verdicts
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store.causes import CAUSE_FILE
from deepmatrix.store.records import record_path
from deepmatrix.store.runs import Run
from tests.unit.pages import drifting
from tests.unit.test_recorded import recorded  # noqa: F401 - a fixture

NOTHING = html.Evidence()


@pytest.fixture(scope="module")
def results(recorded: Path) -> Results:  # noqa: F811
    return merging.merge([Run.open(recorded / "recorded")])


def test_each_line_leads_to_the_records_of_its_own_job(
    recorded: Path,  # noqa: F811
    results: Results,
) -> None:
    evidence = html.Evidence(folder=recorded / "recorded")
    sections = verdicts.sections(results, verdicts.anchors(results), evidence)
    lines = [line for section in sections for line in section.lines]
    strips = [strip for group in latency.strips(results, evidence) for strip in group.strips]
    starts = latency.starts(results, evidence)
    assert starts
    trained = [row for each in training.trainings(results, evidence) for row in each.rows]
    parts = [
        [(line.judged.consumer, line.judged.artifact, line.links) for line in lines],
        [(strip.row.cell, strip.row.subject, strip.links) for strip in strips],
        [(start.row.cell, start.row.subject, start.links) for start in starts.starts],
        [(row.cell, row.workload, links) for row, links in trained],
    ]
    for part in parts:
        assert sum(bool(links) for *_, links in part) > len(part) / 2
        for cell, subject, links in part:
            folders = {str(Path(link.address).parent) for link in links}
            assert folders <= {f"records/{cell}/{subject}"}


def test_a_link_leads_to_a_file_whose_name_has_signs_of_addresses(tmp_path: Path) -> None:
    name = "causes/two words #1? 100%41 ä"
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
    (link,) = html.Evidence(folder=tmp_path).link(name, "cause")
    address = urlsplit(link.address)
    assert (address.query, address.fragment) == ("", "")
    assert unquote(address.path) == name


def test_a_cause_that_another_cell_was_searched_for_leads_to_its_files(tmp_path: Path) -> None:
    judged = next(row for row in drifting().portability if row.cause)
    assert judged.cause
    alike = judged.model_copy(update={"cause": judged.cause.changed(as_on="searched")})
    for consumer in ("searched", judged.consumer):
        folder = tmp_path / "causes" / f"{judged.title}--on--{consumer}"
        folder.mkdir(parents=True)
        (folder / CAUSE_FILE).touch()
    (link,) = html.Evidence(folder=tmp_path).of_cause(alike)
    assert link.address == f"causes/{judged.title}--on--searched/{CAUSE_FILE}"


def test_a_line_of_latency_has_its_own_numbers_and_places(results: Results) -> None:
    row = results.inference[0]
    timed = row.model_copy(
        update={
            "p50_s": replace(row.p50_s, low=1e-3, median=2e-3, high=3e-3),
            "p90_s": replace(row.p90_s, value=4e-3),
            "p99_s": replace(row.p99_s, value=5e-3),
            "range_s": (5e-4, 1.5e-3, 2.5e-3, 8e-3),
        }
    )
    results = results.model_copy(update={"inference": (timed,)})
    ((strip,),) = (group.strips for group in latency.strips(results, NOTHING))
    (low, high), (least, quarter, three_quarters, greatest) = strip.interval, strip.extent
    places = [least, low, quarter, strip.median, three_quarters, high, greatest]
    assert places == sorted(set(places))
    source = html.run_page(results, NOTHING)
    part = source[source.index('id="latency"') : source.index('id="starts"')]
    fields = re.findall(r'data-label="p\d\d" data-value="([^"]+)">([^<]+)<', part)
    assert [value for value, _ in fields] == ["0.002", "0.004", "0.005"]
    assert [text for _, text in fields] == [
        numbers.interval(timed.p50_s),
        numbers.duration(4e-3),
        numbers.duration(5e-3),
    ]


def test_a_cold_start_has_its_parts_in_their_order(results: Results) -> None:
    row = next(row for row in results.serving if row.start_s)
    assert row.start_s
    seconds = {"start_s": 16.0, "interpreter_s": 1.0, "import_s": 2.0, "load_s": 3.0}
    parts = {name: replace(row.start_s, median=value) for name, value in seconds.items()}
    parts["first_forward_s"] = replace(row.start_s, median=4.0)
    starts = latency.starts(
        results.model_copy(update={"serving": (row.model_copy(update=parts),)}), NOTHING
    )
    assert starts
    (start,) = starts.starts
    expected = [("container", 6.0), ("interpreter", 1.0), ("import", 2.0), ("load", 3.0)]
    assert [part[:2] for part in start.parts] == [*expected, ("first inference", 4.0)]
    widths = [width for *_, width in start.parts]
    assert [width / widths[1] for width in widths] == pytest.approx([6, 1, 2, 3, 4], abs=0.1)
    assert start.parts[2][2] == pytest.approx(start.parts[1][2] + widths[1], abs=0.11)


def test_no_cell_beats_one_on_the_frontier_in_both_time_and_size(results: Results) -> None:
    drawn = [group.costs for group in latency.costs(results, NOTHING)]
    for costs in drawn:
        memory = {cost.cell: cost.memory_bytes for cost in costs}
        for cost in costs:
            size = memory[cost.cell]
            if size is None:
                assert "memory" not in cost.frontier
                continue
            is_beaten = any(
                other.p50_s <= cost.p50_s and (memory[other.cell] or size) < size for other in costs
            )
            assert ("memory" in cost.frontier) != is_beaten, cost.cell
    assert {"memory" in cost.frontier for costs in drawn for cost in costs} == {True, False}


def test_a_lane_has_the_work_of_its_cell_and_a_slow_canary_low(results: Results) -> None:
    spans = [span for span in results.timeline if span.cell == results.timeline[0].cell]
    rated = tuple(spans[0].model_copy(update={"rate": rate}) for rate in (0.5, 1.0, 1.4))
    drawn = timeline.timeline(results.model_copy(update={"timeline": rated}), NOTHING)
    assert drawn
    (lane,) = drawn.lanes
    assert lane.work_s == pytest.approx(3 * spans[0].wall_s)
    slow, usual, fast = (mark.rate for mark in lane.marks)
    assert slow is not None
    assert usual is not None
    assert fast is not None
    assert slow > usual > fast  # of SVG, whose origin is at the top
    assert timeline.LANE / 3 <= usual <= 2 * timeline.LANE / 3


def test_a_lane_leads_to_a_noisy_job_or_to_that_which_took_longest(
    results: Results,
    recorded: Path,  # noqa: F811
) -> None:
    run = Run.open(recorded / "recorded")
    cell = results.timeline[0].cell
    spans = [span for span in results.timeline if span.cell == cell]
    records = {record.job: record for record in run.records() if record.cell == cell}
    assert all(span.wall_s > records[span.job].wall_s - 1e-3 for span in spans)
    assert max(records[span.job].wall_s for span in spans) == max(
        record.wall_s for record in records.values()
    )
    first = spans[0].model_copy(update={"noisy": False})
    last = spans[-1].model_copy(update={"noisy": True, "wall_s": 0.0})
    for shown, expected in (((first,), first), ((first, last), last)):
        drawn = timeline.timeline(
            results.model_copy(update={"timeline": shown}), html.Evidence(folder=run.path)
        )
        assert drawn
        (lane,) = drawn.lanes
        record = records[expected.job]
        path = record_path(record.cell, record.subject, record.round)
        assert [link.address for link in lane.links] == [path]


def heights(points: str) -> list[float]:
    return [float(point.split(",")[1]) for point in points.split()]


def test_a_curve_of_losses_is_drawn_above_gold_where_the_loss_is_larger(results: Results) -> None:
    row = next(row for row in results.training if row.losses)
    losses = ((0, 3.0, 2.0), (1, 2.0, 1.0), (2, 1.5, 0.5))
    trained = results.model_copy(update={"training": (row.model_copy(update={"losses": losses}),)})
    (drawn,) = (each.losses for each in training.trainings(trained, NOTHING))
    assert drawn
    (curve,) = drawn.curves
    pairs = zip(heights(curve.points), heights(drawn.gold), strict=True)
    assert all(loss < gold for loss, gold in pairs)
    assert heights(drawn.gold) == sorted(heights(drawn.gold))


def test_differences_of_losses_have_an_axis_that_holds_those_of_all_cells(results: Results) -> None:
    row = next(row for row in results.training if row.losses)
    growths = (((1, 1e-7), (10, 1e-6)), ((1, 1e-5), (100, 1e-2)))
    rows = tuple(row.model_copy(update={"loss_growth": growth}) for growth in growths)
    trained = results.model_copy(update={"training": rows})
    (drawn,) = (each.differences for each in training.trainings(trained, NOTHING))
    assert drawn
    assert (drawn.up.low, drawn.up.high) == pytest.approx((1e-7, 1e-2))
    small, large = (heights(curve.points) for curve in drawn.curves)
    assert large[-1] < large[0] < small[-1] < small[0]  # of SVG, whose origin is at the top


@pytest.mark.parametrize(
    ("errors", "worst"),
    [
        ((1e-6, 1e-3, 1e-5), "second"),
        ((1e-6, 1e-3, None), "third"),
        ((1e-6, 1e-3, math.nan), "third"),
        ((1e-6, math.inf, 1e-3), "second"),
    ],
)
def test_the_worst_cell_of_a_layer_is_that_with_the_largest_error(
    errors: tuple[float | None, ...], worst: str, results: Results
) -> None:
    row = results.training[0]
    rows = tuple(
        row.model_copy(update={"cell": cell, "layers": {"dense": error}, "gradients": {}})
        for cell, error in zip(("first", "second", "third"), errors, strict=True)
    )
    (trained,) = training.trainings(results.model_copy(update={"training": rows}), NOTHING)
    ((drawn,),) = (group.layers for group in trained.layers)
    assert drawn.worst_cell == worst
    assert [number for number, _ in drawn.places] == [
        number for number, error in enumerate(errors) if error is not None and math.isfinite(error)
    ]


def test_a_larger_error_of_a_node_is_drawn_higher() -> None:
    for graph in nodes.graphs(drifting(), NOTHING):
        places = [down for _, down in graph.dots]
        assert len(places) > 1
        assert places == sorted(places, reverse=True)


def test_a_verdict_has_its_own_error_tolerance_and_flips() -> None:
    results = drifting()
    judged = next(row for row in results.portability if row.outputs and row.error)
    output = judged.outputs[0].model_copy(update={"top1": 0.9, "flip_margin": 2e-3})
    changed = {"error": 3e-4, "tolerance": 1e-4, "outputs": (output,)}
    row = judged.model_copy(update=changed)
    page = html.run_page(results.model_copy(update={"portability": (row,)}), NOTHING)
    (line,) = re.findall(r"<tr id=\"v0\".*?</tr>\n", page, re.DOTALL)
    plain = re.findall(r'<td class="number">([^<]*)</td>', line)
    assert plain == [numbers.error(3e-4), numbers.error(1e-4)]
    (flips,) = re.findall(r'data-label="top-1 flips">([^<]*)<', line)
    assert flips == f"{numbers.share(1 - 0.9)}, margin {numbers.error(2e-3)}"


def test_a_field_of_the_map_leads_to_the_line_of_its_model_and_cell(results: Results) -> None:
    places = verdicts.anchors(results)
    lines = {
        line.anchor: line.judged
        for section in verdicts.sections(results, places, NOTHING)
        for line in section.lines
    }
    for drawn in verdicts.maps(results, places):
        for title, fields in drawn.rows:
            for consumer, field in zip(drawn.consumers, fields, strict=True):
                if field:
                    judged = lines[field[1]]
                    assert judged == field[0]
                    assert (verdicts.short_title(judged), judged.consumer) == (title, consumer)


def test_a_finding_leads_to_the_line_of_its_verdict() -> None:
    page = html.run_page(drifting(), NOTHING)
    findings = re.findall(
        r'<article class="finding.*?href="#(v\d+)">.*?</a></span> on <span class="name">([^<]+)<',
        page,
        re.DOTALL,
    )
    assert len({anchor for anchor, _ in findings}) == len(findings) > 1
    for anchor, consumer in findings:
        assert re.search(f'<tr id="{anchor}"[^>]*><th scope="row">{consumer}\\b', page)
