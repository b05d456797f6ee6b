"""Entry point of ``python -m deepmatrix``."""

import sys

try:
    from deepmatrix.cli.main import program
except ModuleNotFoundError as error:
    sys.exit(f"{error}: run it by nox, or by nox's Python: .nox/_nox_script_mode/bin/python")

sys.exit(program())
