"""The schedule: stages of sessions in their order, which several sites serve at once.

What the jobs of one stage produce, those of another consume: that one opens when all before are
over, and a site does meanwhile what is open.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from deepmatrix.execution.sessions.splitting import Session
from deepmatrix.planning.plan import Job

#: For how many seconds a site waits before it looks again for what others gave back.
LOOK_S = 0.5

Suits = Callable[[Session], bool]
"""Tells whether a session can be served at a site now."""


class Stage:
    """Sessions that may run side by side, or one after another where they are timed.

    They are made of *jobs* by *sessions_of*, as the stage opens: when all of *after* are over.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        is_timed: bool,
        after: Sequence[Stage],
        sessions_of: Callable[[Sequence[Job]], Sequence[Session]],
    ) -> None:
        self.jobs = jobs
        self.is_timed = is_timed
        #: How many sites serve it now.
        self.sites = 0
        self._after = after
        self._sessions_of = sessions_of
        self._waiting: list[Session] | None = None
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether its sessions are made."""
        return self._waiting is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.is_open and not self._waiting and not self.sites

    def open(self) -> None:
        """Make its sessions, unless they are made, or a stage before it is not over."""
        if not self.is_open and all(stage.is_over for stage in self._after):
            self._waiting = list(self._sessions_of(self.jobs))

    def sessions_for(self, suits: Suits) -> Iterator[Session]:
        """Yield the sessions that suit a site; no other site gets them."""
        while (session := self._take(suits)) is not None:
            yield session

    def give_back(self, session: Session) -> None:
        """Return a session that was not served, to be the next one."""
        with self._lock:
            self._waiting = [session, *self.waiting()]

    def waiting(self) -> list[Session]:
        """Return the sessions that nobody has taken."""
        return list(self._waiting or ())

    def _take(self, suits: Suits) -> Session | None:
        with self._lock:
            waiting = self._waiting or []
            for place, session in enumerate(waiting):
                if suits(session):
                    return waiting.pop(place)
        return None


class Schedule:
    """The stages of some jobs, in their order."""

    def __init__(self, stages: Sequence[Stage], cancel: threading.Event) -> None:
        self._stages = stages
        self._cancel = cancel
        self._changed = threading.Condition()

    def work_off(
        self, suits: Suits, serve: Callable[[Stage], None], *, only_timed: bool = False
    ) -> None:
        """Have a site *serve* the stages that hold what suits it, until it can get no more of them.

        It gets the first of those that are open, again and again. It waits while another site may
        open a stage, or give back what it could not serve. *only_timed*: for timed stages alone.
        """
        while (stage := self._enter(suits, only_timed)) is not None:
            try:
                serve(stage)
            finally:
                with self._changed:
                    stage.sites -= 1
                    self._changed.notify_all()

    def waiting(self) -> list[Session]:
        """Return the sessions of open stages that nobody has taken."""
        return [session for stage in self._stages for session in stage.waiting()]

    def _enter(self, suits: Suits, only_timed: bool) -> Stage | None:
        """Return the next stage for a site, which counts as one that it serves from now on."""
        with self._changed:
            while not self._cancel.is_set():
                for stage in self._stages:
                    stage.open()
                    if any(map(suits, stage.waiting())):
                        stage.sites += 1
                        return stage
                expected = (stage for stage in self._stages if stage.is_timed or not only_timed)
                may_come = any(stage.sites or not stage.is_open for stage in expected)
                if not (may_come and any(stage.sites for stage in self._stages)):
                    return None
                self._changed.wait(LOOK_S)
        return None
