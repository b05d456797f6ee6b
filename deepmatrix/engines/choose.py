"""Which engine: the one named, else the best that answers."""

from __future__ import annotations

from collections.abc import Callable

from deepmatrix.config.documents import did_you_mean
from deepmatrix.config.matrix import Matrix
from deepmatrix.engines import Engine
from deepmatrix.engines.docker import endpoints, engine
from deepmatrix.engines.docker.engine import DockerEngine
from deepmatrix.engines.here import HereEngine
from deepmatrix.engines.venv import VenvEngine
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.images import scratch
from deepmatrix.invocation import command_line

KINDS = ("docker", "venv", "here")
NAMES = ("auto", *KINDS)

NO_ENGINE = "no container engine answers on this machine"
HINT = (
    f"set one up with `{command_line('engine')}`, or name one: --engine docker:CONTEXT_OR_URL; "
    "--engine venv needs none"
)


class NoEngine(EngineError):
    """No engine is named, and none answers."""


def choose(name: str, matrix: Matrix, *, say: Callable[[str], None]) -> Engine:
    """Return the engine that *name* asks for: auto, docker, docker:CONTEXT_OR_URL, venv or here.

    An engine that the user named, also by DOCKER_HOST or a context, has to answer: a container is
    the boundary around a model, and nothing weaker may silently take its place.

    First it ends and removes what killed builds left. *say* is called with notes on the choice for
    the user.

    Raises:
        ArgumentError: no such engine or context.
        EngineError: the engine that is named does not answer.
    """
    scratch.sweep()
    kind, colon, address = name.partition(":")
    if kind not in NAMES or (colon and kind != "docker"):
        raise ArgumentError(
            f"no engine '{name}'{did_you_mean(kind, NAMES)}",
            hint="--engine auto, docker, docker:CONTEXT_OR_URL, venv or here",
        )
    if colon and not address:
        raise ArgumentError(
            f"'{name}' names no context and no URL",
            hint="`docker context ls` lists contexts; --engine docker takes the first engine that "
            "answers",
        )
    if kind == "venv":
        return VenvEngine()
    if kind == "here":
        return HereEngine()
    if address:
        return _announced(engine.connect(endpoints.endpoint_named(address), matrix), say)
    try:
        return _announced(discover(matrix), say)
    except NoEngine as error:
        if kind == "docker":
            raise
        say(
            f"{error.message}: cells run in virtual environments as you, not in containers, "
            f"natively and on the CPU only; `{command_line('engine')}` sets an engine up"
        )
        return VenvEngine()


def discover(matrix: Matrix | None = None) -> DockerEngine:
    """Return the first Docker engine that answers.

    Raises:
        NoEngine: none is named, and none answers.
        EngineError: the one that the user named does not answer.
    """
    first_error: EngineError | None = None
    for endpoint in endpoints.candidates():
        try:
            return engine.connect(endpoint, matrix)
        except EngineError as error:
            if endpoint.explicit:
                raise
            first_error = first_error or error
    raise NoEngine(first_error.message if first_error else NO_ENGINE, hint=HINT)


def _announced(engine: DockerEngine, say: Callable[[str], None]) -> DockerEngine:
    if engine.product() == "Podman":
        say(f"{engine.endpoint.origin} is Podman, which answers like Docker")
    return engine
