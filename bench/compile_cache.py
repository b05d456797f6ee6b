"""The cost of compiling in Theano and PyTensor: from a network to its first step, cold and warm.

Two fresh processes a round share a folder of compiled code: it is empty for the first process and
complete for the second. Both build the network, take one step and one inference.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from pathlib import Path

import numpy as np
from common import ROOT, show

from deepmatrix.config import matrix_file
from deepmatrix.engines.choose import discover
from deepmatrix.images.prepared import Prepared
from deepmatrix.machine import processes
from deepmatrix.planning.cells import Cell, all_cells
from deepmatrix.workloads import inputs, networks
from deepmatrix.workloads.networks.weights import initial_weights

CELLS = ("theano-debian11-amd64-cpu", "pytensor-debian13-amd64-cpu")
NETWORKS = ("digits-conv", "lstm-tiny", "googlenet-tiny", "transformer-tiny")

INSIDE = """
import importlib, json, time
import numpy
adapter = importlib.import_module("{adapter}")
adapter.start()
adapter.configure("cpu", 1)
with numpy.load("/shared/{network}.npz") as file:
    arrays = {{name: file[name] for name in file.files}}
network = json.loads(arrays.pop("network").tobytes().decode())
x, y = arrays.pop("x"), arrays.pop("y")
start = time.perf_counter()
model = adapter.build(network, arrays, 0.1)
batch = adapter.put(x, y)
float(adapter.step(model, batch))
adapter.predict(model, x)
print(json.dumps(time.perf_counter() - start))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    options = parser.parse_args()
    matrix = matrix_file.load(ROOT / "matrix.yaml")
    cells = [cell for cell in all_cells(matrix) if cell.id in CELLS]
    engine = discover(matrix)
    prepared = engine.prepare(cells, lambda *_: None)
    print(f"from a network to its first step and answer, seconds, {options.rounds} rounds")
    for name in options.networks:
        for cell in cells:
            times: dict[str, list[float]] = {"cold": [], "warm": []}
            for _ in range(options.rounds):
                with tempfile.TemporaryDirectory() as folder:
                    shared = Path(folder)
                    write(shared, name)
                    for spent in times.values():
                        command = docker(cell, prepared[cell.id], shared, name)
                        output = processes.run(command, environment=engine.endpoint.environment())
                        spent.append(float(json.loads(output.splitlines()[-1])))
            shown = ", ".join(f"{state} {show(values, 2)}" for state, values in times.items())
            print(f"  {name:18} {cell.name:9} {shown}", flush=True)


def write(shared: Path, name: str) -> None:
    """Write a network with its weights and a batch where the process finds them."""
    network = networks.NETWORKS[name]
    data = inputs.load_data(network)
    target = io.BytesIO()
    np.savez(
        target,
        network=np.frombuffer(json.dumps(network).encode(), np.uint8),
        x=data["train_x"][:8],
        y=data["train_y"][:8],
        **initial_weights(network, 0),
    )
    (shared / f"{name}.npz").write_bytes(target.getvalue())
    shared.chmod(0o777)


def docker(cell: Cell, prepared: Prepared, shared: Path, name: str) -> list[str]:
    """Return what runs one process; what it compiles stays in the shared folder."""
    code = INSIDE.format(adapter=cell.adapter, network=name)
    harness = f"{ROOT / 'harness'}:/opt/deepmatrix/harness:ro"
    settings = {**cell.environment, "TMPDIR": "/shared", "OPENBLAS_NUM_THREADS": "1"}
    settings["PYTHONPATH"] = "/opt/deepmatrix:/packages"
    environment_options = [
        part for key, value in settings.items() for part in ("--env", f"{key}={value}")
    ]
    mounts = ["--volume", harness, "--volume", f"{shared}:/shared"]
    return ["docker", "run", "--rm", *mounts, *environment_options, prepared.reference, "-c", code]


if __name__ == "__main__":
    main()
