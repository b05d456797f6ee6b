"""Linux's table of programs that run foreign programs: how a machine runs another architecture."""

from __future__ import annotations

from pathlib import Path

TABLE = Path("/proc/sys/fs/binfmt_misc")

#: QEMU's names of Docker's architectures, where they differ.
QEMU_NAMES = {"arm64": "aarch64", "amd64": "x86_64"}
DOCKER_NAMES = {qemu: docker for docker, qemu in QEMU_NAMES.items()}


def docker_name(machine: str) -> str:
    """Return Docker's name of what ``uname -m`` says."""
    return {"armv7l": "arm", "i686": "386", **DOCKER_NAMES}.get(machine, machine)


def entry(architecture: str, table: Path = TABLE) -> Path:
    """Return the table's file for an architecture, there or not."""
    return table / f"qemu-{QEMU_NAMES.get(architecture, architecture)}"


def emulated(table: Path = TABLE) -> frozenset[str]:
    """Return the architectures that containers of this machine can run by emulation.

    Only entries that are enabled and hold their program open (flag F) count: without the flag
    the program is looked for inside the container, where it is not.
    """
    found = set()
    for path in table.glob("qemu-*"):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        flags = next((line for line in lines if line.startswith("flags:")), "")
        if lines[:1] == ["enabled"] and "F" in flags.removeprefix("flags:"):
            name = path.name.removeprefix("qemu-")
            found.add(DOCKER_NAMES.get(name, name))
    return frozenset(found)
