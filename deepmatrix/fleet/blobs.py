"""Blobs: files that a worker was sent, by their digest, each checked when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deepmatrix.errors import EngineError, system_error
from deepmatrix.fleet.parcels import Sent, digest_of


@dataclass(frozen=True)
class Blobs:
    """The files of one run on this machine. A part of a file has another name until it is whole."""

    folder: Path

    def put(self, digest: str, content: bytes) -> None:
        """Take a small file as a whole. Raises EngineError where it has another digest."""
        part = self.begin()
        self.add(part, content)
        self.finish(part, digest)

    def begin(self) -> str:
        """Make the part of a file; return its name."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix="part-", dir=self.folder)).name
        except OSError as error:
            raise system_error(error, self.folder) from None

    def add(self, part: str, chunk: bytes) -> None:
        """Add the next bytes to a part. Raises EngineError where this machine cannot write it."""
        path = self.folder / part / "content"
        try:
            with path.open("ab") as file:
                file.write(chunk)
        except OSError as error:
            self.drop(part)
            raise system_error(error, self.folder) from None

    def finish(self, part: str, digest: str) -> None:
        """Make a part the file of its digest. Raises EngineError where it has another one."""
        path = self.folder / part / "content"
        path.touch()  # of an empty file nothing was sent
        arrived = digest_of(path)
        if arrived == digest:
            path.replace(self.folder / digest)
        self.drop(part)
        _check(arrived, digest)

    def drop(self, part: str) -> None:
        """Remove a part."""
        shutil.rmtree(self.folder / part, ignore_errors=True)

    def copy(self, sent: Sent, path: Path) -> None:
        """Copy a file to its place, or write it there.

        Raises EngineError where this machine cannot, or where it arrived damaged.
        """
        if sent.content is not None:
            _check(hashlib.sha256(sent.content).hexdigest(), sent.sha256)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if sent.content is None:
                shutil.copyfile(self.folder / sent.sha256, path)
            else:
                path.write_bytes(sent.content)
            path.chmod(0o755 if sent.executable else 0o644)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink()
            raise system_error(error, path) from None


def _check(arrived: str, digest: str) -> None:
    if arrived != digest:
        raise EngineError(f"a file arrived damaged: it hashes to {arrived}, not to {digest}")
