"""How well lanes are used: a simulation on many slots, and real processes on this machine.

The simulation plans presets, emulated cells included, for engines of 16 and 64 CPUs. Its jobs
sleep: a start and a time for each, as measured, many times shortened. It prints the share of the
lanes' time that was used, starts included, and the most memory that was promised at once. Goals:
90 %, and never more than the engine has. The default preset has 6 jobs for each of 64 lanes:
more starts would use the lanes, and end later. "wide" is of all networks. Then processes that only
compute run in one lane and in two. Goal: 1.7 times as fast. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

from common import ROOT

from deepmatrix.config import matrix_file
from deepmatrix.config.matrix import Matrix
from deepmatrix.execution.sessions.lanes import Lane, checked_lanes, work_off
from deepmatrix.execution.sessions.splitting import Session, in_order, split
from deepmatrix.planning.cells import Capabilities
from deepmatrix.planning.matrix_plan import plan_matrix
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.selection import Selection

#: Seconds of a start and of a job under emulation, and how much shorter they are here.
START_S, JOB_S, SHORTER = 15.0, 2.0, 100

GIB = 1 << 30

#: What is planned, and the CPUs and the memory of the engines that it is planned for.
PRESETS = ("default", "wide")
ENGINES = ((16, 128 * GIB), (64, 512 * GIB), (64, 64 * GIB))

SPIN = "import time\nwhile time.process_time() < 2.0: pass"


@dataclass
class Simulation:
    """Jobs that sleep, and what their lanes did."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    busy_s: float = 0.0
    promised: int = 0
    most_promised: int = 0

    def serve(self, session: Session, lane: Lane) -> None:
        """Sleep as long as a session takes, shortened."""
        with self.lock:
            self.promised += lane.memory_bytes
            self.most_promised = max(self.most_promised, self.promised)
        began = time.monotonic()
        time.sleep((START_S + JOB_S * len(session.jobs)) / SHORTER)
        with self.lock:
            self.busy_s += time.monotonic() - began
            self.promised -= lane.memory_bytes


def simulate(matrix: Matrix, preset: str, cpus: int, memory: int) -> None:
    """Print how the lanes of an engine are used by the second wave of a preset."""
    able = Capabilities(
        engine="docker",
        native=frozenset({"amd64"}),
        emulated=frozenset({"arm64"}),
        cpus=cpus,
        memory_bytes=memory,
    )
    plan: Plan = plan_matrix(matrix, Selection(preset=preset), able, seed=0)
    lanes = checked_lanes(matrix.limits, able)
    jobs = [job for job in plan.jobs("consume") if not plan.is_timed(job)]
    checked = in_order(plan, split(plan, jobs, len(lanes)), {})
    simulation = Simulation()
    began = time.monotonic()
    work_off(checked, lanes, simulation.serve, threading.Event())
    wall_s = time.monotonic() - began
    use = simulation.busy_s / (wall_s * len(lanes))
    print(
        f"{preset} on {cpus} CPUs, {memory // GIB} GiB: {len(lanes)} lanes, "
        f"{sum(len(session.jobs) for session in checked)} jobs in {len(checked)} sessions; "
        f"{wall_s * SHORTER:.0f} s, {use:.0%} used; "
        f"at most {simulation.most_promised // GIB} GiB promised"
    )


def with_wide(matrix: Matrix) -> Matrix:
    """Return the matrix with a preset like the default one, of all networks."""
    wide = matrix.presets["default"].model_copy(update={"workloads": tuple(matrix.workloads)})
    return matrix.model_copy(update={"presets": {**matrix.presets, "wide": wide}})


def compute(lanes: int) -> float:
    """Return the seconds that eight processes of two seconds each take in so many lanes."""
    usable = sorted(os.sched_getaffinity(0))

    def spin(_: int, lane: Lane) -> None:
        command = ["taskset", "-c", str(usable[lane.cpus[0]]), sys.executable, "-c", SPIN]
        subprocess.run(command, check=True)

    began = time.monotonic()
    work_off(range(8), [Lane((number,), GIB) for number in range(lanes)], spin, threading.Event())
    return time.monotonic() - began


def main() -> None:
    """Run the benchmark."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    matrix = with_wide(matrix_file.load(ROOT / "matrix.yaml"))
    for preset, (cpus, memory) in itertools.product(PRESETS, ENGINES):
        simulate(matrix, preset, cpus, memory)
    one, two = compute(1), compute(2)
    print(f"one lane {one:.1f} s, two lanes {two:.1f} s: {one / two:.2f} times as fast")


if __name__ == "__main__":
    main()
