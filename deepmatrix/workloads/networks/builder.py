"""A builder of network descriptions, with defaults for settings that most layers share."""

from __future__ import annotations

from typing import Any

from deepmatrix.workloads.networks.description import Layer, Network


class Builder:
    """Collects layers; each method adds a layer and returns its name, for later layers to read."""

    def __init__(self, name: str, shape: list[int], classes: int, task: str) -> None:
        self._network = Network(name=name, input=shape, classes=classes, layers=[], task=task)
        self._sides = len(shape) - 1

    def layer(self, name: str, kind: str, *inputs: str, **settings: Any) -> str:
        """Add a layer that reads *inputs*; without any, the layer before it."""
        layer: Layer = {"name": name, "kind": kind, **settings}
        if inputs:
            layer["inputs"] = list(inputs)
        self._network["layers"].append(layer)
        return name

    def conv(
        self,
        name: str,
        filters: int,
        kernel: int,
        *inputs: str,
        stride: int = 1,
        padding: int | None = None,
        **settings: Any,
    ) -> str:
        """Add a convolution, the same on all sides; its default padding keeps the size."""
        around = kernel // 2 if padding is None else padding
        return self.layer(
            name,
            "conv",
            *inputs,
            filters=filters,
            kernel=[kernel] * self._sides,
            stride=[stride] * self._sides,
            padding=[[around, around]] * self._sides,
            **settings,
        )

    def conv_relu(self, name: str, filters: int, kernel: int, *inputs: str, **settings: Any) -> str:
        """Add a convolution and its relu; return the latter's name."""
        self.conv(name, filters, kernel, *inputs, **settings)
        return self.layer(f"{name}_relu", "relu")

    def max_pool(
        self, name: str, size: int, stride: int, *inputs: str, padding: tuple[int, int] = (0, 0)
    ) -> str:
        """Add a max pooling, the same on all sides."""
        return self.layer(
            name,
            "max_pool",
            *inputs,
            size=[size] * self._sides,
            stride=[stride] * self._sides,
            padding=[list(padding)] * self._sides,
        )

    def dense(self, name: str, units: int, *inputs: str) -> str:
        """Add a dense layer."""
        return self.layer(name, "dense", *inputs, units=units)

    def finish(self) -> Network:
        """Return the network, with its logits as the last layer."""
        self.dense("output", self._network["classes"])
        return self._network
