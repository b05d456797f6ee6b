"""Sharing: the sessions of a stage, which several sites serve; each takes what suits it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from deepmatrix.execution.sessions.splitting import Session
from deepmatrix.planning.plan import Job


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

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Return jobs of a session that were not served, to be the next ones, in a process."""
        if jobs:
            with self._lock:
                self._waiting.insert(0, Session(jobs=tuple(jobs), is_timed=self.is_timed))

    def waiting(self) -> list[Session]:
        """Return the sessions that nobody has taken."""
        with self._lock:
            return list(self._waiting)

    def _take(self, suits: Callable[[Session], bool]) -> Session | None:
        with self._lock:
            for place, session in enumerate(self._waiting):
                if suits(session):
                    return self._waiting.pop(place)
        return None
