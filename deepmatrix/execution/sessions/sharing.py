"""Sharing: the sessions of a stage, which several sites serve; each takes what suits it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from deepmatrix.execution.sessions.splitting import Session


class Shared:
    """Sessions that wait to be served, in their order; all of them are timed, or none is."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.is_timed = sessions[0].is_timed
        self._waiting = list(sessions)
        self._lock = threading.Lock()

    def sessions_for(self, suits: Callable[[Session], bool]) -> Iterator[Session]:
        """Yield the sessions that suit a site; no other site gets them."""
        while (session := self._take(suits)) is not None:
            yield session

    def _take(self, suits: Callable[[Session], bool]) -> Session | None:
        with self._lock:
            for place, session in enumerate(self._waiting):
                if suits(session):
                    return self._waiting.pop(place)
        return None
