"""The time saved by installing a foreign architecture's wheels without emulation.

Two measurements, on the machine's own engine:

* The same wheels of one arm64 cell, from one local folder, with the same Python, installed three
  ways, interleaved: by pip and by uv running emulated in an arm64 container, and by uv running
  natively in a container of this machine's architecture; each without and with bytecode, which
  pip makes by default and uv with an option. Last, natively and as images are built: with the
  bytecode that cells need, of everything but the packages' own tests. The goal compares this with
  pip's default, which is what a plain Dockerfile does. The clock runs inside the container and
  times only the installation, into memory: the engine's disk takes up to ten times as long for
  the same files, whatever the way. A first turn, which reads the tools from disk, is not counted.
* With ``--images``: the images of arm64 cells build from nothing while the kernel's entry that
  runs foreign programs is off, so that no emulated instruction can run. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from deepmatrix.config import matrix_file  # noqa: E402
from deepmatrix.config.families import FAMILIES  # noqa: E402
from deepmatrix.config.matrix import Matrix  # noqa: E402
from deepmatrix.engines.choose import discover  # noqa: E402
from deepmatrix.images import bases, build, inspection, pins  # noqa: E402
from deepmatrix.images.bases import Root  # noqa: E402
from deepmatrix.images.recipes import DOCKER  # noqa: E402
from deepmatrix.machine import binfmt, processes  # noqa: E402
from deepmatrix.machine.packages import indexes  # noqa: E402
from deepmatrix.planning.cells import Cell, all_cells  # noqa: E402

FOREIGN = "arm64"
GOAL = 20.0

TIMED = "a=$(date +%s.%N); {command} >&2; b=$(date +%s.%N); echo $a $b"
PIP = "/tools/bin/python -m pip install --no-cache-dir --disable-pip-version-check"
UV = "/tools/bin/uv pip install --no-cache --python /tools/bin/python"
IMAGES = "uv, native, as images"
BYTECODE = "/tools/bin/python /job/bytecode.py /memory/packages"
COMMON = (
    "--no-index --find-links /job/wheels --no-deps --require-hashes --only-binary :all: "
    "--target /memory/packages --requirement /job/pins.txt"
)
TOOLS = "python3 -m venv /tools && /tools/bin/python -m pip install --disable-pip-version-check "
TOOLS += "--no-index --find-links /job/wheels --require-hashes --requirement /job/tools.txt >&2"


def main() -> int:
    """Run the measurement that the arguments choose; fail when the goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cell", default="onnxruntime-debian13-arm64-cpu")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--images", metavar="GLOB", help="build these cells with emulation off")
    options = parser.parse_args()
    matrix = matrix_file.load(ROOT / "matrix.yaml")
    cells = [cell for cell in all_cells(matrix) if not matrix.exclusion(cell.id)]
    engine = discover()
    environment = engine.endpoint.environment()
    engine.close()
    if options.images:
        chosen = [cell for cell in cells if fnmatch.fnmatchcase(cell.id, options.images)]
        build_without_emulation(chosen, matrix, environment)
        return 0
    cell = next(cell for cell in cells if cell.id == options.cell)
    return compare(cell, matrix, environment, options.repeat)


