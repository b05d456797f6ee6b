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

    def open(self) -> bool:
        """Make its sessions, unless they are made, or a stage before it is not over.

        Return whether it is open now and was not before.
        """
        if self.is_open or not all(stage.is_over for stage in self._after):
            return False
        self._waiting = list(self._sessions_of(self.jobs))
        return True

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
        #: Of each site that is there, what suits it: the others wait until it has taken that.
        self._present: list[Suits] = []

    def enter(
        self, suits: Suits, serve: Callable[[Stage], None], *, only_timed: bool = False
    ) -> Callable[[], None]:
        """Return the work of a site, which is there from now on: the others wait for it.

        It *serves* the first of the open stages that hold what suits it, again and again. It waits
        while another site may open a stage, or give back what it could not serve, and ends when it
        can get no more. *only_timed*: it waits for timed stages alone.
        """
        with self._changed:
            self._present.append(suits)

        def work_off() -> None:
            try:
                while (stage := self._next(suits, only_timed)) is not None:
                    try:
                        serve(stage)
                    finally:
                        with self._changed:
                            stage.sites -= 1
                            self._changed.notify_all()
            finally:
                with self._changed:
                    self._present.remove(suits)

        return work_off

    def waiting(self) -> list[Session]:
        """Return the sessions of open stages that nobody has taken."""
        return [session for stage in self._stages for session in stage.waiting()]

    def _next(self, suits: Suits, only_timed: bool) -> Stage | None:
        """Return the next stage for a site, which counts as one that it serves from now on."""
        with self._changed:
            while not self._cancel.is_set():
                is_opened = False
                for stage in self._stages:
                    is_opened |= stage.open()
                    if any(map(suits, stage.waiting())):
                        stage.sites += 1
                        return stage
                if is_opened:  # it may have nothing to do: then another may open, an earlier too
                    continue
                if not self._may_come(only_timed):
                    return None
                self._changed.wait(LOOK_S)
        return None

    def _may_come(self, only_timed: bool) -> bool:
        """Return whether something may come for a site that nothing suits now."""
        expected = (stage for stage in self._stages if stage.is_timed or not only_timed)
        return any(stage.sites or not stage.is_open for stage in expected) and (
            any(stage.sites for stage in self._stages)
            or any(suits(session) for suits in self._present for session in self.waiting())
        )
