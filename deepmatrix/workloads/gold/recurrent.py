"""Recurrent layers, one direction or both: plain, LSTM, GRU.

Gates are ordered as `deepmatrix.workloads.networks` says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from deepmatrix.workloads.gold.operation import Array, Parameters, Unary
from deepmatrix.workloads.networks import Layer

State = tuple[Array, ...]


class Cell(ABC):
    """One step of a recurrent layer, for x (N, D); the state's first part is the output (N, H)."""

    parts = 1  # of the state

    def __init__(self, own: Parameters) -> None:
        self.own = own
        self.gradients = {name: np.zeros_like(value) for name, value in own.items()}

    @abstractmethod
    def forward(self, x: Array, state: State) -> tuple[State, Any]:
        """Return the new state, and what `backward` needs of this step."""

    @abstractmethod
    def backward(self, kept: Any, dstate: State) -> tuple[Array, State]:
        """Return the gradients of x and of the state before; add to `gradients`."""

    def _product(self, sums: Array, x: Array, hidden: Array) -> tuple[Array, Array]:
        """Go back through ``x @ kernel.T + hidden @ recurrent.T + bias``."""
        self.gradients["kernel"] += sums.T @ x
        self.gradients["recurrent"] += sums.T @ hidden
        self.gradients["bias"] += sums.sum(axis=0)
        return sums @ self.own["kernel"], sums @ self.own["recurrent"]

    def _sums(self, x: Array, hidden: Array) -> Array:
        own = self.own
        return x @ own["kernel"].T + hidden @ own["recurrent"].T + own["bias"]


class PlainCell(Cell):
    """h' = tanh(Wx + Uh + b)."""

    def forward(self, x: Array, state: State) -> tuple[State, Any]:
        """Take a step."""
        after: Array = np.tanh(self._sums(x, state[0]))
        return (after,), (x, state[0], after)

    def backward(self, kept: Any, dstate: State) -> tuple[Array, State]:
        """Go a step back."""
        x, hidden, after = kept
        dx, dhidden = self._product(dstate[0] * (1 - after**2), x, hidden)
        return dx, (dhidden,)


