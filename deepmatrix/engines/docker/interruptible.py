"""Calls to an engine that may never answer: a user who interrupts does not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from deepmatrix.engines.watch import TICK_S

#: How long an engine may take to end what was interrupted, in seconds.
GRACE_S = 10.0

T = TypeVar("T")


class NoAnswer(Exception):
    """The engine did not answer in time, or within the grace after an interruption."""


def call(action: Callable[[], T], cancel: threading.Event, grace_s: float = GRACE_S) -> T:
    """Return what *action* returns, or raise what it raises.

    It runs in a thread of its own: a call that waits for a socket cannot be ended, only left alone.

    Raises:
        NoAnswer: *cancel* was set, and the action still ran *grace_s* seconds later.
    """
    worker = _Worker(action)
    worker.start()
    while not worker.ended.wait(TICK_S):
        if cancel.is_set() and not worker.ended.wait(grace_s):
            raise NoAnswer
    return worker.result()


def call_within(action: Callable[[], T], seconds: float) -> T:
    """Return what *action* returns, or raise what it raises.

    It is left alone like that of `call`: a limit for each read of a socket is none for all of them.

    Raises:
        NoAnswer: it still ran after so many seconds.
    """
    worker = _Worker(action)
    worker.start()
    if not worker.ended.wait(seconds):
        raise NoAnswer
    return worker.result()


class _Worker(threading.Thread, Generic[T]):
    """Runs an action; ``ended`` is set when it has returned or raised."""

    def __init__(self, action: Callable[[], T]) -> None:
        super().__init__(daemon=True, name="engine call")
        self.ended = threading.Event()
        self._action = action
        self._results: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Run the action."""
        try:
            self._results.append(self._action())
        except BaseException as error:
            self._error = error
        finally:
            self.ended.set()

    def result(self) -> T:
        """Return the action's result, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._results[0]
