"""What a comparison must not pass over: what is lost, unlike, untimed, or no number."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepmatrix import reports
from deepmatrix.cli import main
from deepmatrix.comparison import accepted, limits
from deepmatrix.comparison.changes import ABSENT, Comparison, Key, Kind
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.verdicts import (
    KINDS,
    NOT_RUN,
    WORDS,
    Outcome,
    VerdictChanges,
    compare_verdicts,
    meaning,
)
from deepmatrix.drawing import numbers
from deepmatrix.errors import ArgumentError
from deepmatrix.results.rows import Results
from tests.unit import verifications

DRIFTING = "openvino_default-debian13-arm64-cpu"


def without(results: Results, cell: str) -> Results:
    """Return results without a consumer."""
    rows = tuple(row for row in results.portability if row.consumer != cell)
    return results.model_copy(update={"portability": rows})


def lost(verdict: str, **values: Any) -> VerdictChanges:
    """Return what it means that a verdict is no longer there."""
    key = ("serving", "artifact", "cell")
    return compare_verdicts({key: Outcome(verdict=verdict, subject="net", **values)}, {})


@pytest.mark.parametrize("verdict", ["match", "drift", "unsupported", "error"])
def test_a_lost_consumer_is_a_new_failure_whatever_its_verdict_was(verdict: str) -> None:
    changes = lost(verdict)
    assert [(change.base, change.head) for change in changes.failures] == [(verdict, ABSENT)]
    assert changes.gone == 0


@pytest.mark.parametrize(("verdict", "excused"), [("drift", True), ("not-run", False)])
def test_what_might_fail_or_never_ran_is_counted_where_it_is_gone(
    verdict: str, excused: bool
) -> None:
    changes = lost(verdict, expected="known" * excused)
    assert (changes.failures, changes.gone) == ([], 1)


#: What another verdict of a served model means: rows are what it was, columns what it is. Verdicts
#: in brackets may fail.
MEANINGS = """
             match   not-run unsupported drift   error   [unsupported] [drift]  absent
