"""A line to a server on this machine, which a test can cut and mend."""

from __future__ import annotations

import contextlib
import socket
import threading


class Line:
    """Listens on a port of its own, and hands what comes on to *port*, and back."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self.port = 0
        self.mend()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def mend(self) -> None:
        """Take connections from now on."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Refuse connections from now on, and end those that there are."""
        with self._lock:
            ends, self._ends = [self._listener, *self._ends], []
            for end in ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    raise
                with self._lock:
                    if listener.fileno() < 0:
                        near.close()
                        far.close()
                        return
                    self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
