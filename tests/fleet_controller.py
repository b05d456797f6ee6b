"""A controller for the tests, which they can kill: it serves the artifacts of a run on a fleet.

python -m tests.fleet_controller ADDRESS TLS RUN CELL
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from deepmatrix.execution.runner import Runner
from deepmatrix.fleet.connecting import connected
from deepmatrix.store.runs import Run


class Told:
    """A watcher that prints each job that has its record."""

    def ended(self, job: Any, record: Any) -> None:
        print("ended", job.id, record.status, flush=True)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def main(address: str, tls: str, path: str, cell: str) -> None:
    run = Run.open(Path(path))
    with connected(address, Path(tls), run.manifest.matrix, put_aside=print) as engines:
        runner = Runner(
            run=run, engine=engines[0], watcher=Told(), cells={cell}, others=engines[1:]
        )
        runner.execute(["consume"])


if __name__ == "__main__":
    main(*sys.argv[1:])
