"""`nox -s engine`: a Docker engine on Debian or Ubuntu, from their own packages.

Asks no questions, changes nothing where an engine answers, prints every change, and can undo what
it started: packages, a private daemon, and the kernel's entries for other architectures.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from deepmatrix.boundary.files import Damaged, read_json
from deepmatrix.boundary.writing import write_text
from deepmatrix.engines import choose
from deepmatrix.engines.setup import daemon
from deepmatrix.engines.setup.daemon import Daemon
from deepmatrix.errors import EngineError
from deepmatrix.invocation import command_line
from deepmatrix.machine import binfmt, processes
from deepmatrix.machine.packages import apt
from deepmatrix.paths import IMPORT_ROOT

Say = Callable[[str], None]

ETC = Path("/etc")

#: The Debian release whose engine is new enough, for machines whose own is not.
SUITE = "trixie"

DEBIAN = (
    "docker.io",
    "docker-cli",
    "docker-buildx",
    "qemu-user",
    "qemu-user-static",
    "qemu-user-binfmt",
    "binfmt-support",
)
UBUNTU = ("docker.io", "docker-buildx", "qemu-user-static", "binfmt-support")

#: The architectures that a matrix file may name, by Docker's names.
ARCHITECTURES = ("amd64", "arm64", "arm", "ppc64le", "riscv64", "s390x")

#: The packages that make Debian roots where no registry answers, from the machine's own release.
TOOLS = ("mmdebstrap", "arch-test")

ELSEWHERE = "install Docker or Podman as their documentation says, or use --engine venv"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The packages to install: *engine* from *suite* if set, *tools* from the own release."""

    engine: tuple[str, ...]
    tools: tuple[str, ...]
    suite: str | None = None


@dataclass(kw_only=True)
class Changes:
    """The changes to undo in the end; in a file of the run folder, which is gone after a boot."""

    architectures: list[str] = field(default_factory=list)
    mounted: bool = False
    bridge: bool = False
    service: bool = False

    def save(self, private: Daemon) -> None:
        """Write it to its file."""
        private.run.mkdir(parents=True, exist_ok=True)
        write_text(_changes_file(private), json.dumps(asdict(self)))


def start(*, say: Say, private: Daemon | None = None) -> None:
    """Set an engine up, or say which one answers already.

    Raises:
        EngineError: not Debian or Ubuntu, no right to do it, or a step failed.
    """
    private = private or Daemon()
    with suppress(EngineError):
        engine = choose.discover()
        say(f"{engine.product()} answers at {engine.endpoint.origin}: nothing changed")
        _say_emulation(engine.capabilities().emulated, say)
        return
    system = os_release()
    recipe = recipe_for(system, has_candidate=_has_candidate)
    if os.geteuid() != 0:
        _rerun_as_root("engine", say=say)
        return
    changes = Changes()
    _install(recipe, say)
    changes.save(private)
    _emulate(changes, say)
    changes.save(private)
    if _has_own_service():
        changes.service = True
        changes.save(private)
        say("the package has started Docker's own service: no private daemon is needed")
        return
    _start_daemon(private, changes, say)
    say(f"to end it: {command_line('engine', '--stop')}")


def stop(*, say: Say, private: Daemon | None = None) -> None:
    """Undo `start`, except for packages and images; print how to remove the images."""
    private = private or Daemon()
    if private.pid() is None and not _changes_file(private).exists():
        say("nothing to end: no private daemon runs")
        return
    if os.geteuid() != 0:
        _rerun_as_root("engine", "--stop", say=say)
        return
    changes = _read(private)
    if private.stop():
        say(f"ended the private daemon at {private.url}")
    if changes.service:
        processes.run(["systemctl", "stop", "docker.socket", "docker.service"])
        say("stopped Docker's own service")
    if (
        changes.bridge
        and Path("/sys/class/net/docker0").exists()
        and not daemon.foreign_daemons(private)
    ):
        processes.run(["ip", "link", "delete", "docker0"])
        say("removed the network bridge docker0")
    for architecture in changes.architectures:
        with suppress(OSError):
            binfmt.unregister(architecture)
            say(f"removed the kernel's entry for {architecture}")
    if changes.mounted:
        with suppress(EngineError):
            processes.run(["umount", str(binfmt.TABLE)])
            say(f"unmounted {binfmt.TABLE}")
    shutil.rmtree(private.run, ignore_errors=True)
    say(f"images stay in {private.data}; to remove them: rm -r {private.data}")


