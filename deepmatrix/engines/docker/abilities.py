"""What an engine can run, read from what it says of itself: emulation, GPUs, its product's name."""

from __future__ import annotations

import platform
import re

from docker.types import DeviceRequest

from deepmatrix.engines import hardware
from deepmatrix.engines.docker.answers import Info, Version
from deepmatrix.engines.docker.connection import ANSWER_S
from deepmatrix.engines.docker.endpoints import Endpoint
from deepmatrix.errors import EngineError
from deepmatrix.machine import binfmt, processes


def emulated_architectures(endpoint: Endpoint, info: Info) -> frozenset[str]:
    """Return the architectures that the engine's machine runs by emulation, by Docker's names."""
    if _shares_kernel(endpoint, info):
        return binfmt.emulated_architectures()
    # What another machine can run, BuildKit there finds out by trying.
    builder = endpoint.context or "default"
    try:
        text = processes.run(
            ["docker", "buildx", "inspect", builder],
            environment=endpoint.environment(),
            timeout_s=ANSWER_S,
        )
    except EngineError:
        return frozenset()
    platforms = next((line for line in text.splitlines() if line.startswith("Platforms:")), "")
    return frozenset(re.findall(r"linux/(\w+)\*?(?=,|$)", platforms))


def gpu_request(info: Info) -> DeviceRequest | None:
    """Return the request for all NVIDIA devices, or None where the engine cannot serve it."""
    if any(device.id.startswith("nvidia.com/gpu=") for device in info.devices):
        return DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=all"])
    if "nvidia" in info.runtimes:
        return DeviceRequest(count=-1, capabilities=[["gpu"]])
    return None


def product(version: Version) -> str:
    """Name who answers the Docker API, ``Docker`` or ``Podman``, by its ``GET /version``."""
    is_podman = any("Podman" in component.name for component in version.components)
    return "Podman" if is_podman else "Docker"


def machine_facts(endpoint: Endpoint, info: Info) -> dict[str, str]:
    """Return what tells the engine's machine from others, without its name.

    The processor of another machine is not known.
    """
    return {
        "machine": hardware.short_digest(f"{info.id} {info.name}"),
        "cpu_count": str(info.cpus),
        "memory_bytes": str(info.memory),
        **(_kernel_facts(info) if _shares_kernel(endpoint, info) else {}),
    }


def _kernel_facts(info: Info) -> dict[str, str]:
    """Return the processor, and what the programs of emulators hash to, by architecture."""
    native = binfmt.docker_name(info.architecture)
    programs = {
        hardware.EMULATOR + name: digest[:12]
        for name, digest in binfmt.program_digests(
            binfmt.emulated_architectures() - {native}
        ).items()
    }
    return {**hardware.processor_facts(), **programs}


def _shares_kernel(endpoint: Endpoint, info: Info) -> bool:
    """Say whether containers share this machine's kernel."""
    return (
        endpoint.url.startswith("unix:")
        and info.os_type == platform.system().lower()
        and info.kernel == platform.release()
    )
