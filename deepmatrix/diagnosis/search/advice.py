"""What a user can do about a wrong node, where that is known."""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """*why*: what the runtime does at the node. *action*: what to do about it."""

    why: str
    action: str
