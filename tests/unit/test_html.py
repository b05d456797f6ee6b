"""The HTML report: what it shows, that names stay text, where its links lead, how large it is."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest

from deepmatrix import reports
from deepmatrix.boundary.writing import write_text
from deepmatrix.cli import main
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.limits import time_title
from deepmatrix.conformance import suite
from deepmatrix.drawing import escaping, layout, numbers
from deepmatrix.drawing.verdicts import SIGNS
from deepmatrix.engines import Prepared
from deepmatrix.reports import html, markdown
from deepmatrix.reports.html import latency, scales, verdicts
from deepmatrix.reports.html.scales import Scale
from deepmatrix.reports.tables.comparison import MOST_LINES
from deepmatrix.reports.tables.own_models import headlines
from deepmatrix.results import merging, remarks
from deepmatrix.store.causes import CauseKind, NodeError, NodeErrors
from deepmatrix.store.records import image_path, log_path, paths_of_job, record_path
from deepmatrix.store.runs import Run
from tests.unit import verifications
from tests.unit.pages import (
    HOSTILE,
    Page,
    compared,
    default_run,
    drifting,
    empty,
    hostile,
    idle,
    many_series,
    page_of,
    two_runs,
)
from tests.unit.test_alike import NATIVE, answered
from tests.unit.test_conformance import conformity
from tests.unit.test_recorded import recorded  # noqa: F401 - a fixture
from tests.unit.test_results import whole

#: What a page of the default preset may have, in bytes.
LARGEST = 1_000_000


def test_the_first_words_are_the_verdict_and_the_cause_of_what_is_wrong() -> None:
    results = drifting()
    text = page_of(results).text
    headline, _ = headlines.headline(results, results.models[0])
    places = [
        text.index(words) for words in (headline, verifications.CAUSE.text, "Map of verdicts")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize("problems", [(), ("'nosuch*' matches no cell",)])
def test_a_run_without_cells_says_that_nothing_ran_and_why(problems: tuple[str, ...]) -> None:
    results = empty(*problems)
    page = page_of(results).text
    assert f"Run {results.run}" in page
    assert "✗ Nothing ran" in page
    assert all(problem in page for problem in problems)
    assert "all as expected" not in (page + markdown.document(results)).lower()


def test_a_model_that_only_its_evaluator_served_is_no_success() -> None:
    results = verifications.results()
    judging = tuple(row for row in results.portability if row.judges)
    alone = results.model_copy(update={"portability": judging, "problems": ()})
    source = html.run_page(alone, html.Evidence())
    assert "served by nothing but the evaluator" in Page(source).text
    assert 'class="headline m-warned"' in source
    assert "✓" not in source[: source.index("<main")].partition("<body>")[2]


def test_only_a_matrix_names_its_preset(tmp_path: Path) -> None:
    assert "preset" not in page_of(drifting()).text.partition("Map of verdicts")[0]
    assert "preset default, seed 0" in page_of(merging.merge([whole(tmp_path)])).text


def test_what_is_wrong_has_its_node_and_the_command_that_shows_it_again() -> None:
    text = page_of(drifting()).text
    assert f"First wrong node: {verifications.CAUSE.node}" in text
    assert f"See it again: {verifications.CAUSE.reproduce}" in text


@pytest.mark.parametrize("kind", ["fusion", "unfinished"])
def test_a_node_is_called_the_first_wrong_one_only_where_it_is(kind: CauseKind) -> None:
    results = drifting()
    text = f"an optimisation across Conv '{verifications.CAUSE.node}' is wrong"
    cause = verifications.CAUSE.model_copy(update={"kind": kind, "text": text})
    rows = tuple(
        row.model_copy(update={"cause": cause}) if row.cause else row for row in results.portability
    )
    findings = page_of(results.model_copy(update={"portability": rows})).text
    findings, _, _ = findings.partition("Map of verdicts")
    assert text in findings
    assert "First wrong node" not in findings


def test_where_gold_is_from_names_the_models_that_differ_in_it() -> None:
    results = drifting()
    judged = results.models[0]
    without = judged.model_copy(update={"name": "unjudged", "judged_by": {}})
    alike = judged.model_copy(update={"name": "alike"})
    line = headlines.judge_line(judged)
    single = page_of(results).text.partition("Map of verdicts")[0]
    assert line in single
    assert f"{judged.name}: {line}" not in single
    several = results.model_copy(update={"models": (judged, without, alike)})
    head = page_of(several).text.partition("Map of verdicts")[0]
    assert f"{judged.name}, alike: {line}" in head
    assert "unjudged: gold: nothing gives the right values" in head


def test_the_first_screen_says_how_many_cells_did_not_run_and_why() -> None:
    head = page_of(idle()).text.partition("Map of verdicts")[0]
    assert "2 cells did not run: the engine has no NVIDIA runtime" in head
    assert "1 cell did not run: excluded by --native" in head


@pytest.mark.parametrize(
    ("error", "times"), [(1.5e-3, "15"), (0.0999, "999"), (92.2, "more than 999")]
)
def test_how_far_beyond_its_tolerance_an_error_is_needs_no_exponent(
    error: float, times: str
) -> None:
    results = drifting()
    rows = tuple(
        row.model_copy(update={"error": error, "tolerance": 1e-4}) if row.cause else row
        for row in results.portability
    )
    findings = page_of(results.model_copy(update={"portability": rows})).text
    assert f"error {error:.1e}, {times} times its tolerance" in findings


def test_a_matrix_says_what_its_errors_are_measured_against(tmp_path: Path) -> None:
    text = page_of(merging.merge([whole(tmp_path)])).text
    assert "Gold is the right result, in float64 if possible." in text


def test_the_data_and_the_tables_of_a_run_are_linked_where_they_are(tmp_path: Path) -> None:
    run = whole(tmp_path)
    results = merging.merge([run])
    assert not {"results.json", "report.md"} & set(page_of(results, run.path).links)
    reports.write(run, results)
    links = Page((run.path / "report.html").read_text()).links
    assert {"results.json", "report.md"} <= set(links)


def test_what_is_no_verdict_stands_before_what_a_runtime_cannot_serve() -> None:
    results = drifting()
    problem = "the model is not served: it is a pointer to a file"
    page = page_of(results.model_copy(update={"problems": (*results.problems, problem)})).text
    findings = page.partition("Map of verdicts")[0]
    places = [findings.index(words) for words in ("≠ drift", problem, "⊘ unsupported")]
    assert places == sorted(places)


def test_expected_failures_are_a_part_that_the_first_screen_leads_to() -> None:
    results = drifting().model_copy(update={"findings": ("as the standard says", "and so on")})
    page = page_of(results)
    assert "2 expected failures" in page.text.partition("Map of verdicts")[0]
    assert "#expected" in page.links
    assert "#expected" not in page_of(drifting()).links


def test_the_map_says_which_cells_ran_emulated(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    map_of = next(iter(verdicts.maps(results, {})))
    emulated = {row.consumer for row in results.portability if row.emulated}
    assert emulated == set(map_of.consumers[-map_of.emulated :])
    groups = [each for each in page_of(results).named("th") if each.get("scope") == "colgroup"]
    native = len(map_of.consumers) - len(emulated)
    assert [int(group["colspan"]) for group in groups[:2]] == [native, len(emulated)]


def test_a_map_of_native_cells_alone_names_no_kinds() -> None:
    rows = tuple(row for row in drifting().portability if not row.emulated)
    page = page_of(drifting().model_copy(update={"portability": rows}))
    assert all(each.get("scope") != "colgroup" for each in page.named("th"))


def test_a_cause_that_consumers_share_is_told_once() -> None:
    results = drifting()
    wrong = next(row for row in results.portability if row.cause)
    assert wrong.cause
    text = f"as on {wrong.consumer}: {wrong.cause.text}"
    cause = wrong.cause.model_copy(update={"as_on": wrong.consumer, "text": text})
    alike = next(row for row in results.portability if row.verdict == "match" and not row.judges)
    both = results.model_copy(
        update={
            "portability": (
                *(row for row in results.portability if row is not alike),
                drifted := alike.model_copy(update={"verdict": "drift", "cause": cause}),
            ),
            "problems": (*results.problems, remarks.row_problem(drifted)),
        }
    )
    findings, _, lines = page_of(both).text.partition("Map of verdicts")
    assert findings.count(verifications.CAUSE.text) == 1
    assert findings.count(verifications.CAUSE.reproduce) == 1
    assert f"as on {wrong.consumer} " in findings
    assert lines.count(verifications.CAUSE.text) == 2


def test_a_match_that_proves_little_says_so_in_its_line_and_on_the_first_screen() -> None:
    good = verifications.results()
    matching = next(row for row in good.portability if row.verdict == "match" and row.outputs)
    caution = "160 of 160 values overflow in the model's own precision"
    output = matching.outputs[0].model_copy(update={"caution": caution})
    doubtful = matching.model_copy(update={"outputs": (output,)})
    rows = tuple(doubtful if row is matching else row for row in good.portability)
    page = page_of(
        good.model_copy(update={"portability": rows, "warnings": ("take care", "and here")})
    )
    head, _, lines = page.text.partition("Map of verdicts")
    assert "2 warnings" in head
    assert "#warnings" in page.links
    assert lines.count(f"Proves little: {caution}.") == 1


def test_a_consumer_of_less_precision_says_what_gives_it_float32() -> None:
    results = verifications.results()
    reduced = next(row for row in results.portability if row.is_reduced and row.error is not None)
    cells = tuple(
        cell.model_copy(update={"float32_by": "HINT=f32"})
        if cell.cell == reduced.consumer
        else cell
        for cell in results.cells
    )
    text = page_of(results.model_copy(update={"cells": cells})).text
    assert f"{reduced.precision} by default: set HINT=f32." in text


def test_float32_is_no_advice_where_it_is_wrong_alike() -> None:
    results = drifting()
    reduced = next(row for row in results.portability if row.is_reduced and row.cause)
    float32 = next(row for row in results.portability if row.precision == "float32")
    assert reduced.cause
    alike = reduced.cause.model_copy(update={"as_on": float32.consumer})
    rows = tuple(
        row.model_copy(update={"cause": alike}) if row is reduced else row
        for row in results.portability
    )
    cells = tuple(
        cell.model_copy(update={"float32_by": "HINT=f32"})
        if cell.cell == reduced.consumer
        else cell
        for cell in results.cells
    )
    asked = results.model_copy(update={"cells": cells})
    assert "set HINT=f32" in page_of(asked).text
    text = page_of(asked.model_copy(update={"portability": rows})).text
    assert f"{reduced.precision} by default." in text
    assert "set HINT=f32" not in text


def test_a_long_reason_that_many_share_is_told_once() -> None:
    results = drifting()
    reason = "infer: RuntimeError: " + "the engine went away " * 9
    failed = {"verdict": "error", "reason": reason, "cause": None}
    rows = tuple(row.model_copy(update=failed) for row in results.portability if not row.judges)
    problems = tuple(map(remarks.row_problem, rows))
    wrong = results.model_copy(update={"portability": rows, "problems": problems})
    findings, _, _ = page_of(wrong).text.partition("Map of verdicts")
    assert findings.count(reason.strip()) == 1
    assert findings.count("as on ") == len(rows) - 1
    assert all(row.consumer in findings for row in rows)


def test_a_graph_has_the_inputs_and_the_command_of_its_fault(tmp_path: Path) -> None:
    results = drifting()
    wrong = next(row for row in results.portability if row.cause)
    folder = tmp_path / "causes" / f"{wrong.title}--on--{wrong.consumer}"
    folder.mkdir(parents=True)
    (folder / "inputs.npz").write_bytes(b"")
    page = page_of(results, tmp_path)
    _, _, graph = page.text.partition("Errors along the graph")
    assert f"See it again: {verifications.CAUSE.reproduce}" in graph
    assert "its inputs" in graph


def test_the_first_wrong_node_of_a_large_graph_is_marked(tmp_path: Path) -> None:
    run = answered(tmp_path, {NATIVE: 0.3})
    (artifact,) = run.manifest.plan.artifacts()
    errors = [1e-8] * 501 + [1e-3] + [1e-2] * 498
    nodes = tuple(
        NodeError(
            node=f"n{at}", kind="Conv", tensor=f"t{at}", error=error, added=0.0, tolerance=1e-6
        )
        for at, error in enumerate(errors)
    )
    measured = NodeErrors(artifact=artifact.id, consumer=NATIVE, nodes=nodes)
    write_text(run.node_errors_path(artifact.id, NATIVE), measured.model_dump_json())
    page = page_of(merging.merge([run]))
    (mark,) = (each for each in page.named("path") if each.get("class") == "first-wrong")
    place = float(mark["d"].removeprefix("M").split()[0])
    assert place == pytest.approx(600 * 501 / 999, abs=0.1)


def test_a_graph_without_an_error_says_that_all_are_zero() -> None:
    results = drifting()
    errors = ((0, 0.0), (1, None), (2, 0.0))
    (row,) = (each.model_copy(update={"errors": errors}) for each in results.nodes)
    text = page_of(results.model_copy(update={"nodes": (row,)})).text
    assert "and zero at its bottom" in text
    assert "All errors that have a number are zero." in text
    assert "No node has a number" not in text


def test_a_training_or_an_image_that_failed_is_linked_on_the_first_screen(tmp_path: Path) -> None:
    run = whole(tmp_path)
    results = merging.merge([run])
    trained, cell = results.training[0], results.cells[0]
    failed = trained.model_copy(update={"status": "error", "reason": "RuntimeError: no kernel"})
    unbuilt = cell.model_copy(update={"status": "build-failed", "reason": "no wheel"})
    for path in (log_path(trained.cell, trained.workload), image_path(cell.cell)):
        (run.path / path).parent.mkdir(exist_ok=True)
        (run.path / path).touch()
    changes = {
        "training": (failed, *results.training[1:]),
        "cells": (unbuilt, *results.cells[1:]),
        "problems": (remarks.row_problem(failed), remarks.cell_problem(unbuilt)),
    }
    source = html.run_page(results.model_copy(update=changes), html.Evidence(folder=run.path))
    links = Page(source[: source.index('id="map"')]).links
    assert {
        record_path(trained.cell, trained.workload),
        log_path(trained.cell, trained.workload),
        image_path(cell.cell),
    } <= set(links)


def test_the_worst_verdict_sorts_first_and_an_expected_failure_after_all_others() -> None:
    results = drifting()
    drift = next(row for row in results.portability if row.verdict == "drift")
    changes: dict[str, dict[str, object]] = {
        "close match": {"verdict": "match", "error": 0.9},
        "expected error": {"verdict": "error", "error": None, "expected_failure": "known"},
        "unsupported": {"verdict": "unsupported", "error": None},
        "drift of twice": {"error": 2.0},
        "drift of ten times": {"error": 10.0},
        "drift of a million times": {"error": 1e6},
        "drift without a number": {"error": None},
        "error": {"verdict": "error", "error": None},
    }
    rows = tuple(
        drift.model_copy(update={"consumer": name, "tolerance": 1.0, **fields})
        for name, fields in changes.items()
    )
    shuffled = results.model_copy(update={"portability": rows[::-1]})
    (section,) = verdicts.sections(shuffled, verdicts.anchors(shuffled), html.Evidence())
    lines = sorted(section.lines, key=lambda line: line.badness)
    assert [line.judged.consumer for line in lines] == list(changes)
    assert {line.judged.consumer: line.sign for line in lines}["expected error"] == "~"


def test_an_expected_failure_is_told_apart_without_colour_on_the_page() -> None:
    results = drifting()
    changes = {"verdict": "error", "expected_failure": "known"}
    rows = tuple(row.model_copy(update=changes) for row in results.portability)
    text = page_of(results.model_copy(update={"portability": rows})).text
    assert re.search(r"~ \d+ expected failures", text)
    assert "~ expected failure" in text.partition("Map of verdicts")[2]
    assert "~ error" in text


def test_every_verdict_has_its_word_its_sign_and_its_number() -> None:
    results = drifting()
    page = page_of(results)
    lines = [attributes for attributes in page.named("tr") if "data-verdict" in attributes]
    assert sorted(line["data-verdict"] for line in lines) == sorted(
        row.verdict for row in results.portability
    )
    for row in results.portability:
        assert row.consumer in page.text
        if row.error is not None:
            assert f"{row.error:.1e}" in page.text
    for word, sign in SIGNS.items():
        assert f"{sign} {word.replace('-', ' ')}" in page.text or word == "not-run"


def test_a_run_shows_training_latency_starts_and_time(tmp_path: Path) -> None:
    page = page_of(merging.merge([whole(tmp_path)]))
    headings = {attributes.get("id") for attributes in page.named("h2")}
    assert {"map", "verdicts", "latency", "costs", "training", "tables"} <= headings
    assert page.named("polyline")


def test_sixteen_cells_that_train_are_told_apart(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    row = next(each for each in results.training if each.losses)
    page = page_of(results.model_copy(update={"training": (row,) * 16}))
    icons = [each["class"] for each in page.named("circle") if each.get("r") == "5"]
    assert len(set(icons)) == 16
    curves = {each["class"] for each in page.named("polyline")}
    assert curves - {"gold"} == set(icons)


def test_trainings_of_a_cell_on_two_machines_are_told_apart(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    row = next(each for each in results.training if each.gradients)
    names = ("first", "second", "third")
    rows = tuple(
        row.model_copy(update={"machine": name, "gradients": {"weights": 10.0**-number}})
        for number, name in enumerate(names, 4)
    )
    page = page_of(results.model_copy(update={"training": rows}))
    assert all(f"on {name}" in page.text for name in names)
    icons = [each["class"] for each in page.named("circle") if each.get("r") == "5"]
    dots = [each["class"] for each in page.named("circle") if "class" in each and "r" not in each]
    assert dots[-len(names) :] == icons


def test_the_recorded_run_shows_its_timeline_and_cold_starts(recorded: Path) -> None:  # noqa: F811
    run = reports.Run.open(recorded / "recorded")
    page = page_of(merging.merge([run]), run.path)
    assert "UTC, on Intel(R) Xeon(R) Processor" in page.text.partition("Map of verdicts")[0]
    assert {"timeline", "starts"} <= {attributes.get("id") for attributes in page.named("h2")}


def tags_of(page: Page) -> list[str]:
    """Return the tags of a page, without those around long names."""
    return [tag for tag, attributes in page.tags if attributes.get("class") != "scrolled"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_and_nothing_else(name: str) -> None:
    plain, page = page_of(hostile("plain")), page_of(hostile(name))
    assert tags_of(page) == tags_of(plain)
    assert " ".join(escaping.terminal_lines(name).split()) in page.text


@pytest.mark.parametrize("name", HOSTILE)
def test_no_character_of_a_name_is_unseen_or_turns_text_around(name: str) -> None:
    source = html.run_page(hostile(name), html.Evidence())
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", source)


def test_no_tag_has_a_handler_a_style_or_an_address_elsewhere() -> None:
    for name in HOSTILE:
        for tag, attributes in page_of(hostile(name)).tags:
            assert not [key for key in attributes if key.startswith("on") or key == "style"]
            assert tag not in ("img", "link", "iframe", "object", "embed", "base")
            assert "src" not in attributes
            assert not re.match(r"[\w+.-]+:|//", attributes.get("href", ""))


def test_every_very_long_text_is_scrolled_in_a_place_of_its_own(tmp_path: Path) -> None:
    text = "n" * 5000
    results = merging.merge([whole(tmp_path)])
    rows = tuple(
        row.model_copy(update={"status": "error", "reason": text}) for row in results.training
    )
    for shown in (hostile(text), results.model_copy(update={"training": rows})):
        body = html.run_page(shown, html.Evidence()).partition("</head>")[2]
        pieces = re.split("(<[^>]*>)", body)
        is_text = [text in after and after[0] != "<" for after in pieces[1:]]
        assert {tag for tag, is_after in zip(pieces, is_text, strict=False) if is_after} == {
            '<span class="scrolled" tabindex="0">'
        }


def test_a_graph_without_a_number_still_has_its_note() -> None:
    results = drifting()
    (row,) = (each.model_copy(update={"errors": ()}) for each in results.nodes)
    page = page_of(results.model_copy(update={"nodes": (row,)}))
    assert "No node has a number." in page.text
    assert row.note in page.text


def test_the_policy_allows_the_own_script_and_style_and_nothing_else() -> None:
    source = html.run_page(drifting(), html.Evidence())
    page = Page(source)
    policy = next(meta["content"] for meta in page.named("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        text = re.search(f"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        assert text
        digest = base64.b64encode(hashlib.sha256(text[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_link_leads_to_a_place_in_the_page_or_to_a_file_that_exists(tmp_path: Path) -> None:
    run = whole(tmp_path)
    (run.path / "logs").mkdir()
    for written in run.records():
        (run.path / "logs" / f"{written.job}.log").write_text("a log")
    reports.write(run, merging.merge([run]))
    page = Page((run.path / "report.html").read_text())
    places = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    files = [link for link in page.links if not link.startswith("#")]
    assert any(link.startswith("records/") for link in files)
    assert any(link.startswith("logs/") for link in files)
    for link in page.links:
        assert link[1:] in places if link[0] == "#" else (run.path / unquote(link)).is_file()


@pytest.mark.parametrize(
    ("title", "file"),
    [
        ("Start-up", r'records/[^"]+/r0\.json'),
        ("Training", r'records/[^"]+/r0\.json'),
        ("Cells", r'builds/[^"]+\.json'),
        ("Deployment", r'builds/[^"]+\.json'),
    ],
)
def test_each_line_of_a_table_leads_to_its_evidence(title: str, file: str, tmp_path: Path) -> None:
    run = whole(tmp_path)
    cells = [cell.id for cell in run.manifest.plan.cells]
    run.save_prepared({name: Prepared(cell_id=name, reference="image") for name in cells})
    reports.write(run, merging.merge([run]))
    page = (run.path / "report.html").read_text()
    table = re.search(rf"<h\d>{title}</h\d>.*?<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert table
    rows = re.findall(r"<tr>(.*?)</tr>", table[1], re.DOTALL)
    lines = [line for line in rows if "not run: " not in line]
    assert lines
    assert all(re.search(f'<a class="key" href="{file}">', line) for line in lines)


def test_memory_and_the_size_of_the_image_are_drawn_over_latency(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    cells = tuple(cell.model_copy(update={"image_bytes": 10**9}) for cell in results.cells)
    page = html.run_page(results.model_copy(update={"cells": cells}), html.Evidence())
    workloads = {row.workload for row in results.inference}
    for what in ("Memory", "Image"):
        assert page.count(f"<figcaption>{what} over latency") == len(workloads)


def test_of_very_many_cells_only_those_on_the_frontier_have_their_number_in_a_drawing(
    tmp_path: Path,
) -> None:
    results = merging.merge([whole(tmp_path)])
    row = results.inference[0]
    cell = next(each for each in results.cells if each.cell == row.cell)
    known = {"image_bytes": 10**9, "serving_memory_bytes": 10**8}
    names = [f"{row.cell}-{number}" for number in range(latency.MOST_LABELS + 1)]
    many = {
        "cells": tuple(cell.model_copy(update={"cell": name, **known}) for name in names),
        "inference": tuple(row.model_copy(update={"cell": name}) for name in names),
    }
    (costs,) = latency.costs(results.model_copy(update=many), html.Evidence())
    for drawn in costs.scatters:
        assert len(drawn.dots) == len(names)
        assert [dot.is_best for dot in drawn.dots if dot.label] == [True]


def test_a_cost_leads_to_its_record_and_says_what_memory_was_measured_of(tmp_path: Path) -> None:
    run = whole(tmp_path)
    results = merging.merge([run])
    cells = tuple(
        cell.model_copy(update={"serving_memory_bytes": 10**8, "serving_memory_of": "digits-lstm"})
        for cell in results.cells
    )
    source = html.run_page(
        results.model_copy(update={"cells": cells}), html.Evidence(folder=run.path)
    )
    costs = source[source.index('id="costs"') :].partition("</section>")[0]
    assert "has served one model: digits-lstm." in costs
    lines = re.findall("<tr>.*?</tr>", costs.partition("<tbody>")[2])
    fastest = min(results.inference, key=lambda row: (row.batch, row.p50_s.median))
    assert any(
        f'<th scope="row">{fastest.cell}<' in line
        and record_path(fastest.cell, fastest.subject) in line
        for line in lines
    )


def test_a_table_that_is_too_long_for_the_page_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("deepmatrix.reports.html.pages.MOST_ROWS", 2)
    text = page_of(merging.merge([whole(tmp_path)])).text
    _, _, unlisted = text.partition("Too long for this page")
    assert "Cells" in unlisted
    assert "Start-up" in unlisted


def test_a_page_says_how_many_warnings_and_outputs_it_leaves_out() -> None:
    results = verifications.results()
    judged = next(row for row in results.portability if row.outputs)
    source = html.run_page(
        results.model_copy(
            update={
                "warnings": tuple(f"warning {number}" for number in range(2_001)),
                "portability": (judged.model_copy(update={"outputs": judged.outputs[:1] * 103}),),
            }
        ),
        html.Evidence(),
    )
    assert "1 more is in <code>results.json</code>" in source
    assert "3 more are in <code>results.json</code>" in source


def files_of(page: Path) -> list[str]:
    """Return the files that a page links; each exists, seen from the page."""
    links = [unquote(link) for link in Page(page.read_text()).links if link[0] != "#"]
    assert [link for link in links if not (page.parent / link).is_file()] == []
    return links


@pytest.mark.parametrize("place", ["page.html", "pages/page.html", "after/page.html"])
def test_every_link_of_a_comparison_leads_to_a_file_that_exists(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = two_runs(tmp_path)
    (page := tmp_path / place).parent.mkdir(exist_ok=True)
    arguments = ["compare", *map(str, folders.values()), "--html", str(page)]
    assert main.main(arguments) == 0
    assert f"written: {page}\n" in capsys.readouterr().out
    linked = files_of(page)
    for folder, kind in itertools.product(("before", "after"), ("records", "logs")):
        place_of_kind = os.path.relpath(tmp_path / folder / kind, page.parent)
        assert any(link.startswith(place_of_kind) for link in linked), (folder, kind)


def test_a_comparison_leads_to_the_reports_of_both_sides(tmp_path: Path) -> None:
    folders = two_runs(tmp_path)
    page = tmp_path / "page.html"
    arguments = ["compare", *map(str, folders.values()), "--html", str(page)]
    assert main.main(arguments) == 0
    assert not any(link.endswith("report.html") for link in files_of(page))
    for folder in folders.values():
        (folder / "report.html").touch()
    assert main.main(arguments) == 0
    assert {"before/report.html", "after/report.html"} <= set(files_of(page))
    assert "earlier report later report" in Page(page.read_text()).text


def test_the_page_of_a_suite_does_not_lead_to_itself(tmp_path: Path) -> None:
    (tmp_path / "report.html").touch()
    outcomes = conformity({"test_a": "no kernel for it"})
    source = reports.conformance_html("one", [outcomes], {}, html.Evidence(folder=tmp_path))
    assert "report.html" not in Page(source).links


def test_a_peak_of_memory_leads_to_the_records_that_measured_it(tmp_path: Path) -> None:
    folders = two_runs(tmp_path)
    base, head = (merging.merge([Run.open(path)]) for path in folders.values())
    cells = tuple(
        row.model_copy(update={"serving_memory_bytes": 2 * (row.serving_memory_bytes or 0)})
        for row in head.cells
    )
    head = head.model_copy(update={"cells": cells})
    comparison = compare_results(base, head, ("before", "after"))
    page = tmp_path / "page.html"
    page.write_text(reports.comparison_html(comparison, html.beside(page, folders)))
    (grown, *_) = (size for size in comparison.sizes if size.quantity == "memory")
    linked = files_of(page)
    for side, job in (("before", grown.base_job), ("after", grown.head_job)):
        assert f"{side}/{paths_of_job(grown.cell, job)['record']}" in linked
    own_page = Page(html.run_page(base, html.Evidence(folder=folders["base"])))
    timed = {row.cell for row in base.inference}
    (cell, *_) = (row for row in base.cells if row.cell in timed and row.serving_memory_job)
    assert paths_of_job(cell.cell, cell.serving_memory_job)["record"] in own_page.links


def test_every_slower_time_of_a_comparison_is_linked_to_the_records_of_both_sides(
    tmp_path: Path,
) -> None:
    folders = two_runs(tmp_path)
    comparison = compared(folders)
    page = tmp_path / "page.html"
    page.write_text(reports.comparison_html(comparison, html.beside(page, folders)))
    linked = files_of(page)
    for change in comparison.slower:
        if change.subject:
            path = record_path(change.cell, change.artifact or change.subject)
            assert {f"before/{path}", f"after/{path}"} <= set(linked)


def test_every_record_of_an_evaluation_is_linked_and_exists(
    recorded: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(recorded / "recorded", runs / "recorded")
    page = tmp_path / "page.html"
    arguments = ["evaluation", "recorded", "--runs", str(runs), "--html", str(page)]
    assert main.main(arguments) == 0
    linked = files_of(page)
    assert re.search(r"measured by recorded: preset \w+, [-\d]+ [\d:]+ UTC, on ", page.read_text())
    assert any(link.startswith("runs/recorded/records/") for link in linked)
    named = set(re.findall(r"recorded/records/[\w./-]+\.json", Page(page.read_text()).text))
    assert named
    assert {f"runs/{path}" for path in named if (runs / path).is_file()} <= set(linked)


def test_the_screen_of_an_evaluation_has_what_is_decided_and_says_where_the_rest_is(
    recorded: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["evaluation", "recorded", "--runs", str(recorded)]
    assert main.main(arguments) == 0
    short = capsys.readouterr().out
    assert main.main([*arguments, "--tables"]) == 0
    whole = capsys.readouterr().out
    assert "Ratings now" in short
    assert "Ratings now" in whole
    assert "Inputs: architecture" in whole
    assert "Inputs: architecture" not in short
    assert "statements are not decided by these runs; --tables prints why" in short
    assert "Caffe is the" in whole
    assert "Caffe is the" not in short


def test_a_page_that_is_not_beside_its_runs_has_no_link_to_them_which_is_told(
    recorded: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (page := tmp_path / "far" / "away" / "page.html").parent.mkdir(parents=True)
    folders = two_runs(tmp_path)
    message = f"written: {page}; its runs are not beside it: it has no links to their records"
    assert main.main(["compare", *map(str, folders.values()), "--html", str(page)]) == 0
    assert message in capsys.readouterr().out
    assert {link[0] for link in Page(page.read_text()).links} == {"#"}
    arguments = ["evaluation", "recorded", "--runs", str(recorded), "--html", str(page)]
    assert main.main(arguments) == 0
    assert message in capsys.readouterr().out
    assert {link[0] for link in Page(page.read_text()).links} == {"#"}
    assert "recorded/records/" in Page(page.read_text()).text


def test_a_comparison_page_has_every_change_and_the_screen_the_first(tmp_path: Path) -> None:
    comparison = compared(two_runs(tmp_path))
    assert len(comparison.slower) > MOST_LINES
    page = Page(reports.comparison_html(comparison))
    for change in comparison.slower:
        ratio = numbers.ratio(change.ratio, change.low, change.high)
        assert f"{time_title(change)} {numbers.duration(change.base_s)} " in page.text
        assert " ".join(ratio.split()) in page.text
    assert "--json" not in page.text


def test_a_comparison_page_tells_a_change_once_and_broken_limits_first(tmp_path: Path) -> None:
    comparison = compared(two_runs(tmp_path))
    assert comparison.failures
    page = Page(reports.comparison_html(comparison)).text
    reason = " ".join(comparison.failures[0].reason.split())
    assert page.count(reason) == sum(
        change.reason == comparison.failures[0].reason for change in comparison.failures
    )
    broken = comparison.model_copy(update={"broken": ("a limit is broken",)})
    page = Page(reports.comparison_html(broken)).text
    assert page.index("Not as expected ✗ a limit is broken") < page.index("New failures")


def test_what_did_not_run_in_an_interrupted_run_is_one_finding(tmp_path: Path) -> None:
    run = whole(tmp_path)
    for folder in sorted((run.path / "records").glob("*/*"))[::2]:
        shutil.rmtree(folder)
    results = merging.merge([run])
    pending = [row for row in (*results.training, *results.portability) if row.pending]
    assert len(pending) > 3
    page = page_of(results)
    findings = [tag for tag, _ in page.tags if tag == "article"]
    assert len(findings) == 1
    assert "✗ Not finished" in page.text
    assert f"Not run: {sum(row.missing for row in results.cells)} jobs of" in page.text


def test_a_run_that_was_refused_before_it_had_a_cell_is_of_no_matrix() -> None:
    without = dict.fromkeys(("cells", "models", "portability", "inference", "startup"), ())
    results = drifting().model_copy(update={**without, "problems": ("it is not served",)})
    assert "Matrix" not in page_of(results).text


def test_a_cell_that_could_not_be_built_is_not_counted_as_not_run_yet(tmp_path: Path) -> None:
    run = whole(tmp_path)
    for folder in sorted((run.path / "records").glob("*/*"))[::2]:
        shutil.rmtree(folder)
    results = merging.merge([run])
    first = next(row for row in results.cells if row.missing)
    unbuilt = first.model_copy(update={"status": "build-failed"})
    rows = tuple(unbuilt if row is first else row for row in results.cells)
    page = page_of(results.model_copy(update={"cells": rows}))
    jobs = sum(row.missing for row in results.cells) - first.missing
    assert f"Not run: {jobs} job" in page.text


def test_what_an_engine_failed_at_is_not_pending(tmp_path: Path) -> None:
    results = merging.merge([whole(tmp_path)])
    assert not any(row.pending for row in (*results.training, *results.portability))


def test_each_verdict_is_counted_once_and_the_evaluator_not_at_all() -> None:
    results = drifting()
    expected = results.portability[0].model_copy(
        update={"verdict": "error", "expected_failure": "a reason"}
    )
    results = results.model_copy(update={"portability": (expected, *results.portability[1:])})
    kinds = Counter(map(verdicts.kind, results.portability))
    assert kinds.pop(verdicts.EVALUATOR) == sum(row.judges for row in results.portability) == 1
    assert kinds == dict(verdicts.counts(results.portability))
    page = page_of(results)
    lines = [attributes for attributes in page.named("tr") if "data-verdict" in attributes]
    words = Counter(line.get("data-kind") or line["data-verdict"] for line in lines)
    assert words.pop(verdicts.EVALUATOR) == 1
    assert words == kinds
    fields = [attributes.get("class", "") for attributes in page.named("td")]
    assert fields.count("v-judge") == 2, "one field of the map, and one of the lines"


@pytest.mark.parametrize("count", [1, 2, 9, 25])
def test_no_label_of_a_drawing_lies_on_another_or_on_a_dot(count: int) -> None:
    dots = [(100.0 + 3 * number % 7, 80.0 + 2 * number % 5) for number in range(count)]
    places = scales.label_places(dots)
    (width, height), dot = scales.LABEL, scales.DOT
    for first, second in itertools.combinations(places, 2):
        assert abs(first[0] - second[0]) >= width or abs(first[1] - second[1]) >= height
    for (x, y), (left, top) in itertools.product(places, dots):
        assert abs(x - left) >= (width + dot) / 2 or abs(y - top) >= (height + dot) / 2


def test_each_place_has_a_name_of_its_own(tmp_path: Path) -> None:
    page = page_of(merging.merge([whole(tmp_path)]))
    places = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(places) == len(set(places))


def test_a_file_that_is_not_there_has_no_link(tmp_path: Path) -> None:
    page = page_of(drifting(), tmp_path)
    assert all(link.startswith("#") for link in page.links)


def test_the_page_of_the_default_preset_is_small(
    recorded: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    run = default_run(tmp_path, reports.Run.open(recorded / "recorded"))
    results = merging.merge([run])
    assert len(results.portability) > 400
    page = html.run_page(results, html.Evidence(folder=run.path))
    assert len(page.encode()) < LARGEST


def test_many_verdicts_are_folded_and_those_that_match_are_only_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deepmatrix.reports.html.pages.MOST_UNFOLDED", 5)
    monkeypatch.setattr("deepmatrix.reports.html.verdicts.MOST_LINES", 5)
    page = page_of(drifting())
    folded = [
        attributes for attributes in page.named("details") if attributes.get("class") == "map"
    ]
    assert all("open" not in attributes for attributes in folded)
    lines = [line["data-verdict"] for line in page.named("tr") if "data-verdict" in line]
    assert lines
    assert "match" not in lines
    assert "no finding are in the map" in page.text


@pytest.mark.parametrize(
    ("error", "text"), [(0.0, "0"), (1.1, "1"), (2e-7, "2e-7"), (3e12, "3e+12")]
)
def test_an_error_in_the_map_has_no_digit_too_many(error: float, text: str) -> None:
    judged = drifting().portability[0].model_copy(update={"verdict": "drift", "error": error})
    assert verdicts.text_in_map(judged) == text


def test_a_cell_that_could_not_be_tried_is_no_success(tmp_path: Path) -> None:
    outcomes = conformity({"test_a": "no kernel"})
    cell = outcomes.cell
    suite.save(outcomes, suite.path_in(tmp_path, cell))
    (tmp_path / "logs").mkdir()
    (tmp_path / log_path(cell, "onnx_node")).touch()
    broken = {"openvino-debian12-amd64-cpu": "crashed: <b> 51 times"}
    evidence = html.Evidence(folder=tmp_path)
    page = Page(reports.conformance_html("a", [outcomes], broken, evidence))
    assert "1 cell could not be tried" in page.text
    assert "openvino-debian12-amd64-cpu could not be tried: crashed: <b> 51 times" in page.text
    assert {f"conformance/{cell}.json", log_path(cell, "onnx_node")} <= set(page.links)
    lines = reports.conformance_page("a", [outcomes], broken)
    assert "- openvino-debian12-amd64-cpu could not be tried: crashed: &lt;b&gt; 51" in lines
    assert "✓ 0 new failures" in Page(reports.conformance_html("a", [])).text


def test_code_in_our_own_words_is_drawn_as_code() -> None:
    column = layout.Column("a", note="`results.json` has `more`.")
    table = layout.Table(title="T", columns=(column,), rows=(layout.row("x"),))
    page = Page(
        html.tables_page("A title", [table], remarks=["see `compare --with`", "one ` only"])
    )
    assert len(page.named("code")) == 3
    assert "results.json has more ." in page.text
    assert "see compare --with one ` only" in page.text


@pytest.mark.parametrize("since", [4, 20, 36])
def test_days_below_a_history_do_not_lie_on_each_other(since: int) -> None:
    source = html.history_page(many_series(1, 40, since))
    assert "1 of 1 series changed" in source
    below = source.partition('<svg class="curves history"')[2].partition("</svg>")[0]
    days = [float(place) for place in re.findall(r'<text x="([\d.]+)" y="178">', below)]
    assert days[-1] > 540
    assert all(after - before >= 110 for before, after in itertools.pairwise(days))


def test_a_long_note_of_our_own_is_read_without_scrolling() -> None:
    note = "A note in `code`. " * 100
    table = layout.Table(
        title="T", columns=(layout.Column("a"),), rows=(layout.row("x"),), note=note
    )
    page = Page(html.tables_page("A title", [table]))
    assert len(page.named("code")) == 100
    assert page.named("span") == []


def test_a_page_of_tables_has_what_is_wrong_first() -> None:
    page = Page(html.tables_page("A title", [], headline="one worse", broken=["<b> is slower"]))
    assert "A title one worse Not as expected ✗ <b> is slower" in page.text


def test_a_logarithmic_scale_has_whole_decades_and_places_a_value_between_them() -> None:
    scale = scales.logarithmic([3e-7, 2e-5], 100, "{:.0e}".format)
    assert scale
    assert (scale.low, scale.high) == (pytest.approx(1e-7), pytest.approx(1e-4))
    assert scale.place(1e-7) == 0
    assert scale.place(1e-4) == 100
    assert scale.place(10**-5.5) == pytest.approx(50)
    assert scale.place(1.0) == 100


def test_a_linear_scale_begins_at_zero_and_has_round_marks() -> None:
    scale = scales.linear([1.0, 4.3], 100, "{:g}".format)
    assert scale
    assert [tick.label for tick in scale.ticks] == ["0", "1", "2", "3", "4"]


def test_a_scale_around_values_has_round_marks_from_its_beginning_on() -> None:
    scale = scales.around([10.0, 12.0], 100, "{:g}".format)
    assert (scale.low, scale.high) == (7.0, 15.0)
    assert [tick.label for tick in scale.ticks] == ["8", "10", "12", "14"]
    assert [tick.place for tick in scale.ticks] == [12.5, 37.5, 62.5, 87.5]


EXTREMES = [5e-324, 1e-308, 1.0, 1e300, 1.7e308, sys.float_info.max]


@pytest.mark.parametrize("make", [scales.logarithmic, scales.linear])
@pytest.mark.parametrize("pair", list(itertools.combinations_with_replacement(EXTREMES, 2)))
def test_a_scale_of_the_smallest_and_the_largest_floats_has_places_and_marks(
    make: Callable[..., Scale | None], pair: tuple[float, float]
) -> None:
    scale = make(pair, 100, numbers.error)
    assert scale
    assert 1 <= len(scale.ticks) <= scales.MOST_TICKS + 1
    places = [scale.place(value) for value in (-math.inf, 0.0, *pair, math.inf)]
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] <= 100


def test_there_is_no_scale_of_nothing() -> None:
    assert scales.logarithmic([0.0, float("inf")], 100, str) is None
    assert scales.linear([], 100, str) is None
