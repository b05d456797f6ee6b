"""The systems that the study rated, and what stands for each then and now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, get_args

Period = Literal["then", "now"]
PERIODS: tuple[Period, ...] = get_args(Period)

#: The day of the commit of the study's text that the statements are of.
STUDY_DAY = date(2016, 12, 6)


@dataclass(frozen=True, kw_only=True)
class System:
    """A system by the name that the study gives it.

    *frameworks*: by period, the framework of the matrix file that stands for it. *packages*: by
    period, its package in Python's index, if it is there. *labels*: by period, what tables call it
    where what stands for it is another program.
    """

    name: str
    frameworks: Mapping[Period, str]
    packages: Mapping[Period, str] = field(default_factory=dict)
    labels: Mapping[Period, str] = field(default_factory=dict)

    def label(self, period: Period) -> str:
        """Return what tables call it in a period."""
        return self.labels.get(period, self.name)


SYSTEMS = (
    System(name="Caffe", frameworks={"then": "caffe"}),
    System(name="CNTK", frameworks={"then": "cntk"}, packages={"then": "cntk"}),
    System(
        name="TensorFlow",
        frameworks={"then": "tensorflow1", "now": "tensorflow"},
        packages={"then": "tensorflow", "now": "tensorflow"},
    ),
    System(
        name="Theano",
        frameworks={"then": "theano", "now": "pytensor"},
        packages={"then": "theano", "now": "pytensor"},
        labels={"now": "PyTensor"},
    ),
    System(
        name="Torch",
        frameworks={"then": "torch1", "now": "torch"},
        packages={"now": "torch"},
        labels={"then": "torch 1.0.0", "now": "PyTorch"},
    ),
    System(name="JAX", frameworks={"now": "jax"}, packages={"now": "jax"}),
)


#: By framework, its variant with the system's own operations where it has a substitute for one: the
#: times of that one count.
TIMED = {"theano": "theano_own"}

#: By framework, the kinds of layers that it lacks, and computes by a substitute which takes many
#: times as long as an operation would: the times of a network with one are not the system's own.
SUBSTITUTED = {"pytensor": ("conv",)}


#: Frameworks whose own library for C++ is no runtime here: it might serve what the runtimes do not.
#: TensorFlow's of today reads the models of TensorFlow 1, libtorch none of torch 1.0.0.
WITH_LIBRARY_UNTRIED = ("caffe", "cntk", "torch1")


def rated(period: Period) -> dict[str, System]:
    """Return the systems of a period by the framework that stands for each."""
    return {system.frameworks[period]: system for system in SYSTEMS if period in system.frameworks}
