"""An ssh server on this machine, with keys of its own, for as long as a test runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("ssh", "ssh-keygen", "sshd")
PLACES = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin"
STARTS_S = 90.0

#: Where a server of root's is confined; the package's service makes it.
CONFINED = Path("/run/sshd")

SERVER = """
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
ListenAddress 127.0.0.1
Port {port}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
"""

CLIENT = """
Host board
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/user
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known
"""


def missing() -> list[str]:
    """Return the programs of OpenSSH that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=PLACES) is None]


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[Path]:
    """Run a server; yield the configuration with which `ssh -F` reaches it as ``board``."""
    folder.mkdir()
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name, text in (("server", SERVER), ("client", CLIENT)):
        (folder / name).write_text(text.format(folder=folder, port=port))
    public = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {public}")
    if os.geteuid() == 0:
        CONFINED.mkdir(exist_ok=True)
    program = shutil.which("sshd", path=PLACES)
    assert program
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "-D", "-e", "-f", folder / "server"], stderr=log)
    try:
        _await_answer(server, port, folder / "log")
        yield folder / "client"
    finally:
        server.terminate()
        server.wait(10)


def _await_answer(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + STARTS_S
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())
