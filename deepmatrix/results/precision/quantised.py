"""Quantised artifacts beside the float32 ones of the same training, consumer by consumer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from deepmatrix.planning.subjects import Artifact
from deepmatrix.results.precision.rows import QuantisedRow, SpeedRow
from deepmatrix.results.rows import PortabilityRow
from deepmatrix.results.timing.rows import ExportRow, InferenceRow
from deepmatrix.results.timing.statistics import compare
from harness.formats import FORMATS

#: (artifact, consumer), by their ids.
Pair = tuple[str, str]


@dataclass(frozen=True)
class QuantisedRows:
    """Makes the rows. *accuracies*: of each artifact on a consumer, in the worst round."""

    artifacts: Mapping[str, Artifact]
    accuracies: Mapping[Pair, float]
    exports: Sequence[ExportRow]
    inference: Sequence[InferenceRow]

    def rows(self, portability: Sequence[PortabilityRow]) -> Iterator[QuantisedRow]:
        """Yield a row for each quantised artifact that a consumer was to serve."""
        sizes = {(row.cell, row.workload, row.format): row.bytes for row in self.exports}
        for judged in portability:
            artifact = self.artifacts[judged.artifact]
            if not FORMATS[artifact.format].is_quantised:
                continue
            original = replace(artifact, format=artifact.read_as)
            before, after = (
                self.accuracies.get((version.id, judged.consumer))
                for version in (original, artifact)
            )
            yield QuantisedRow(
                artifact=artifact.id,
                original=original.id,
                consumer=judged.consumer,
                isa=judged.isa,
                emulated=judged.emulated,
                verdict=judged.verdict,
                expected_failure=judged.expected_failure,
                original_accuracy=before,
                accuracy=after,
                lost=None if before is None or after is None else before - after,
                speed=tuple(self._speed(original.id, artifact.id, judged.consumer)),
                bytes=sizes.get((artifact.producer, artifact.workload, artifact.format)),
                original_bytes=sizes.get((original.producer, original.workload, original.format)),
            )

    def _speed(self, original: str, artifact: str, consumer: str) -> Iterator[SpeedRow]:
        timed = {
            (row.subject, row.batch): row.p50_s for row in self.inference if row.cell == consumer
        }
        for (subject, batch), after in sorted(timed.items()):
            before = timed.get((original, batch))
            if subject != artifact or before is None:
                continue
            compared = compare(after.round_medians, before.round_medians)
            if compared is None:
                ratio = after.median / before.median
                yield SpeedRow(batch=batch, ratio=ratio, direction="one round")
            else:
                yield SpeedRow(batch=batch, **vars(compared))
