"""What an engine says of itself, checked: its answers are as little trusted as a file's content."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deepmatrix.boundary.bounds import Count, Few, ImageDigest, Line


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


class Image(Answer):
    """The answer to ``GET /images/NAME/json``."""

    config: Config = Field(default=Config(), alias="Config")
