"""The terms of an artifact on a consumer: its tolerances, and where they come from."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace

from deepmatrix.config.sections import PRECISIONS, Override, Precision, Tolerances
from deepmatrix.judging.quantisation.quantised_steps import describe
from deepmatrix.planning.cells import Cell
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.records import Agreement, Deviation, JobRecord, Steps


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The tolerances of an artifact on a consumer: see `deepmatrix.config.matrix_file`.

    *precision*: the lowest of the consumer's arithmetic. *overrides*: tolerances that the matrix
    file sets for this artifact on it. *imported*: it is a user's own model.
    """

    tolerances: Tolerances
    precision: Precision = "float32"
    overrides: tuple[Override, ...] = ()
    imported: bool = False

    def of(self, record: JobRecord) -> Terms:
        """Return these terms in the precision that a process reports, where it may choose one.

        A consumer that has to keep to float32 is judged by float32, whatever it reports.
        """
        reported = record.output.environment.precision if record.output else None
        if self.precision == "float32" or reported not in PRECISIONS:
            return self
        return replace(self, precision=reported)

    def allowed(
        self,
        producer_error: float | None,
        output: str = "",
        dtype: str = "",
        steps: Steps | None = None,
        *,
        rounded: bool = False,
        computed_in: str = "",
        growth: float = 1.0,
    ) -> tuple[float, str]:
        """Return the tolerance of an output, and where it comes from.

        An output in a reduced precision, *dtype*, cannot be more exact than that. A quantised one
        has its *steps*, whatever the producer's error: one tie there is a whole step. Where gold is
        *rounded* itself, the producer's own error is unknown: it is as exact as what it is
        *computed_in*, where that is less than float32. *growth*: by what rounding costs more in its
        sums than in short ones.
        """
        if override := self.override(output):
            return override.error, f"override: {override.reason}"
        own = self.tolerances.factor * (producer_error or 0.0)
        terms = [
            (self.tolerances.floor * growth, _describe_floor(growth)),
            (own, f"{self.tolerances.factor:g} times {self.own_error}")
            if steps is None
            else (steps.error, describe(steps)),
            (self._reduced(self.precision), f"tolerance of {self.precision}"),
            (self._reduced(dtype), f"tolerance of {dtype}"),
            (
                max(self.tolerances.rounded, self._reduced(computed_in)) if rounded else 0.0,
                f"gold is in the model's own {computed_in or 'precision'}",
            ),
        ]
        return max(terms, key=lambda term: term[0])

    def override(self, output: str) -> Override | None:
        """Return the first tolerance that is set by hand for an output."""
        matching = (of for of in self.overrides if fnmatch.fnmatchcase(output, of.outputs))
        return next(matching, None)

    def allowed_of(self, output: Deviation, agreement: Agreement) -> tuple[float, str]:
        """Return the same for an output of an agreement."""
        producer_error = own_error(output, agreement)
        return self.allowed(
            producer_error,
            output.name,
            output.dtype,
            output.steps,
            rounded=output.rounded,
            computed_in=output.computed_in,
            growth=output.growth,
        )

    def _reduced(self, precision: str) -> float:
        errors = (error for name, error in self.tolerances.reduced.items() if name == precision)
        return next(errors, 0.0)

    @property
    def producer(self) -> str:
        """Who gave the outputs whose error the tolerance scales with."""
        return "inspector" if self.imported else "producer"

    @property
    def own_error(self) -> str:
        """The error that the tolerance scales with: that of the model in its own precision."""
        return "the model's rounding error" if self.imported else "the producer's own error"

    def largest_producer_error(self) -> float:
        """Return the error up to which a producer's own outputs count as right.

        A user's own model may be written in float16.
        """
        return max(self.tolerances.producer, self._reduced("float16") if self.imported else 0.0)


def _describe_floor(growth: float) -> str:
    long = f", grown {growth:.3g} times in a long sum" if growth > 1 else ""
    return f"the smallest tolerance{long}"


def terms_of(manifest: Manifest, consumer: Cell, artifact: str) -> Terms:
    """Return the terms of an artifact, by its id, on a consumer; threads change none of them."""
    tolerances, plain = manifest.matrix.tolerances, consumer.with_threads(0)
    return Terms(
        tolerances=tolerances,
        precision=consumer.precision,
        overrides=tuple(
            override
            for override in tolerances.overrides
            if fnmatch.fnmatchcase(artifact, override.subjects)
            and fnmatch.fnmatchcase(plain.id, override.cells)
        ),
        imported=any(model.artifact.id == artifact for model in manifest.plan.imports),
    )


def own_error(output: Deviation, agreement: Agreement) -> float | None:
    """Return the producer's own error; old records have one of all outputs."""
    return agreement.producer_error if output.producer_error is None else output.producer_error
