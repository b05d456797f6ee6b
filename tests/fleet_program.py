"""deepmatrix for the tests, whose workers run processes with the adapter of the sessions.

python -m tests.fleet_program worker ADDRESS --tls FOLDER --name NAME ...
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from deepmatrix.cli.main import main
from deepmatrix.fleet import host
from tests.fleet_worker import HostOfTests

#: The folder in which the workers work.
WORK = "FLEET_OF_TESTS"


class Host(HostOfTests):
    """The host of a worker, as the command makes it."""

    def __init__(self, *, name: str, **options: Any) -> None:
        del options
        folder = Path(os.environ[WORK]) / name
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(name, folder, {"machine": name})


if __name__ == "__main__":
    host.Host = Host  # type: ignore[misc]
    sys.exit(main(sys.argv[1:]))
