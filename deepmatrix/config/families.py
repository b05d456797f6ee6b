"""Image families: which operating-system roots and files a folder of ``docker/`` is built from.

A family's Dockerfile names its roots as contexts. Each is an official image where a registry
answers, with packages on top where it needs more, or a Debian root of just these packages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Packages of every root: the basic commands that a user expects in a shell.
COMMON = (
    "base-files",
    "base-passwd",
    "bash",
    "dash",
    "coreutils",
    "libc-bin",
    "grep",
    "sed",
    "findutils",
)

#: Debian's names of Docker's architectures, where they differ, and the names of their compilers.
DEBIAN_NAMES = {"386": "i386", "arm": "armhf", "ppc64le": "ppc64el"}
COMPILERS = {
    "amd64": "x86-64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "ppc64le": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A root of a family.

    It has the target's architecture, or where *native* is set, that of the build machine.
    *stock*: an official image of Python has all its packages.

    *packages* are templates, since a native root can hold packages of both architectures.
    ``{debian}`` is Debian's name of the target, ``{compiler}`` the name of its compiler, and
    ``{cross}`` the suffix of a cross compiler's package, empty for a native compiler.
    """

    name: str
    packages: tuple[str, ...]
    native: bool = False
    stock: bool = False

    def packages_for(self, target: str, architecture: str) -> tuple[str, ...]:
        """Return the packages for a target, in a root of an architecture, by Docker's names."""
        compiler = COMPILERS.get(target, "")
        names = {
            "debian": DEBIAN_NAMES.get(target, target),
            "compiler": compiler,
            "cross": "" if target == architecture else f"-{compiler}",
        }
        return tuple(package.format(**names) for package in (*COMMON, *self.packages))


@dataclass(frozen=True, kw_only=True)
class Family:
    """A folder of ``docker/``: its roots by the contexts of its Dockerfile.

    *wheels*: it installs the cell's pins. *linked*: it copies what the family `wheels` installed
    of them. *compiles*: at the build or in the cell, programs are compiled with headers of wheels.
    *overlaid*: it copies a Python of this machine onto its root. *npm*: it installs from its own
    lock file. *sources*: the folder of the harness that it compiles. *runtime*: which of several
    runtimes its Dockerfile makes.
    """

    folder: str
    roots: Mapping[str, Part]
    wheels: bool = False
    linked: bool = False
    compiles: bool = False
    overlaid: bool = False
    npm: bool = False
    sources: str = ""
    runtime: str = ""

    @property
    def pinned(self) -> bool:
        """Whether its images hold wheels of the cell's pins."""
        return self.wheels or self.linked

    def secrets(self) -> tuple[str, ...]:
        """Return the names of the secrets of its builds."""
        if self.wheels:
            return ("uv.toml", "pip.conf", "certificates")
        return ("npmrc", "certificates") if self.npm else ()


#: The C++ and OpenMP libraries that wheels need.
_RUN_TIMES = ("libgomp1", "libstdc++6")
_PYTHON = ("python3", *_RUN_TIMES)

_INSTALLER = Part(
    name="build",
    native=True,
    stock=True,
    packages=(*_PYTHON, "python3-venv", "ca-certificates"),
)

#: For programs that link with the libraries of a wheel: the compiler and the C++ libraries of the
#: base that the wheel's own cell has.
_COMPILER = Part(
    name="compiler",
    native=True,
    packages=(
        "binutils",
        "g++-12{cross}",
        "libc6:{debian}",
        "libstdc++6:{debian}",
        "nlohmann-json3-dev",
        "zlib1g:{debian}",  # of torch's wheel for ARM
    ),
)

#: The fastest BLAS in Debian.
_BLAS = ("libopenblas0-pthread",)

_NPM = Part(name="npm", native=True, packages=("nodejs", "npm", "ca-certificates"))