match        .       failure failure     failure failure expected      expected failure
not-run      better  .       failure     failure failure expected      expected gone
unsupported  better  failure .           failure failure .             expected failure
drift        better  failure other       .       failure other         .        failure
error        better  failure other       other   .       other         other    failure
[unsupported] better other   failure     failure failure .             expected gone
[drift]      better  other   failure     failure failure other         .        gone
absent       added   failure failure     failure failure added         added    .
"""


def meanings() -> Iterator[tuple[str, str, str]]:
    header, *lines = MEANINGS.split("\n")[1:-1]
    for line in lines:
        before, *words = line.split()
        for after, word in zip(header.split(), words, strict=True):
            yield before, after, word


def outcome(word: str) -> Outcome | None:
    if word == ABSENT:
        return None
    return Outcome(
        verdict=word.strip("[]"), subject="net", expected="known" if "[" in word else "", error=1.0
    )


@pytest.mark.parametrize(("before", "after", "word"), list(meanings()))
def test_what_another_verdict_means(before: str, after: str, word: str) -> None:
    key: Key = ("serving", "artifact", "cell")
    base, head = outcome(before), outcome(after)
    compared = compare_verdicts({key: base} if base else {}, {key: [head]} if head else {})
    counted = [name for name in ("unchanged", "added", "gone") if getattr(compared, name)]
    named = [
        "failure" if compared.failures else meaning(change).split()[0]
        for change in compared.changes
    ]
    named += ["failure"] * len(compared.failures)
    expected = {".": [] if before == ABSENT else ["unchanged"]}.get(word, [word])
    assert [*counted, *named] == expected
    for change in compared.failures:
        assert meaning(change) == "new failure"


def test_every_verdict_is_in_the_table_of_meanings() -> None:
    words = {before.strip("[]") for before, _, _ in meanings()}
    assert words == {*WORDS["serving"], ABSENT}


def expecting(results: Results, verdict: str, expected: str) -> Results:
    """Return results in which a consumer has a verdict, which may be a failure."""
    rows = tuple(
        row.model_copy(update={"verdict": verdict, "expected_failure": expected, "reason": ""})
        if row.consumer == DRIFTING
        else row
        for row in results.portability
    )
    return results.model_copy(update={"portability": rows})


@pytest.mark.parametrize(
    ("before", "after", "headline", "title"),
    [
        (("match", ""), ("unsupported", "no Loop"), "1 new expected failure", "expected: no Loop"),
        (("drift", ""), ("match", ""), "1 better verdict", "#### Better verdicts"),
        (("error", ""), ("unsupported", ""), "1 other verdict", "#### Other verdicts"),
        (("drift", "once"), ("drift", ""), "1 new failure", "| drift, expected | drift |"),
    ],
)
def test_a_comparison_says_what_another_verdict_means(
    before: tuple[str, str], after: tuple[str, str], headline: str, title: str
) -> None:
    results = verifications.results()
    base, head = (expecting(results, *words) for words in (before, after))
    comparison = compare_results(base, head, ("base", "head"))
    assert reports.comparison.headline(comparison)[0].split(" ", 1)[1].startswith(headline)
    assert title in reports.comparison_page(comparison)


def test_verdicts_that_are_gone_are_shown() -> None:
    results = verifications.results()
    base = results.model_copy(
        update={
            "portability": tuple(
                row.model_copy(update={"expected_failure": "known"}) for row in results.portability
            )
        }
    )
    comparison = compare_results(base, without(base, DRIFTING), ("base", "head"))
    assert not comparison.failures
    assert ", 1 gone that had not run, or might fail" in reports.comparison_page(comparison)


def test_a_lost_accepted_consumer_is_shown_by_the_models_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = verifications.results()
    baseline = tmp_path / "verdicts.yaml"
    accepted.update(baseline, [results])
    (tmp_path / "head.json").write_text(without(results, DRIFTING).model_dump_json(), "utf-8")
    words = ["compare", "--baseline", str(baseline), str(tmp_path / "head.json")]
    assert main.main(words) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert f"new failure: resnet50 on {DRIFTING}: drift, now absent" in shown


def with_digest(results: Results, digest: str) -> Results:
    (model,) = results.models
    model = model.model_copy(update={"sha256": {f"{digest}.onnx": digest * 64} if digest else {}})
    return results.model_copy(update={"models": (model,)})


def test_other_weights_under_one_name_are_named() -> None:
    results = verifications.results()
    base, head, unknown = (with_digest(results, digest) for digest in ("a", "b", ""))
    comparison = compare_results(base, head, ("base", "head"))
    assert comparison.other_files == ("resnet50",)
    line = "another file under the same name, so anything may differ by that: resnet50"
    assert line in reports.comparison_page(comparison)
    for other in (base, unknown):
        assert not compare_results(base, other, ("base", "head")).other_files


def one_round(machine: str = "A") -> Results:
    """Return results whose times have one round each."""
    results = verifications.results()
    cells = tuple(
        row.model_copy(update={"environment": {"processor": machine}}) for row in results.cells
    )
    return results.model_copy(update={"cells": cells})


@pytest.mark.parametrize(
    ("head", "reason"),
    [("A", "one round on a side"), ("B", "processor: A, now B: compare runs of one machine")],
)
def test_a_limit_on_times_is_broken_where_no_time_could_be_compared(head: str, reason: str) -> None:
    comparison = compare_results(one_round(), one_round(head), ("base", "head"))
    assert reports.comparison.headline(comparison)[0] == "✓ nothing changed; no times compared"
    assert not limits.broken(comparison, limits.parse("new-failure,drift"))
    (line,) = limits.broken(comparison, limits.parse("new-failure,slower:5%"))
    assert line.startswith("slower: no time could be compared: ")
    assert reason in line
    broken = comparison.model_copy(update={"broken": (line,)})
    assert reports.comparison.headline(broken) == (
        "✗ 1 limit broken: nothing changed; no times compared",
        "bad",
    )


def test_accepted_verdicts_lack_no_times() -> None:
    results = verifications.results()
    comparison = accepted.compare_accepted({}, [results], ("base", "head"), 2.0)
    assert isinstance(comparison, Comparison)
    assert not comparison.lacks_times


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_an_error_that_is_no_number_is_accepted_without_it(number: str, tmp_path: Path) -> None:
    results = without(verifications.results(), "")
    document = json.loads(results.model_dump_json())
    for row in document["portability"]:
        if row["consumer"] == DRIFTING:
            row["error"] = "THE ERROR"
    text = json.dumps(document).replace('"THE ERROR"', number)
    (tmp_path / "results.json").write_text(text, "utf-8")
    baseline = ["--baseline", str(tmp_path / "verdicts.yaml"), str(tmp_path / "results.json")]
    assert main.main(["compare", "--update-baseline", *baseline]) == 0
    assert "error: ." not in (tmp_path / "verdicts.yaml").read_text("utf-8")
    assert main.main(["compare", *baseline]) == 0


@pytest.mark.parametrize("left", ["nothing", "not-run"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_run_without_verdicts_updates_no_baseline(
    left: str, is_there: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = verifications.results()
    rows = [row.model_copy(update={"verdict": "not-run"}) for row in results.portability]
    kept = tuple(rows if left == "not-run" else ())
    baseline, run = tmp_path / "verdicts.yaml", tmp_path / "results.json"
    run.write_text(results.model_copy(update={"portability": kept}).model_dump_json(), "utf-8")
    if is_there:
        accepted.update(baseline, [results])
    before = baseline.read_bytes() if is_there else None
    words = ["compare", "--baseline", str(baseline), "--update-baseline", str(run)]
    assert main.main(words) == ArgumentError.exit_code
    assert f"error: {baseline} is not written: no cell served" in capsys.readouterr().err
    assert (baseline.read_bytes() if baseline.exists() else None) == before


CHECKED = [
    (["--baseline", "accepted.yaml"], ""),
    (["results.json", "--fail-on", "slower:5%"], ""),
    (["--baseline", "missing.yaml"], "missing.yaml"),
    (["--baseline", "accepted.yaml", "--fail-on", "drfit"], "drfit"),
    (["missing.json"], "missing.json is not there"),
    ([], "--check takes --baseline FILE, or an earlier run, and no later run"),
    (["results.json", "results.json"], "--check takes --baseline FILE, or an earlier run"),
    (["results.json", "--json", "c.json"], "--json and --check cannot be combined"),
    (["--baseline", "accepted.yaml", "--update-baseline"], "--update-baseline and --check"),
    (["results.json", "--with", "a==1"], "--with and --check cannot be combined"),
]


@pytest.mark.parametrize(("words", "said"), CHECKED)
def test_a_check_reads_what_is_compared_with_and_compares_nothing(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("accepted.yaml").write_text("version: 1\n")
    Path("results.json").write_text(verifications.results().model_dump_json(), "utf-8")
    assert main.main(["compare", "--check", *words]) == (ArgumentError.exit_code if said else 0)
    shown = capsys.readouterr()
    assert said in shown.err
    assert not shown.out


def sized(memory: float = 1.0, image: float = 1.0, source: str = "cgroup2") -> Results:
    """Return results whose cells have an image and a peak memory of a size times a factor."""
    results = verifications.results()
    update = {
        "image_bytes": int(10**9 * image),
        "peak_memory_bytes": int(10**9 * memory),
        "serving_memory_bytes": int(10**9 * memory),
        "serving_memory_of": "resnet50",
        "memory_source": source,
    }
    cells = tuple(row.model_copy(update=update) for row in results.cells)
    return results.model_copy(update={"cells": cells})


@pytest.mark.parametrize(
    ("limit", "factors", "is_broken"),
    [
        ("hungrier:5%", {"memory": 1.08}, True),
        ("hungrier:5%", {"memory": 1.04}, False),
        ("hungrier:0%", {"memory": 1.0}, False),
        ("hungrier", {"memory": 1.08}, False),
        ("larger:0.5%", {"image": 1.008}, True),
        ("larger:0.5%", {"memory": 1.08}, False),
        ("larger", {"image": 1.008}, False),
    ],
)
def test_a_limit_on_sizes_holds_for_the_share_that_it_names(
    limit: str, factors: dict[str, float], is_broken: bool
) -> None:
    wanted = limits.parse(limit)
    comparison = compare_results(sized(), sized(**factors), ("base", "head"), wanted)
    assert bool(limits.broken(comparison, wanted)) == is_broken


def test_memory_that_was_measured_in_two_ways_is_not_compared() -> None:
    grown = compare_results(sized(), sized(memory=2.0), ("base", "head")).sizes
    assert {size.quantity for size in grown} == {"memory"}
    other = sized(memory=2.0, source="process")
    assert not compare_results(sized(), other, ("base", "head")).sizes


#: The words of verdicts from best to worst; every other one is worse than these.
ORDER = ({"match", "ok"}, {NOT_RUN, ABSENT}, {"unsupported"}, {"drift", "wrong"})
#: What tells nothing: nothing ran.
SILENT = {NOT_RUN, ABSENT}


def level(word: str) -> int:
    return next((at for at, words in enumerate(ORDER) if word in words), len(ORDER))


@pytest.mark.parametrize("kind", KINDS)
def test_of_every_two_verdicts_the_worse_one_and_the_lost_one_are_new_failures(kind: Kind) -> None:
    key: Key = (kind, "subject", "cell")
    words = sorted({*WORDS[kind], ABSENT})
    for before, after in itertools.permutations(words, 2):
        base, head = (
            {key: Outcome(verdict=word, subject="subject")} if word != ABSENT else {}
            for word in (before, after)
        )
        found = compare_verdicts(base, {each: (outcome,) for each, outcome in head.items()})
        is_lost = after in SILENT and before not in SILENT
        was = 0 if before == ABSENT else level(before)
        is_worse = after != ABSENT and level(after) > was
        assert bool(found.failures) == (is_lost or is_worse), (before, after)


def test_an_update_keeps_an_accepted_failure_that_did_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = verifications.results()
    baseline, run = tmp_path / "verdicts.yaml", tmp_path / "results.json"
    accepted.update(baseline, [results])
    text = baseline.read_text("utf-8").replace("error: 0.061}", 'error: 0.061, reason: "a bug"}')
    assert "a bug" in text
    baseline.write_text(text, "utf-8")
    rows = tuple(
        row.model_copy(update={"verdict": NOT_RUN, "error": None, "reason": "no engine"})
        if row.consumer == DRIFTING
        else row
        for row in results.portability
    )
    run.write_text(results.model_copy(update={"portability": rows}).model_dump_json(), "utf-8")
    words = ["compare", "--baseline", str(baseline), str(run)]
    assert main.main(words) == 1
    assert f"{DRIFTING}: drift, now not-run" in " ".join(capsys.readouterr().out.split())
    assert main.main([*words, "--update-baseline"]) == 0
    assert baseline.read_text("utf-8") == text
    assert "kept: 1 verdict of models or cells" in " ".join(capsys.readouterr().out.split())


def with_error(results: Results, error: float) -> Results:
    """Return results in which the consumer that drifts has another error."""
    rows = tuple(
        row.model_copy(update={"error": error}) if row.consumer == DRIFTING else row
        for row in results.portability
    )
    return results.model_copy(update={"portability": rows})


@pytest.mark.parametrize("limit", ["drift:1x", "drift:1.5x", "drift"])
@pytest.mark.parametrize("error", [0.0621, 0.1037, 0.61])
def test_an_update_accepts_what_any_limit_on_drift_refuses(
    limit: str, error: float, tmp_path: Path
) -> None:
    baseline, run = tmp_path / "verdicts.yaml", tmp_path / "results.json"
    accepted.update(baseline, [verifications.results()])
    text = baseline.read_text("utf-8")
    reasoned = text.replace("error: 0.061}", 'error: 0.061, reason: "a bug"} # seen')
    assert reasoned != text
    baseline.write_text(reasoned, "utf-8")
    run.write_text(with_error(verifications.results(), error).model_dump_json(), "utf-8")
    words = ["compare", "--baseline", str(baseline), str(run)]
    assert main.main([*words, "--fail-on", "drift:1x"]) == 1
    assert main.main([*words, "--update-baseline"]) == 0
    assert main.main([*words, "--fail-on", limit]) == 0
    (line,) = (line for line in baseline.read_text("utf-8").splitlines() if "a bug" in line)
    assert " ".join(line.split()).endswith('reason: "a bug"} # seen')
    written = baseline.read_bytes()
    assert main.main([*words, "--update-baseline"]) == 0
    assert baseline.read_bytes() == written


def test_where_nothing_could_be_compared_a_limit_on_times_says_so_once() -> None:
    results = verifications.results()
    rows = tuple(row.model_copy(update={"verdict": NOT_RUN}) for row in results.portability)
    nothing = results.model_copy(update={"portability": rows})
    comparison = compare_results(nothing, nothing, ("base", "head"))
    assert comparison.is_void
    assert limits.broken(comparison, limits.parse("new-failure,slower:5%")) == (limits.VOID,)


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.00031, "0.00031×"), (1.001, "1.001×"), (3e24, "3e+24×")]
)
def test_a_tiny_or_huge_ratio_has_its_leading_digits_and_no_others(ratio: float, text: str) -> None:
    assert numbers.ratio(ratio) == text
