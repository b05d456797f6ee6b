"""``jobs``: the jobs of CI that verify models on several architectures, as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from deepmatrix.boundary.bounds import one_line, path_text
from deepmatrix.cli import options as shared
from deepmatrix.cli import starting
from deepmatrix.cli.commands import verify
from deepmatrix.cli.own_models import projects, refusing
from deepmatrix.config.matrix import Matrix
from deepmatrix.errors import ArgumentError
from deepmatrix.models import files, project
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.fan_out import Share, fan_out
from deepmatrix.planning.model_plan import plan_models
from deepmatrix.planning.selection import Selection

#: GitHub starts so many jobs of one matrix at most.
MOST = 256


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "models", nargs="*", type=Path, metavar="MODEL", help="as those of `verify`"
    )
    projects.add_config(parser)
    shared.add_repeated(parser, "--only", metavar="GLOB", help="only these cells")
    shared.add_exclude(parser)
    parser.add_argument(
        "--native",
        action="append",
        required=True,
        metavar="ARCH",
        help="an architecture that has machines of its own",
    )
    parser.add_argument(
        "--most",
        type=shared.job_count,
        default=MOST,
        metavar="N",
        help="the most jobs there may be",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        metavar="FOLDER",
        help="where no model can be served, leave a run there that says why, for `review`",
    )


def run(options: argparse.Namespace) -> None:
    """Print which models and cells each job of CI verifies, so that `verify` can be spread."""
    matrix = starting.load_matrix(options)
    starting.check_architectures(options.native, matrix)
    chosen = list(_selections(options, matrix))
    _check_paths(path for path, _ in chosen)
    _, refused = files.recognise_each([path for path, _ in chosen])
    readers, unserved = {}, {}
    for path, selection in chosen:
        if path in refused:
            continue
        try:
            cells = _serving(matrix, path, selection, options.native)
        except ArgumentError as error:
            unserved[path] = error
            continue
        for architecture in options.native:
            own = tuple(cell.id for cell in cells if cell.architecture == architecture)
            readers[str(path), architecture] = own
    if not readers:
        raise _nothing_served({**refused, **unserved}, options.runs, matrix)
    shares = fan_out(readers, options.most, unserved_jobs=int(bool(unserved)))
    if refused:  # the first job, which verifies others, says why these are not served
        shares[0] = replace(shares[0], models=(*shares[0].models, *map(str, refused)))
    if unserved:  # cells of other jobs may read them, and are not selected for them
        alone, only = tuple(map(str, unserved)), tuple(options.only)
        shares.append(Share(architecture=options.native[0], models=alone, cells=only))
    print(json.dumps([asdict(share) for share in shares], indent=1))


def _nothing_served(
    errors: Mapping[Path, ArgumentError], runs: Path | None, matrix: Matrix
) -> ArgumentError:
    """Return the error of models of which none is served; a run in *runs* has them, too."""
    if runs:
        refusing.leave_report(runs, errors, matrix, infer=verify.OWN_MODEL, seed=0)
    return refusing.NothingServed(errors)


def _check_paths(paths: Iterable[Path]) -> None:
    """Raise ArgumentError for paths that a job cannot be given, one a line of UTF-8."""
    wrong = [path for path in paths if one_line(path_text(path)) != str(path).strip()]
    if wrong:
        raise ArgumentError(
            f"a job cannot be given {', '.join(ascii(str(path)) for path in wrong)}: its models "
            "are named one a line, in UTF-8",
            hint="rename what has a line break, another control character, or bytes that are not "
            "UTF-8, in its path; or verify it without jobs: `verify` takes any name",
        )


def _selections(options: argparse.Namespace, matrix: Matrix) -> Iterator[tuple[Path, Selection]]:
    """Yield each model that is named or listed, and the cells that may serve it."""
    named = [options]
    if config := projects.chosen(options):
        given = argparse.Namespace(
            **vars(options), max_p99=None, max_error=None, max_image=None, repeats=None
        )
        document = projects.load(config, matrix)
        named = [own for _, own in projects.options_by_entry(given, document, config.parent)]
    for own in named:
        for path in own.models:
            include, exclude = tuple(own.only), tuple(own.exclude)
            yield path, Selection(include=include, exclude=exclude, native=True)
    if not config and not options.models:
        raise ArgumentError(
            "no model is named", hint=f"name models, or list them in {project.FILE}"
        )


def _serving(
    matrix: Matrix, path: Path, selection: Selection, architectures: Sequence[str]
) -> list[Cell]:
    """Return the cells that serve a model natively. Raises ArgumentError where none does."""
    (model,) = files.recognise([path])
    planned = plan_models(
        matrix,
        [(str(path), model.format, model.main)],
        selection,
        Capabilities(engine="docker", native=frozenset(architectures)),
        seed=0,
        infer=verify.OWN_MODEL,
    )
    return [cell for cell in planned.cells if cell.serves]
