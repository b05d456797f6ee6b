"""Refusing: what is no model, cannot be served, or not with what the user gave."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from deepmatrix import __version__
from deepmatrix.boundary.bounds import one_line, path_text
from deepmatrix.cli.own_models import projects
from deepmatrix.config.matrix import Matrix
from deepmatrix.config.sections import Infer
from deepmatrix.errors import ArgumentError, EngineError, joined
from deepmatrix.models.inputs import SHARED_INPUTS
from deepmatrix.planning.model_plan import plan_refused
from deepmatrix.planning.selection import Selection
from deepmatrix.planning.subjects import Refused
from deepmatrix.store.runs import Run


class NothingServed(ArgumentError):
    """Nothing can be served of what the user named. *errors*: why, by path."""

    def __init__(self, errors: Mapping[Path, ArgumentError]) -> None:
        together = joined(errors.values())
        super().__init__(together.message, hint=together.hint)
        self.errors = errors


class WrongRequest(ArgumentError):
    """What the user gave beside the models is of none of them: nothing is kept of the run."""


def by_path(model: Path, error: ArgumentError) -> Mapping[Path, ArgumentError]:
    """Return why the models of a project's entry are not served."""
    return error.errors if isinstance(error, NothingServed) else {model: error}


def refusals(errors: Mapping[Path, ArgumentError]) -> tuple[Refused, ...]:
    """Return what a run and its reports say of paths that are not served; each reason names one."""
    return tuple(
        Refused(source=path_text(path), reason=one_line(_reason(path_text(path), error)))
        for path, error in errors.items()
    )


def _reason(source: str, error: ArgumentError) -> str:
    text = path_text("; ".join(filter(None, [error.message, error.hint])))
    return text if text.startswith(source) else f"{source}: {text}"


def leave_report(
    parent: Path,
    errors: Mapping[Path, ArgumentError],
    matrix: Matrix,
    *,
    infer: Infer,
    seed: int,
    name: str = "",
) -> None:
    """Write a run that says of paths only why they are not served, so that a review has them."""
    plan = plan_refused(Selection().preset, seed, infer, refusals(errors))
    run = Run.create(parent, plan, matrix, version=__version__, name=name)
    _write_reports(run)


def check_inspected(inspected: Run, options: argparse.Namespace) -> None:
    """Raise as `_refuse_unreadable`; `WrongRequest` for a tolerance of no output."""
    _refuse_unreadable(inspected, options)
    try:
        projects.check_outputs(inspected, options.overrides)
    except ArgumentError as error:
        sources = ", ".join(model.source for model in inspected.manifest.plan.imports)
        message = f"{sources}: {error.message}"
        raise WrongRequest(message, hint=error.hint, about=error.about) from None


def _refuse_unreadable(inspected: Run, options: argparse.Namespace) -> None:
    """Raise where no model could be inspected; a model that fails inspection is skipped.

    Raises:
        ArgumentError: every model is refused; `WrongRequest`, where all are for what is given.
        EngineError: the same, and an inspector is not ready.
    """
    array_options = [f"--inputs {source}" for source in options.inputs]
    array_options += [f"--reference {options.reference}"] if options.reference else []
    with_arrays = f" with {' '.join(array_options)}" if array_options else ""
    models = inspected.manifest.plan.imports
    sources = {model.name: model.source for model in models}
    causes, unready, wrong_inputs, wrong_references = [], [], 0, 0
    _refuse_other_inputs(inspected)
    for job in inspected.manifest.plan.jobs("produce"):
        if not inspected.record_path(job).is_file():
            unready.append(f"{job.cell} is not ready: {inspected.prepared()[job.cell].error}")
        elif (record := inspected.record(job)).status != "ok":
            causes.append(f"{sources[job.subject]}{with_arrays}: {record.model_problem}")
            wrong_inputs += record.has_wrong_inputs
            wrong_references += bool(options.reference) and record.status == "bad-artifact"
    if len(causes) + len(unready) < len(models):
        return
    if unready:
        raise EngineError(unready[0])
    if wrong_inputs + wrong_references == len(causes):
        hint = SHARED_INPUTS if len(models) > 1 else "nothing was served"
        given = [name for name in ("inputs", "shape", "range") if getattr(options, name)]
        about = given[:1] if wrong_inputs and len(given) == 1 else ()
        raise WrongRequest("\n".join(causes), hint=hint, about=about)
    _write_reports(inspected)
    hint = f"nothing was served; the log is in {inspected.path}"
    if wrong_inputs:
        hint = f"{SHARED_INPUTS}; {hint}"
    raise ArgumentError("\n".join(causes), hint=hint)


def _refuse_other_inputs(inspected: Run) -> None:
    """Raise WrongRequest where a model does not take the inputs of the first, which it has to."""
    plan = inspected.manifest.plan
    first = plan.imports[0]
    for job in plan.jobs("produce"):
        model = next(model for model in plan.imports if model.name == job.subject)
        if model == first or not (plan.original or plan.follows(model)):
            continue
        if inspected.record_path(job).is_file() and inspected.record(job).has_wrong_inputs:
            option = "--original" if plan.original else "--same"
            raise WrongRequest(
                f"{model.source} does not take the inputs of {first.source}: "
                f"{inspected.record(job).model_problem}",
                hint=f"{option} compares models on the same inputs; nothing was served",
            )


def _write_reports(run: Run) -> None:
    from deepmatrix.cli import reporting  # noqa: PLC0415 - slow, and nearly never needed

    reporting.write(run)
