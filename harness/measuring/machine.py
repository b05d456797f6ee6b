"""What the process runs on, read from the machine itself."""

import os
import platform
import sys
from typing import Any, Dict, List, Optional, Set, Tuple

#: Names of architectures in a cell, where the system has other names.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

#: Whether an emulator runs this process, as the host says: times mean nothing here.
emulated = False


def identity() -> Dict[str, str]:
    """Return what this interpreter is, by the keys of a job's cell: architecture and Python."""
    architecture = platform.machine().lower()
    return {
        "architecture": ARCHITECTURES.get(architecture, architecture),
        "python": "{}.{}".format(*sys.version_info),
    }


def environment(job: Dict[str, Any], described: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """Return the ``environment`` of ``output.json``.

    Args:
        job: the job, with the requested threads and device.
        described: the adapter's `describe`, or None where the framework did not start.
    """
    described = described or {}
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "machine": platform.machine(),
        "libc": libc(),
        "processor": processor(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": {
            "requested": job["threads"],
            "framework": described.get("threads"),
            "process": process_threads(),
        },
        "versions": dict(described.get("versions", {}), numpy=_numpy_version()),
        "device": {
            "requested": job["cell"]["device"],
            "actual": described.get("device"),
            "name": described.get("device_name"),
        },
        "blas": "; ".join(filter(None, [openblas(), described.get("blas")])) or None,
        "precision": described.get("precision"),
        "execution": described.get("execution"),
        "emulated": bool(job.get("emulated")),
        **(_brought_along(described) if "workload" in job else {}),
    }


def _brought_along(described: Dict[str, Any]) -> Dict[str, Any]:
    """Return what a framework brings along. The first of the versions is its own."""
    from harness.measuring import installed  # slow, and nothing for who only serves

    name = next(iter(described.get("versions", {})), "")
    return {
        "distribution": installed.describe(name),
        "shared_objects": installed.shared_objects(),
    }


def libc() -> Optional[str]:
    """Return the C library and its version, such as ``glibc 2.36``."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):
        return " ".join(platform.libc_ver()).strip() or None


def processor() -> Optional[str]:
    """Return the processor's name, else implementer and part; under QEMU often None."""
    facts: Dict[str, str] = {}
    for line in read_text("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    if "model name" in facts:
        return facts["model name"]
    if "CPU part" in facts:
        return f"implementer {facts.get('CPU implementer')} part {facts['CPU part']}"
    return None


def process_threads() -> Optional[int]:
    """Return how many threads this process has now, sleeping threads included."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return None


def thread_names() -> List[str]:
    """Return the names of this process's threads. Raises OSError where the system has no list."""
    tasks = os.listdir("/proc/self/task")
    return [read_text(f"/proc/self/task/{task}/comm").strip() for task in tasks]


def mapped_files() -> Set[str]:
    """Return the paths of the files in this process's memory, none where the system has no list."""
    maps = read_text("/proc/self/maps").splitlines()
    return {line.split(None, 5)[-1] for line in maps if "/" in line}


def openblas() -> Optional[str]:
    """Return numpy's OpenBLAS and the core type it chose, read from the loaded library."""
    import ctypes

    for path in sorted(path for path in mapped_files() if "openblas" in os.path.basename(path)):
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for pattern in (
            "scipy_openblas_{}64_",
            "openblas_{}64_",
            "scipy_openblas_{}",
            "openblas_{}",
        ):
            core = getattr(library, pattern.format("get_corename"), None)
            config = getattr(library, pattern.format("get_config"), None)
            if core and config:
                core.restype = config.restype = ctypes.c_char_p
                version = " ".join(config().decode().split()[:2])
                return f"numpy: {version} {core().decode()}"
    return None


def reset_peak() -> bool:
    """Make `peak_resident` count from now on; return whether the system can do that."""
    try:
        with open("/proc/self/clear_refs", "w") as target:
            target.write("5")
    except OSError:
        return False
    return True


def peak_memory(own_process: bool = True, was_reset: bool = False) -> Tuple[int, str]:
    """Return (bytes, source) of the peak memory so far.

    The source ``cgroup2`` or ``cgroup1`` is a control group, which counts all processes together.
    It counts only ours in a container, where process 1 is the harness or the init that started
    it; elsewhere it is not used. The source ``process`` is the largest single process of this
    process and its ended children, which is not their sum. A job that is not the first of its
    process (*own_process* unset) has the source ``process`` where the peak *was_reset* before it,
    else ``session``: then it may be an earlier job's.
    """
    if not own_process and was_reset:
        return peak_resident(), "process"
    source, value = _peak_of_group()
    if not value:
        import resource

        value = max(peak_resident(), _resident(resource.RUSAGE_CHILDREN))
    return value, source if own_process else "session"


def _peak_of_group() -> Tuple[str, int]:
    if 1 in (os.getpid(), os.getppid()):
        for source, path in (
            ("cgroup2", "/sys/fs/cgroup/memory.peak"),
            ("cgroup1", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"),
        ):
            value = read_text(path).strip()
            if value.isdigit():
                return source, int(value)
    return "process", 0


def peak_resident() -> int:
    """Return the most bytes this process alone had in memory, mapped files included.

    On Linux the peak is read from /proc: the peak of `getrusage` outlives exec and could be the
    host's.
    """
    import resource

    for line in read_text("/proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return _resident(resource.RUSAGE_SELF)


def _resident(who: int) -> int:
    import resource

    peak = resource.getrusage(who).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _numpy_version() -> Optional[str]:
    module = sys.modules.get("numpy")
    return getattr(module, "__version__", None)


def read_text(path: str) -> str:
    """Return the text of a file, nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            return source.read()
    except OSError:
        return ""
