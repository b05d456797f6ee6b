"""Times as shares of what the machine can do: a share travels between machines, a time does not.

The peak is the fastest matrix product that any canary of the run saw on the machine, in FLOP/s.
Emulated cells and GPUs have none: their canaries say nothing of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from deepmatrix.results.rows import InferenceRow, PassRow, TrainingRow
from deepmatrix.workloads import networks
from deepmatrix.workloads.networks import Network


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Networks by workload and peaks, FLOP/s, by cell id; a cell without one has no share."""

    networks: Mapping[str, Network]
    peaks: Mapping[str, float]

    @cached_property
    def forward(self) -> dict[str, int]:
        """Operations of one example forward, by workload."""
        return {name: networks.flops(one) for name, one in self.networks.items()}

    @cached_property
    def backward(self) -> dict[str, int]:
        """Operations of one example forward and backward, by workload."""
        return {name: networks.training_flops(one) for name, one in self.networks.items()}

    def of_training(self, row: TrainingRow | None) -> TrainingRow | None:
        """Return the row with the share that its steps reach; the update is not counted."""
        if row is None or row.samples_per_s is None:
            return row
        share = self._share(row.cell, row.workload, row.samples_per_s, self.backward)
        return row.model_copy(update={"share": share})

    def of_inference(self, row: InferenceRow) -> InferenceRow:
        """Return the row with the share that its answers reach."""
        share = self._share(row.cell, row.workload, row.samples_per_s, self.forward)
        return row.model_copy(update={"share": share})

    def of_passes(self, row: PassRow) -> PassRow:
        """Return the row with the shares of both passes."""
        forward = row.batch / row.forward_s.median
        backward = row.batch / row.backward_s.median
        share = self._share
        return row.model_copy(
            update={
                "forward_share": share(row.cell, row.workload, forward, self.forward),
                "backward_share": share(row.cell, row.workload, backward, self.backward),
            }
        )

    def _share(
        self, cell: str, workload: str, samples_per_s: float, flops: Mapping[str, int]
    ) -> float | None:
        peak = self.peaks.get(cell)
        known = flops.get(workload)  # of a person's own model nothing is counted
        return known * samples_per_s / peak if peak and known else None
