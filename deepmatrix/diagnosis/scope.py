"""How much is explained, and for how long: what the command line asks of a diagnosis."""

from __future__ import annotations

from typing import Final, Literal

#: What is explained: wrong answers; the error of every node of right ones too; nothing.
Scope = Literal["drift", "all", "none"]

#: How long the search for the first wrong node of one fault may take, in seconds.
BUDGET_S: Final = 120.0

#: How long the errors of all nodes of wrong answers are measured by default, in seconds, for all
#: answers of a run together. One copy of a model is always run to its end.
NODES_S: Final = 30.0