def compare(cell: Cell, matrix: Matrix, environment: dict[str, str], repeat: int) -> int:
    """Time the ways in turn and report the times; return 1 if the goal is missed."""
    architecture = matrix.architectures[cell.architecture]
    native = binfmt.docker_name(os.uname().machine)
    across = f"--python-version {cell.python} --python-platform {architecture.wheels}"
    ways = {
        "pip, emulated": (FOREIGN, f"{PIP} --no-compile {COMMON}"),
        "uv, emulated": (FOREIGN, f"{UV} {COMMON}"),
        "uv, native": (native, f"{UV} {COMMON} {across}"),
        "pip, emulated, + bytecode": (FOREIGN, f"{PIP} {COMMON}"),
        "uv, emulated, + bytecode": (FOREIGN, f"{UV} --compile-bytecode {COMMON}"),
        "uv, native, + bytecode": (native, f"{UV} --compile-bytecode {COMMON} {across}"),
        IMAGES: (native, f"{UV} {COMMON} {across} && {BYTECODE}"),
    }
    seconds_by_way: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as temporary:
        job = Path(temporary)
        images_of = {
            name: base_image(cell, matrix, name, environment) for name in (native, FOREIGN)
        }
        fetch(cell, job)
        tooled = {
            name: with_tools(image, name, job, environment) for name, image in images_of.items()
        }
        try:
            for turn in range(repeat + 1):
                for way in random.Random(turn).sample(list(ways), len(ways)):
                    where, command = ways[way]
                    seconds = timed(tooled[where], command, job, environment)
                    if turn:
                        seconds_by_way[way].append(seconds)
                    print(f"{turn}/{repeat}  {way:26}{seconds:8.2f} s")
        finally:
            processes.run(["docker", "rmi", "--force", *tooled.values()], environment=environment)
    return report(cell, architecture, seconds_by_way)


def report(
    cell: Cell, architecture: matrix_file.Architecture, seconds_by_way: dict[str, list[float]]
) -> int:
    """Print medians, ranges and ratios; return 1 if the goal is missed."""
    size = sum(1 for _ in indexes.hashes_by_project(pins.path(cell.pinned).read_text()))
    print(f"\n{cell.id}: {size} wheels, QEMU_CPU={architecture.emulation.get('QEMU_CPU')}")
    print(f"{'':26}{'wall s, median (range)':30}{'times ours':>14}")
    for way, seconds in seconds_by_way.items():
        median = statistics.median(seconds)
        print(
            f"{way:26}{f'{median:7.2f} ({min(seconds):.2f} to {max(seconds):.2f})':30}"
            f"{median / statistics.median(seconds_by_way[IMAGES]):14.1f}"
        )
    plain = statistics.median(seconds_by_way["pip, emulated, + bytecode"])
    ratio = plain / statistics.median(seconds_by_way[IMAGES])
    print(f"a plain Dockerfile, pip emulated, against ours: {ratio:.1f} times")
    print(f"goal {GOAL:g} times: {'met' if ratio >= GOAL else 'MISSED'}")
    same = plain / statistics.median(seconds_by_way["uv, native, + bytecode"])
    print(f"with bytecode of everything on both sides it is {same:.1f} times")
    return 0 if ratio >= GOAL else 1


def base_image(cell: Cell, matrix: Matrix, architecture: str, environment: dict[str, str]) -> str:
    """Return an image with the cell's Python and pip for an architecture."""
    base = matrix.bases[cell.base]
    if bases.base_kind(base.image, environment) == "registry":
        pull = ["docker", "pull", "--quiet", "--platform", f"linux/{architecture}", base.image]
        processes.run(pull, environment=environment)
        tag = f"deepmatrix/bench-{architecture}"
        processes.run(["docker", "tag", base.image, tag], environment=environment)
        return tag
    root = Root(
        name=f"{cell.base}-build",
        suite=base.suite,
        architecture=architecture,
        packages=FAMILIES["wheels"].roots["build"].packages_for(architecture, architecture),
    )
    target = root.bake(root.make_filesystem())
    build = ["docker", "buildx", "build", "--load", "--platform", target["platforms"][0]]
    build += ["--tag", target["tags"][0], "--file", target["dockerfile"], target["context"]]
    processes.run(build, environment=environment)
    return str(target["tags"][0])


