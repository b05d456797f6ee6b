"""Run one job on another processor: ``python -m harness.emulated EMULATOR DIR``.

QEMU runs programs by their path, and only Python itself knows its own: so this process becomes the
emulator of a second one. Which processor it emulates, the variable ``QEMU_CPU`` says.
"""

import os
import sys


def main(emulator: str, directory: str) -> None:
    """Become *emulator*, running ``python -m harness DIR``."""
    os.execv(emulator, [emulator, sys.executable, "-m", "harness", directory])


if __name__ == "__main__":
    main(*sys.argv[1:])
