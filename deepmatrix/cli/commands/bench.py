"""``bench``: run the jobs of some cells, as one job of CI does."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from deepmatrix.cli import options as shared
from deepmatrix.cli import running, starting
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.errors import CellFailed
from deepmatrix.planning.plan import WAVES, Wave
from deepmatrix.planning.selection import check_globs, match_globs


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("globs", nargs="+", metavar="GLOB", help="cells whose jobs run")
    shared.add_engine(parser)
    shared.add_trust(parser)
    parser.add_argument("--run", type=Path, required=True, help="a run that `plan --write` created")
    shared.add_repeated(
        parser,
        "--wave",
        choices=WAVES,
        help="only this wave; both by default",
    )


def run(options: argparse.Namespace) -> None:
    """Run the jobs of some cells in a run that `plan --write` created."""
    console = make_console()
    opened_run = running.open_run(options.run, options.runs)
    engine = starting.choose_engine(options, opened_run.manifest.matrix, console)
    starting.check_run(opened_run, engine, options)
    ids = [cell.id for cell in opened_run.manifest.plan.cells]
    check_globs(ids, options.globs, hint=f"cells of {opened_run.id}: {', '.join(ids) or 'none'}")
    selected_ids = match_globs(ids, options.globs)
    waves: Sequence[Wave] = options.wave or WAVES
    jobs = [
        job
        for wave in waves
        for job in opened_run.manifest.plan.jobs(wave)
        if job.cell in selected_ids
    ]
    if not jobs:
        print_line(
            console, f"nothing to do: {', '.join(selected_ids)} has no job in {', '.join(waves)}"
        )
        return
    running.execute(opened_run, [engine], console, cells=selected_ids, waves=waves)
    prepared = opened_run.prepared()
    broken = [cell for cell in selected_ids if cell in prepared and prepared[cell].error]
    if broken:
        raise CellFailed(f"cannot run here: {', '.join(broken)}", hint="the reasons are above")
    records = [opened_run.record(job) for job in jobs if opened_run.record_path(job).is_file()]
    if not records:
        raise CellFailed(
            f"none of {len(jobs)} jobs could run: their artifacts are not in {opened_run.path}",
            hint="run the producers first: --wave produce; "
            "from another machine, copy its artifacts and its records",
        )
    failed_jobs = [record.job for record in records if record.status != "ok"]
    if failed_jobs:
        raise CellFailed(f"{len(failed_jobs)} of {len(records)} jobs failed", hint="see above")