#: A compiler for Windows, with headers that are not newer than the library it links with.
_WINE = {
    "build": Part(
        name="mingw",
        native=True,
        packages=(
            *_NPM.packages,
            "g++-mingw-w64-x86-64-posix",
            "libonnxruntime-dev",
            "nlohmann-json3-dev",
        ),
    ),
    "base": Part(name="wine", packages=("wine64",)),
}

FAMILIES: Mapping[str, Family] = {
    "wheels": Family(
        folder="wheels",
        roots={
            "build": _INSTALLER,
            "base": Part(name="run", stock=True, packages=_PYTHON),
        },
        wheels=True,
    ),
    # For frameworks that compile: the compiler is part of the image.
    "wheels-compiler": Family(
        folder="wheels",
        roots={
            "build": _INSTALLER,
            "base": Part(name="compile", packages=(*_PYTHON, "g++", "libc6-dev")),
        },
        wheels=True,
        compiles=True,
    ),
    # For what compiles against Python itself, and links with a BLAS. torch.compile asks openssl for
    # the digest of the headers that it precompiles.
    "wheels-headers": Family(
        folder="wheels",
        roots={
            "build": _INSTALLER,
            "base": Part(
                name="headers",
                packages=(
                    *_PYTHON,
                    "python3-dev",
                    "g++",
                    "libc6-dev",
                    "libopenblas-pthread-dev",
                    "openssl",
                    *_BLAS,
                ),
            ),
        },
        wheels=True,
        compiles=True,
    ),
    # For wheels of a Python that is in no Debian.
    "python": Family(
        folder="python",
        roots={"base": Part(name="run", packages=_RUN_TIMES)},
        linked=True,
        overlaid=True,
    ),
    "python-mpi": Family(
        folder="python",
        roots={"base": Part(name="mpi", packages=(*_RUN_TIMES, "libopenmpi3"))},
        linked=True,
        overlaid=True,
    ),
    # With Lua's compiler, and one of C++ to compare it with.
    "python-luajit": Family(
        folder="python",
        roots={"base": Part(name="luajit", packages=(*_RUN_TIMES, "luajit", "g++", "libc6-dev"))},
        linked=True,
        overlaid=True,
    ),
    "caffe": Family(
        folder="debian",
        roots={"base": Part(name="caffe", packages=("python3", "python3-caffe", *_BLAS))},
    ),
    # It compiles at run time: the compiler is part of it.
    "theano": Family(
        folder="debian",
        roots={
            "base": Part(
                name="theano",
                packages=(
                    "python3",
                    "python3-theano",
                    "python3-dev",
                    "g++",
                    "libc6-dev",
                    "libopenblas-pthread-dev",
                    *_BLAS,
                ),
            )
        },
    ),
    "onnxruntime-cpp": Family(
        folder="cpp",
        roots={
            "build": Part(
                name="toolbox",
                native=True,
                packages=(
                    "binutils",
                    "g++-14-{compiler}",
                    "libonnxruntime-dev:{debian}",
                    "nlohmann-json3-dev",
                ),
            ),
        },
        sources="runtimes/cpp",
        runtime="onnxruntime",
    ),
    "libtorch-cpp": Family(
        folder="cpp",
        roots={"build": _COMPILER},
        linked=True,
        compiles=True,
        sources="runtimes/cpp",
        runtime="libtorch",
    ),
    "tensorflow-c": Family(
        folder="cpp",
        roots={"build": _COMPILER},
        linked=True,
        compiles=True,
        sources="runtimes/cpp",
        runtime="tensorflow",
    ),
    "node": Family(
        folder="node",
        roots={"build": _NPM, "base": Part(name="node", packages=("nodejs",))},
        npm=True,
    ),
    "wine-cpp": Family(
        folder="wine", roots=_WINE, npm=True, sources="runtimes/cpp", runtime="onnxruntime"
    ),
    "wine-node": Family(folder="wine", roots=_WINE, npm=True, runtime="node"),
    "chromium": Family(
        folder="chromium",
        roots={"build": _NPM, "base": Part(name="chromium", packages=("nodejs", "chromium"))},
        npm=True,
    ),
}
