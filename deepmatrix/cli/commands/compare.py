"""``compare``: say what changed between two runs, and fail where it breaks a limit."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from deepmatrix import reports
from deepmatrix.boundary.bounds import path_text
from deepmatrix.boundary.writing import write_named
from deepmatrix.cli import options as shared
from deepmatrix.cli import reporting
from deepmatrix.cli.side_by_side import repeating, trying
from deepmatrix.comparison import accepted, limits
from deepmatrix.comparison.changes import Comparison
from deepmatrix.comparison.comparing import compare_results
from deepmatrix.comparison.limits import Limit
from deepmatrix.comparison.reading import read_results
from deepmatrix.drawing import numbers
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.errors import ArgumentError, CellFailed
from deepmatrix.planning.trials import EXAMPLE
from deepmatrix.reports import html
from deepmatrix.store import listing

#: Options of a comparison, and of serving artifacts, and what they are where nobody gave them.
WRITING: Mapping[str, object] = {"json": None, "markdown": None, "html": None}
JUDGING: Mapping[str, object] = {"fail_on": "", **WRITING}
REPEATING: Mapping[str, object] = {"rounds": None, "engine": "auto", "trust": False}
SERVING: Mapping[str, object] = {"only": [], "no_repeat": False, **REPEATING}

#: What compares nothing, and the options that it would ignore.
INSTEAD: Mapping[str, Mapping[str, object]] = {
    "update_baseline": JUDGING,
    "check": {"update_baseline": False, "versions": [], **WRITING, **SERVING},
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "sides",
        nargs="*",
        type=Path,
        metavar="RUN",
        help="the earlier run and the later one, each a run or a results.json; with --baseline one "
        "run or several; models with --with",
    )
    _add_versions(parser)
    parser.add_argument(
        "--fail-on",
        default="",
        metavar="LIMITS",
        help="exit with 1 on any of these, separated by commas: new-failure, changed, drift or "
        "drift:10x, slower:5%%, larger:10%%, hungrier:20%%",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="compare the verdicts of the runs with those accepted in this file, and fail on a new "
        "failure or a grown error unless --fail-on says otherwise",
    )
    parser.add_argument(
        "--update-baseline",
        action="store_true",
        help="write the verdicts of the runs into the file of --baseline; others stay there",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare nothing yet: say what is wrong with --fail-on, and with the file of "
        "--baseline or the earlier run",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all changes as JSON")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write one screen of Markdown, for a comment"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write an HTML page")


def _add_versions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--with",
        action="append",
        default=[],
        dest="versions",
        metavar="PACKAGE==VERSION",
        help="given twice, for two versions of a package: serve models, named instead of runs, "
        "with both in turn, and compare",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="GLOB", help="with --with: only these cells"
    )
    parser.add_argument(
        "--rounds",
        type=shared.rounds,
        metavar="N",
        help=f"how many processes of each version or run are measured; {trying.ROUNDS} by default, "
        "or as many as the runs have",
    )
    parser.add_argument(
        "--no-repeat",
        action="store_true",
        help="count a slow-down that breaks --fail-on as it was measured first, without measuring "
        "it again",
    )
    shared.add_engine(parser)
    shared.add_trust(parser)


def run(options: argparse.Namespace) -> None:
    """Say what changed between two runs, and fail if that breaks a limit."""
    console = make_console()
    _check(options)
    wanted = _limits(options)
    _refuse_unused(options, wanted)
    if options.check:
        _check_base(options)
        return
    if options.update_baseline:
        _update(options, console)
        return
    if options.versions:
        comparison = trying.compare_versions(options, console, wanted)
    else:
        comparison = _compare(options, wanted)
        if not options.baseline:
            comparison = repeating.repeat_slower(options, comparison, wanted, console)
    conclude(options, limits.judge(comparison, wanted), console)


def conclude(options: argparse.Namespace, comparison: Comparison, console: Console) -> None:
    """Write the files that were asked for, and print a comparison in any case.

    Raises:
        CellFailed: it breaks a limit.
    """
    folders = _folders(options) if options.html else {}
    runs = html.beside(options.html, folders) if options.html else {}
    try:
        if options.json:
            write_named(options.json, comparison.model_dump_json(indent=1) + "\n")
        if options.markdown:
            write_named(options.markdown, reports.comparison_page(comparison))
        if options.html:
            write_named(options.html, reports.comparison_html(comparison, runs))
    finally:
        reports.show_comparison(console, comparison)
    if options.html:
        reporting.announce_page(console, options.html, folders, runs)
    if comparison.broken:
        count = len(comparison.broken)
        raise CellFailed(f"{count} limit{'s' * (count > 1)} of --fail-on broken, listed above")


def _folders(options: argparse.Namespace) -> dict[str, Path]:
    """Return the folders of the two runs that are compared, as far as there are two, or one."""
    if options.versions:
        return {}
    sides = ("head",) if options.baseline else ("base", "head")
    paths = [listing.named(path, options.runs) for path in options.sides]
    folders = [path.parent if path.is_file() else path for path in paths]
    return dict(zip(sides, folders, strict=True)) if len(folders) == len(sides) else {}


def _check(options: argparse.Namespace) -> None:
    """Raise ArgumentError where the options do not say which two are compared."""
    if options.update_baseline and not options.baseline:
        raise ArgumentError(
            "--update-baseline needs --baseline FILE",
            hint="name the file of accepted verdicts; it is created if it is not there",
        )
    if options.versions and options.baseline:
        raise ArgumentError(
            "--with and --baseline cannot be combined",
            hint="leave one out: --with compares two versions of a package, --baseline compares "
            "runs with accepted verdicts",
        )
    _refuse_ignored(options)
    if options.versions:
        return
    _check_sides(options)


def _check_sides(options: argparse.Namespace) -> None:
    """Raise ArgumentError for too few runs, or too many."""
    if options.check:
        if len(options.sides) != (0 if options.baseline else 1):
            raise ArgumentError(
                "compare --check takes --baseline FILE, or an earlier run, and no later run",
                hint="compare --check --baseline FILE; or compare --check BASE",
            )
        return
    if len(options.sides) > 2 and not options.baseline:
        raise ArgumentError(
            f"{path_text(options.sides[0])} is of one run, and there are "
            f"{len(options.sides) - 1} runs to compare with it",
            hint="name the one of the same models; or compare all of them with accepted verdicts: "
            "--baseline FILE RUN...",
        )
    if len(options.sides) != 2 and not (options.baseline and options.sides):
        raise ArgumentError(
            f"compare takes {'a run with --baseline' if options.baseline else '2 runs'}, "
            f"not {len(options.sides)}",
            hint=f"compare BASE HEAD; compare --baseline FILE RUN; or compare MODEL {EXAMPLE}",
        )


def _refuse_ignored(options: argparse.Namespace) -> None:
    """Raise ArgumentError for an option that what is asked for would ignore."""
    for name, ignored in INSTEAD.items():
        if getattr(options, name) and (named := _given(options, ignored)):
            raise ArgumentError(
                f"{_flag(named[0])} and {_flag(name)} cannot be combined",
                hint=f"leave one out: {_flag(name)} compares nothing",
            )


def _refuse_unused(options: argparse.Namespace, wanted: Sequence[Limit]) -> None:
    """Raise ArgumentError for an option of serving where nothing is served.

    Models are with --with; and what seems slower between two runs, if that breaks a limit.
    """
    if options.versions:
        return
    can_repeat = not options.baseline and any(limit.name == "slower" for limit in wanted)
    used = {"no_repeat", *(() if options.no_repeat else REPEATING)} if can_repeat else set()
    if named := [name for name in _given(options, SERVING) if name not in used]:
        raise ArgumentError(
            f"{_flag(named[0])} is for what is served: models, with --with; or what "
            "seems slower between two runs, with --fail-on slower",
            hint=f"leave it out, or name two versions: {EXAMPLE}",
        )


def _given(options: argparse.Namespace, unset: Mapping[str, object]) -> list[str]:
    return [name for name, value in unset.items() if getattr(options, name) != value]


def _flag(name: str) -> str:
    return "--with" if name == "versions" else f"--{name.replace('_', '-')}"


def _limits(options: argparse.Namespace) -> tuple[Limit, ...]:
    """Return the limits that the user named; those of verdicts where a baseline is given."""
    text = options.fail_on or ("new-failure,drift" if options.baseline else "")
    wanted = limits.parse(text) if text else ()
    measured = [limit.name for limit in wanted if limit.name in limits.SHARES]
    if options.baseline and measured:
        raise ArgumentError(
            f"--fail-on {measured[0]} and --baseline cannot be combined: a baseline has no times "
            "and no sizes",
            hint="compare two runs instead: compare BASE HEAD",
        )
    return wanted


def _update(options: argparse.Namespace, console: Console) -> None:
    heads = [read_results(path, options.runs) for path in options.sides]
    changed = accepted.update(options.baseline, heads)
    text = "written: review the difference, and commit it" if changed else "as the run shows it"
    print_line(console, f"{options.baseline} {text}", wrap=False)
    if bare := accepted.count_bare(options.baseline):
        failures = numbers.count(bare, "failure")
        line = f"accepted without a reason: {failures}; give each its reason in {options.baseline}"
        print_line(console, line, "yellow", wrap=False)
    if unseen := accepted.count_unseen(options.baseline, heads):
        kept = f"kept: {numbers.count(unseen, 'verdict')} of models or cells that are not in "
        kept += numbers.count(len(heads), "run") + ", or did not run; delete those that are gone"
        print_line(console, kept)


def _check_base(options: argparse.Namespace) -> None:
    """Raise as reading does where what runs are to be compared with cannot be read."""
    if options.baseline:
        accepted.load(options.baseline)
    else:
        read_results(options.sides[0], options.runs)


def _compare(options: argparse.Namespace, wanted: Sequence[Limit]) -> Comparison:
    if options.baseline:
        heads = [read_results(path, options.runs) for path in options.sides]
        entries = accepted.load(options.baseline)
        count = len(heads)
        head_name = path_text(options.sides[0]) if count == 1 else f"{count} runs"
        names = (path_text(options.baseline), head_name)
        return accepted.compare_accepted(entries, heads, names, limits.growth_of(wanted))
    base, head = (read_results(path, options.runs) for path in options.sides)
    names = (path_text(options.sides[0]), path_text(options.sides[1]))
    return compare_results(base, head, names, wanted)