class LstmCell(Cell):
    """Hochreiter and Schmidhuber, 1997, with the forget gate of Gers and others, 2000."""

    parts = 2  # hidden, memory

    def forward(self, x: Array, state: State) -> tuple[State, Any]:
        """Take a step."""
        hidden, memory = state
        i, f, g, o = np.split(self._sums(x, hidden), 4, axis=1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        after = f * memory + i * g
        squashed: Array = np.tanh(after)
        return (o * squashed, after), (x, hidden, memory, i, f, g, o, squashed)

    def backward(self, kept: Any, dstate: State) -> tuple[Array, State]:
        """Go a step back."""
        x, hidden, memory, i, f, g, o, squashed = kept
        dhidden, dmemory = dstate
        dmemory = dmemory + dhidden * o * (1 - squashed**2)
        gates = (
            dmemory * g * i * (1 - i),
            dmemory * memory * f * (1 - f),
            dmemory * i * (1 - g**2),
            dhidden * squashed * o * (1 - o),
        )
        dx, dbefore = self._product(np.concatenate(gates, axis=1), x, hidden)
        return dx, (dbefore, dmemory * f)


class GruCell(Cell):
    """Cho and others, 2014, with the reset after the product, as in the cuDNN library."""

    def forward(self, x: Array, state: State) -> tuple[State, Any]:
        """Take a step."""
        (hidden,) = state
        own = self.own
        from_x = np.split(x @ own["kernel"].T + own["bias"], 3, axis=1)
        from_h = np.split(hidden @ own["recurrent"].T + own["recurrent_bias"], 3, axis=1)
        r, z = _sigmoid(from_x[0] + from_h[0]), _sigmoid(from_x[1] + from_h[1])
        n: Array = np.tanh(from_x[2] + r * from_h[2])
        return ((1 - z) * n + z * hidden,), (x, hidden, r, z, n, from_h[2])

    def backward(self, kept: Any, dstate: State) -> tuple[Array, State]:
        """Go a step back."""
        x, hidden, r, z, n, candidate = kept
        (dhidden,) = dstate
        dn = dhidden * (1 - z) * (1 - n**2)
        dz = dhidden * (hidden - n) * z * (1 - z)
        dr = dn * candidate * r * (1 - r)
        from_x = np.concatenate((dr, dz, dn), axis=1)
        from_h = np.concatenate((dr, dz, dn * r), axis=1)
        self.gradients["kernel"] += from_x.T @ x
        self.gradients["bias"] += from_x.sum(axis=0)
        self.gradients["recurrent"] += from_h.T @ hidden
        self.gradients["recurrent_bias"] += from_h.sum(axis=0)
        before = from_h @ self.own["recurrent"] + dhidden * z
        return from_x @ self.own["kernel"], (before,)


CELLS: dict[str, type[Cell]] = {"rnn": PlainCell, "lstm": LstmCell, "gru": GruCell}
BACKWARD = "backward_"


class Recurrent(Unary):
    """(N, T, D) -> (N, T, H) or, of the last step only, (N, H); 2H where it goes both ways."""

    def apply(self, x: Array) -> Array:
        """Return the output of a batch."""
        prefixes = ("", BACKWARD) if self.layer.get("bidirectional") else ("",)
        self.passes = {prefix: _Pass(self._cell(prefix), self.layer, prefix) for prefix in prefixes}
        return np.concatenate([each.forward(x) for each in self.passes.values()], axis=-1)

    def derive(self, dy: Array) -> Array:
        """Return the input's gradient."""
        parts = np.split(dy, len(self.passes), axis=-1)
        inputs = [
            each.backward(part) for each, part in zip(self.passes.values(), parts, strict=True)
        ]
        self.gradients = {
            prefix + name: value
            for prefix, each in self.passes.items()
            for name, value in each.cell.gradients.items()
        }
        return inputs[0] if len(inputs) == 1 else inputs[0] + inputs[1]

    def _cell(self, prefix: str) -> Cell:
        own = {
            name.removeprefix(prefix): value
            for name, value in self.own.items()
            if name.startswith(BACKWARD) == bool(prefix)
        }
        return CELLS[self.layer["kind"]](own)


class _Pass:
    """One direction over a sequence."""

    def __init__(self, cell: Cell, layer: Layer, prefix: str) -> None:
        self.cell = cell
        self.units = layer["units"]
        self.whole = layer["return_sequences"]
        self.step = -1 if prefix else 1  # of time
        self.kept: list[Any] = []

    def forward(self, x: Array) -> Array:
        """Return the outputs of all steps in order, (N, T, H), or of the last one taken, (N, H)."""
        state: State = (np.zeros((len(x), self.units)),) * self.cell.parts
        outputs = []
        for now in x[:, :: self.step].swapaxes(0, 1):
            state, kept = self.cell.forward(now, state)
            self.kept.append(kept)
            outputs.append(state[0])
        return np.stack(outputs, axis=1)[:, :: self.step] if self.whole else state[0]

    def backward(self, dy: Array) -> Array:
        """Return the input's gradient, (N, T, D)."""
        dstate: State = (np.zeros((len(dy), self.units)),) * self.cell.parts
        if not self.whole:
            dstate = (dy, *dstate[1:])
        inputs = []
        for index in reversed(range(len(self.kept))):
            if self.whole:
                dstate = (dstate[0] + dy[:, :: self.step][:, index], *dstate[1:])
            dx, dstate = self.cell.backward(self.kept[index], dstate)
            inputs.append(dx)
        return np.stack(inputs[::-1], axis=1)[:, :: self.step]


def _sigmoid(x: Array) -> Array:
    return (1 + np.tanh(x / 2)) / 2
