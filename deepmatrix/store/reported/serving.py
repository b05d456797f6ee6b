"""What a consumer reports beside its answers: MLPerf's scenarios, and what it generated."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from deepmatrix.boundary.bounds import Count, Few, NotNegative, Number, Seconds
from deepmatrix.store.parts import Reported

Throughput = Annotated[Number, Field(ge=0, le=1e24)]


class ScenarioData(Reported):
    """One of MLPerf's scenarios as LoadGen judged it. *bound_s*: the server's limit of *p99_s*."""

    valid: bool
    samples_per_s: Throughput
    p90_s: Seconds | None = None
    p99_s: Seconds | None = None
    bound_s: Seconds | None = None


class GenerationData(Reported):
    """What was generated greedily, several times.

    For each of the *tokens*, of the first time: *runners_up*, the tokens whose logits come second;
    *margins*, how far these are below; *scales*, the largest absolute logits. *repeatable*: the
    tokens were the same each time. *cache_bytes*: at the end. *prefill_s*: seconds of the prompt,
    with which the first token comes, each time; *step_s*: those of each further token. The first
    time is warm-up, where there are others.
    """

    tokens: Few[Count] = Field(min_length=1)
    runners_up: Few[Count]
    margins: Few[NotNegative]
    scales: Few[NotNegative]
    repeatable: bool
    cache_bytes: Count
    prefill_s: Few[Seconds] = Field(min_length=1)
    step_s: Few[Few[Seconds]]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        count = len(self.tokens)
        if {count} != {len(self.runners_up), len(self.margins), len(self.scales)}:
            raise ValueError("not every token has a margin")
        if len(self.step_s) != len(self.prefill_s) or {count - 1} != {*map(len, self.step_s)}:
            raise ValueError("not every token has its seconds")
        return self

    @property
    def steady(self) -> slice:
        """Which times count: those after the first, where there are any."""
        return slice(1 if len(self.prefill_s) > 1 else 0, None)
