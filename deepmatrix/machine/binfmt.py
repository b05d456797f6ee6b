"""Linux's table of programs that run foreign programs: how a machine runs another architecture."""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from deepmatrix.errors import EngineError
from deepmatrix.machine import processes

TABLE = Path("/proc/sys/fs/binfmt_misc")

#: Where packages describe their entries, as systemd reads them.
FOLDERS = (Path("/usr/lib/binfmt.d"), Path("/etc/binfmt.d"))

#: QEMU's names of Docker's architectures, where they differ.
QEMU_NAMES = {"arm64": "aarch64", "amd64": "x86_64"}
DOCKER_NAMES = {qemu: docker for docker, qemu in QEMU_NAMES.items()}


def docker_name(machine: str) -> str:
    """Return Docker's name of an architecture that ``uname -m`` names."""
    return {"armv7l": "arm", "i686": "386", **DOCKER_NAMES}.get(machine, machine)


def entry(architecture: str, table: Path = TABLE) -> Path:
    """Return the path of the table's entry for an architecture, which may not exist."""
    return table / f"qemu-{QEMU_NAMES.get(architecture, architecture)}"


def emulator(architecture: str) -> str:
    """Return the path of QEMU's program for an architecture that this machine runs itself, or "".

    It is linked statically, as Debian's is, so that it also starts in a container.
    """
    if docker_name(platform.machine().lower()) != architecture:
        return ""
    return shutil.which(f"{entry(architecture).name}-static") or ""


@cache
def program_digest(path: Path) -> str:
    """Return the SHA-256 of an emulator's program, 64 hex digits, or "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def program_digests(architectures: Iterable[str]) -> dict[str, str]:
    """Return what the programs of architectures hash to, side by side: each has 16 MB."""
    names = sorted(architectures)
    with ThreadPoolExecutor() as pool:
        return dict(
            zip(names, pool.map(program_digest, map(registered_program, names)), strict=True)
        )


def registered_program(architecture: str, table: Path = TABLE) -> Path:
    """Return the program that the table names for an architecture; it may not exist."""
    try:
        lines = entry(architecture, table).read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    interpreters = (line.split(" ", 1)[1] for line in lines if line.startswith("interpreter "))
    return Path(next(interpreters, entry(architecture, table).name))


def emulated_architectures(table: Path = TABLE) -> frozenset[str]:
    """Return the architectures that containers of this machine can run by emulation.

    Only entries that are enabled and hold their program open (flag F) count: without the flag
    the kernel searches the program inside the container, where it is not.
    """
    architectures = set()
    for path in table.glob("qemu-*"):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        flags = next((line for line in lines if line.startswith("flags:")), "")
        if lines[:1] == ["enabled"] and "F" in flags.removeprefix("flags:"):
            name = path.name.removeprefix("qemu-")
            architectures.add(DOCKER_NAMES.get(name, name))
    return frozenset(architectures)


def mount(table: Path = TABLE) -> bool:
    """Mount the table if it is not; say whether it had to be. Needs root."""
    if (table / "register").exists():
        return False
    processes.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(table)])
    return True


def register(architecture: str, table: Path = TABLE) -> None:
    """Enter an architecture, as the package of its QEMU describes it. Needs root.

    With systemd the package has registered it already; without systemd nothing has.

    Raises:
        EngineError: no package describes it, or the table refuses it.
    """
    name = entry(architecture).name
    description = next(
        (path for folder in FOLDERS if (path := folder / f"{name}.conf").is_file()), None
    )
    if description is None:
        raise EngineError(
            f"no description of {architecture} in {FOLDERS[0]}", hint="install qemu-user-binfmt"
        )
    lines = description.read_text(encoding="utf-8").splitlines()
    line = next(text.strip() for text in lines if text.strip() and text.strip()[0] not in "#;")
    with (table / "register").open("w", encoding="utf-8") as register_file:
        register_file.write(line)
    if architecture not in emulated_architectures(table):
        raise EngineError(
            f"the kernel's entry for {architecture} is off, or lacks the flag F, which containers "
            "need",
            hint="install qemu-user-static, then try again",
        )


def unregister(architecture: str, table: Path = TABLE) -> None:
    """Take an architecture out. Needs root. Raises OSError when it is not there."""
    entry(architecture, table).write_text("-1", encoding="utf-8")