def fetch(cell: Cell, job: Path) -> None:
    """Download the cell's wheels, and uv's for both machines, so that no network is timed."""
    (job / "wheels").mkdir()
    (job / "bytecode.py").write_bytes((DOCKER / cell.family / "bytecode.py").read_bytes())
    (job / "pins.txt").write_text(pins.path(cell.pinned).read_text())
    (job / "tools.txt").write_text(pins.path(pins.TOOLS).read_text())
    tags = [*(f"manylinux_2_{minor}" for minor in range(17, 37)), "manylinux2014"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", f"--dest={job / 'wheels'}"]
    command += [f"--python-version={cell.python}"]
    for listed, machine in (("pins", "aarch64"), ("tools", "aarch64"), ("tools", "x86_64")):
        platforms = [f"--platform={tag}_{machine}" for tag in tags]
        processes.run([*command, *platforms, f"--requirement={job / listed}.txt"])


def with_tools(image: str, architecture: str, job: Path, environment: dict[str, str]) -> str:
    """Return an image with pip and uv in a virtual environment, made outside the clock."""
    tag = f"deepmatrix/bench-tools-{architecture}"
    name = f"deepmatrix-bench-{os.getpid()}"
    run = container(job, "--name", name)
    try:
        processes.run([*run, image, "-c", TOOLS], environment=environment)
        processes.run(["docker", "commit", name, tag], environment=environment)
    finally:
        with contextlib.suppress(processes.CommandFailed):
            processes.run(["docker", "rm", "--force", name], environment=environment)
    return tag


def timed(image: str, command: str, job: Path, environment: dict[str, str]) -> float:
    """Run an installation in a fresh container; return its seconds."""
    script = f"set -e; {TIMED.format(command=command)}"
    output = processes.run([*container(job, "--rm"), image, "-c", script], environment=environment)
    start, end = output.split()
    return float(end) - float(start)


def container(job: Path, *options: str) -> list[str]:
    """Return the start of a command line that runs a shell in a container."""
    return [
        *("docker", "run", "--network=none", "--entrypoint=/bin/sh"),
        *(f"--volume={job}:/job:ro", "--env=QEMU_CPU=neoverse-n1"),
        *("--tmpfs=/memory:exec", "--env=TMPDIR=/memory"),
        *options,
    ]


def build_without_emulation(cells: list[Cell], matrix: Matrix, environment: dict[str, str]) -> None:
    """Build images from nothing while no foreign program can run; print how long it took."""
    recipes = build.recipes_for(cells, matrix, environment)
    native = binfmt.docker_name(os.uname().machine)
    roots = {root for recipe in recipes for root in recipe.roots(native).values()}
    with tempfile.TemporaryDirectory() as temporary, emulation_off():
        workshop = build.Workshop(
            folder=Path(temporary),
            sources=indexes.configured_sources(),
            architecture=native,
            roots={root: root.make_filesystem() for root in roots},
        )
        file = Path(temporary) / "bake.json"
        file.write_text(json.dumps(build.bake_file(recipes, workshop)))
        builder = processes.run(["docker", "context", "show"], environment=environment).strip()
        start = time.perf_counter()
        processes.run(
            ["docker", "buildx", "bake", "--file", str(file), "--no-cache"],
            environment={**environment, "BUILDX_BUILDER": builder},
        )
        seconds = time.perf_counter() - start
    images = inspection.images([recipe.reference for recipe in recipes], environment)
    for recipe in recipes:
        size_mb = images[recipe.reference].size_bytes / 1e6
        print(f"{recipe.reference}  {recipe.platform}  {size_mb:,.0f} MB")
    print(f"built from nothing, with emulation off, in {seconds:.1f} s")


@contextlib.contextmanager
def emulation_off() -> Iterator[None]:
    """Switch the kernel's entry for the foreign architecture off, and on again in any case."""
    entry = binfmt.entry(FOREIGN)
    was = entry.exists() and FOREIGN in binfmt.emulated_architectures()
    if was:
        entry.write_text("0")
    try:
        assert FOREIGN not in binfmt.emulated_architectures()
        yield
    finally:
        if was:
            entry.write_text("1")


if __name__ == "__main__":
    sys.exit(main())
