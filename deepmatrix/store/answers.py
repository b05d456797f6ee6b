"""What consumers answered to users' own models, stored until gold is settled."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from deepmatrix.planning.subjects import Artifact
from deepmatrix.store import arrays
from deepmatrix.store.arrays import Values
from deepmatrix.store.runs import Run
from deepmatrix.workloads.inputs import write_npz
from harness.record import answer_path


def path(run: Run, artifact: Artifact, cell: str) -> Path:
    """Return where a consumer's answers are."""
    return run.path / "answers" / artifact.id / f"{cell}.npz"


def read_control(control: Path, names: Sequence[str], largest: int) -> dict[str, Values]:
    """Return the answers below a control directory by name.

    Raises arrays.Unreadable, also where two outputs have the same name, and where all together have
    more than *largest* bytes.
    """
    if len(set(names)) < len(names):
        raise arrays.Unreadable("two of them have the same name")
    outputs = {}
    for number, name in enumerate(names):
        outputs[name] = arrays.read_array(control / answer_path(number), max(largest, 0))
        largest -= outputs[name].nbytes
    return outputs


def store(run: Run, artifact: Artifact, cell: str, outputs: Mapping[str, Values]) -> None:
    """Store a consumer's outputs, in the model's order."""
    write_npz(path(run, artifact, cell), outputs)


def read(run: Run, artifact: Artifact, cell: str) -> dict[str, Values] | None:
    """Return a consumer's answers, None where there are none that can be read."""
    with contextlib.suppress(arrays.Unreadable):
        return arrays.read_all(path(run, artifact, cell), arrays.ANY)
    return None
