"""The systems that the study rated, and what stands for each then and now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Period = Literal["then", "now"]
PERIODS: tuple[Period, ...] = get_args(Period)


@dataclass(frozen=True, kw_only=True)
class System:
    """A system by the name that the study gives it.

    *frameworks*: by period, the framework of the matrix file that stands for it.
    """

    name: str
    frameworks: Mapping[Period, str]


SYSTEMS = (
    System(name="Caffe", frameworks={"then": "caffe"}),
    System(name="CNTK", frameworks={"then": "cntk"}),
    System(name="TensorFlow", frameworks={"then": "tensorflow1", "now": "tensorflow"}),
    System(name="Theano", frameworks={"then": "theano", "now": "pytensor"}),
    System(name="Torch", frameworks={"now": "torch"}),
    System(name="JAX", frameworks={"now": "jax"}),
)


def rated(period: Period) -> dict[str, str]:
    """Return the frameworks of a period by the name of the system they stand for."""
    return {
        system.name: system.frameworks[period] for system in SYSTEMS if period in system.frameworks
    }