def os_release(path: Path = ETC / "os-release") -> dict[str, str]:
    """Return the fields of ``/etc/os-release``; none where there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key: "".join(shlex.split(text)) for key, _, text in pairs}


def recipe_for(system: dict[str, str], *, has_candidate: Callable[[str], bool]) -> Recipe:
    """Return what to install on a system with these fields of ``/etc/os-release``.

    *has_candidate* tells whether the system's package sources have a package: they count, not
    the number of the release. Raises EngineError for other systems.
    """
    names = {system.get("ID", ""), *system.get("ID_LIKE", "").split()}
    if "ubuntu" in names and has_candidate("docker-buildx"):
        return Recipe(engine=UBUNTU, tools=(*TOOLS, "debian-archive-keyring"))
    if "debian" in names and "ubuntu" not in names:
        suite = None if has_candidate("docker-buildx") else SUITE
        return Recipe(engine=DEBIAN, tools=TOOLS, suite=suite)
    name = system.get("PRETTY_NAME") or platform.system()
    raise EngineError(f"engines are set up on Debian and Ubuntu; this is {name}", hint=ELSEWHERE)


def source(mirror: str, suite: str) -> str:
    """Return an apt source, in apt's own format, for a suite of Debian."""
    return (
        f"Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )


def pin(suite: str) -> str:
    """Return the apt preference that installs from a suite only when the suite is named."""
    return f"Package: *\nPin: release n={suite}\nPin-Priority: 100\n"


def _install(recipe: Recipe, say: Say) -> None:
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    engine = [name for name in recipe.engine if not _is_installed(name)]
    tools = [name for name in recipe.tools if not _is_installed(name)]
    if engine and recipe.suite:
        for path, text in _apt_files(recipe.suite):
            path.write_text(text, encoding="utf-8")
            say(f"wrote {path}")
    if engine or tools:
        processes.run(["apt-get", "update"], environment=environment)
    install = ["apt-get", "install", "--yes", "--no-install-recommends"]
    target = ["--target-release", recipe.suite] if recipe.suite else []
    if engine:
        processes.run([*install, *target, *engine], environment=environment)
    if tools:
        processes.run([*install, *tools], environment=environment)
    if engine or tools:
        say(f"installed {' '.join([*engine, *tools])}")


def _apt_files(suite: str) -> Iterator[tuple[Path, str]]:
    yield ETC / f"apt/sources.list.d/deepmatrix-{suite}.sources", source(_mirror(), suite)
    yield ETC / f"apt/preferences.d/deepmatrix-{suite}", pin(suite)


def _mirror() -> str:
    """Return the Debian mirror that this machine's own apt sources name."""
    if address := apt.mirrors().get("Debian"):
        return address
    raise EngineError(
        "apt knows no Debian mirror", hint="add one to /etc/apt/sources.list.d and apt-get update"
    )


def _has_candidate(package: str) -> bool:
    try:
        text = processes.run(["apt-cache", "policy", package])
    except EngineError:
        return False
    candidate = [line for line in text.splitlines() if line.strip().startswith("Candidate:")]
    return bool(candidate) and "(none)" not in candidate[0]


def _is_installed(package: str) -> bool:
    try:
        text = processes.run(["dpkg-query", "--show", "--showformat", "${Status}", package])
    except EngineError:
        return False
    return text.endswith(" installed")


def _emulate(changes: Changes, say: Say) -> None:
    """Register QEMU for other architectures; without it all native cells still run."""
    runnable = {binfmt.docker_name(platform.machine()), *binfmt.emulated_architectures()}
    for architecture in ARCHITECTURES:
        if architecture in runnable:
            continue
        try:
            changes.mounted = binfmt.mount() or changes.mounted
            binfmt.register(architecture)
        except (OSError, EngineError) as error:
            say(f"cells for {architecture} will not run: the kernel refuses its entry ({error})")
            continue
        changes.architectures.append(architecture)
        say(f"registered QEMU for {architecture} in {binfmt.TABLE}")


def _say_emulation(emulated: frozenset[str], say: Say) -> None:
    if not emulated:
        say(
            "it emulates no other architecture: install qemu-user-static and binfmt-support "
            "on its machine to run their cells"
        )


def _start_daemon(private: Daemon, changes: Changes, say: Say) -> None:
    if daemon.foreign_daemons(private) and not private.apart:
        raise EngineError(
            "another Docker daemon runs on this machine, and does not answer",
            hint="join its group (usually docker), or name it by DOCKER_HOST",
        )
    changes.bridge = not private.apart and not Path("/sys/class/net/docker0").exists()
    group = ("--group", os.environ["SUDO_GID"]) if "SUDO_GID" in os.environ else ()
    started = replace(private, options=(*private.options, *group))
    started.start()
    changes.save(private)
    say(f"started a private daemon: {shlex.join(started.command())}")
    say(f"it answers at {private.url}, where deepmatrix finds it; for docker itself:")
    say(f"  export DOCKER_HOST={private.url}")


def _has_own_service() -> bool:
    """Say whether the packages have started a daemon of the system's."""
    try:
        choose.discover()
    except EngineError:
        return False
    return True


def _rerun_as_root(*arguments: str, say: Say) -> None:
    """Run the command again by sudo, if sudo needs no password."""
    try:
        processes.run(["sudo", "--non-interactive", "true"])
    except EngineError:
        command_line = f"sudo {shlex.join([sys.executable, '-m', 'deepmatrix', *arguments])}"
        raise EngineError("this needs root", hint=f"run it as root: {command_line}") from None
    # The user could not remove root's byte code from the user's folders.
    environment = ["env", "PYTHONDONTWRITEBYTECODE=1", f"PYTHONPATH={IMPORT_ROOT}"]
    command = [*environment, sys.executable, "-m", "deepmatrix", *arguments]
    say(processes.run(["sudo", "--non-interactive", *command], cwd=IMPORT_ROOT).rstrip())


def _changes_file(private: Daemon) -> Path:
    return private.run / "made.json"


def _read(private: Daemon) -> Changes:
    try:
        return read_json(_changes_file(private), TypeAdapter(Changes))
    except (OSError, Damaged):
        return Changes()
