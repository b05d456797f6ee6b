"""What an engine says of itself, checked: its answers are as little trusted as a file's content."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from docker.errors import DockerException
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from deepmatrix.boundary.bounds import Count, Few, ImageDigest, Line
from deepmatrix.boundary.files import describe

T = TypeVar("T")


class NotUnderstood(DockerException):
    """An answer that no container engine gives."""


def read(kind: type[T], answer: object) -> T:
    """Return an answer as what it has to be. Raises NotUnderstood."""
    try:
        return TypeAdapter(kind).validate_python(answer)
    except ValidationError as error:
        raise NotUnderstood(describe(error)) from None


class Answer(BaseModel):
    """An answer of an engine: keys that nobody needs are dropped, and null is no value."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, answer: Any) -> Any:
        if not isinstance(answer, dict):
            return answer
        return {key: value for key, value in answer.items() if value is not None}


class Device(Answer):
    """A device that the engine found, by the standard of container devices."""

    id: Line = Field(default="", alias="ID")


class Info(Answer):
    """The answer to ``GET /info``. *memory* is in bytes."""

    architecture: Line = Field(alias="Architecture")
    cpus: Annotated[int, Field(ge=1, le=65536)] = Field(alias="NCPU")
    memory: Count = Field(alias="MemTotal")
    os_type: Line = Field(alias="OSType")
    system: Line = Field(alias="OperatingSystem")
    kernel: Line = Field(alias="KernelVersion")
    id: Line = Field(default="", alias="ID")
    name: Line = Field(default="", alias="Name")
    storage: Line = Field(default="", alias="Driver")
    cgroup: Line = Field(default="", alias="CgroupVersion")
    security: Few[Line] = Field(default=[], alias="SecurityOptions")
    runtimes: dict[Line, Any] = Field(default={}, alias="Runtimes")
    devices: Few[Device] = Field(default=[], alias="DiscoveredDevices")


class Component(Answer):
    """A part of an engine."""

    name: Line = Field(default="", alias="Name")


class Version(Answer):
    """The answer to ``GET /version``."""

    version: Line = Field(alias="Version")
    components: Few[Component] = Field(default=[], alias="Components")


class Container(Answer):
    """An item of the answer to ``GET /containers/json``."""

    id: Line = Field(alias="Id")
    labels: dict[str, str] = Field(default={}, alias="Labels")


class Mounted(Answer):
    """What a container has at a path."""

    name: Line = Field(default="", alias="Name")
    destination: Line = Field(default="", alias="Destination")


class State(Answer):
    """How a container is, or ended."""

    out_of_memory: bool = Field(default=False, alias="OOMKilled")


class Details(Answer):
    """The answer to ``GET /containers/NAME/json``."""

    mounts: list[Mounted] = Field(default=[], alias="Mounts")
    state: State = Field(default=State(), alias="State")


class End(Answer):
    """The answer to ``POST /containers/NAME/wait``."""

    code: int = Field(alias="StatusCode")


class Processes(Answer):
    """How many processes and threads a container has."""

    count: int = Field(default=0, alias="current")


class Use(Answer):
    """The answer to ``GET /containers/NAME/stats``: what a container uses now."""

    processes: Processes = Field(default=Processes(), alias="pids_stats")


class Usage(Answer):
    """What a volume takes of the disk, in bytes; -1 where the engine does not know."""

    size: int = Field(default=0, alias="Size")


class Volume(Answer):
    """A volume."""

    name: Line = Field(alias="Name")
    labels: dict[str, str] = Field(default={}, alias="Labels")
    usage: Usage = Field(default=Usage(), alias="UsageData")


class Volumes(Answer):
    """The answer to ``GET /volumes``, and to ``GET /system/df`` of volumes."""

    volumes: list[Volume] = Field(default=[], alias="Volumes")


class Amount(Answer):
    """How far the transfer of a layer is, in bytes."""

    current: Count = 0
    total: Count = 0


class Pushed(Answer):
    """What was pushed, by the digest of its manifest."""

    digest: ImageDigest | Literal[""] = Field(default="", alias="Digest")


class Event(Answer):
    """An event of a push or a pull: of the layer *id*, or of all."""

    id: Line = ""
    status: Line = ""
    error: Line = ""
    progress: Amount = Field(default=Amount(), alias="progressDetail")
    aux: Pushed = Pushed()


class Config(Answer):
    """How an image starts, and what it says of itself."""

    labels: dict[Line, Line] = Field(default={}, alias="Labels")
    variables: list[str] = Field(default=[], alias="Env")


class Image(Answer):
    """The answer to ``GET /images/NAME/json``."""

    config: Config = Field(default=Config(), alias="Config")
