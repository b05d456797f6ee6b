"""Efficiency: throughput as a share of the machine's peak, which compares between machines.

The peak is the fastest matrix product that any canary of the run measured on the machine, in
FLOP/s. Emulated cells and GPUs have no peak: canaries do not measure them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from deepmatrix.results.rows import TrainingRow
from deepmatrix.results.timing.rows import InferenceRow, PassRow
from deepmatrix.workloads import networks
from deepmatrix.workloads.networks import Network


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """Computes efficiencies from networks by workload and peaks, FLOP/s, by cell and machine."""

    networks: Mapping[str, Network]
    peaks: Mapping[tuple[str, str], float]

    @cached_property
    def forward(self) -> dict[str, int]:
        """Operations of one example forward, by workload."""
        return {name: networks.flops(network) for name, network in self.networks.items()}

    @cached_property
    def backward(self) -> dict[str, int]:
        """Operations of one example forward and backward, by workload."""
        return {name: networks.training_flops(network) for name, network in self.networks.items()}

    def of_training(self, row: TrainingRow | None) -> TrainingRow | None:
        """Return the row with the efficiency of its steps; the update's FLOPs are not counted."""
        if row is None or row.samples_per_s is None:
            return row
        efficiency = self._compute(row, row.samples_per_s, self.backward)
        return row.model_copy(update={"efficiency": efficiency})

    def of_inference(self, row: InferenceRow) -> InferenceRow:
        """Return the row with its efficiency."""
        efficiency = self._compute(row, row.samples_per_s, self.forward)
        return row.model_copy(update={"efficiency": efficiency})

    def of_passes(self, row: PassRow) -> PassRow:
        """Return the row with the efficiency of both passes."""
        forward = row.batch / row.forward_s.median
        backward = row.batch / row.backward_s.median
        return row.model_copy(
            update={
                "forward_efficiency": self._compute(row, forward, self.forward),
                "backward_efficiency": self._compute(row, backward, self.backward),
            }
        )

    def _compute(
        self,
        row: TrainingRow | InferenceRow | PassRow,
        throughput: float,
        flops: Mapping[str, int],
    ) -> float | None:
        peak = self.peaks.get((row.cell, row.machine))
        operations = flops.get(row.workload)  # not counted in a user's own model
        return operations * throughput / peak if peak and operations else None
