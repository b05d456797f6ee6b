"""Recurrent layers, one direction or both: plain, LSTM, GRU.

Gates are ordered as `deepmatrix.workloads.networks` says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from deepmatrix.workloads.gold.operation import Array, Operation, Parameters
from deepmatrix.workloads.networks import Layer

State = tuple[Array, ...]


class Cell(ABC):
    """One step of a recurrent layer, for x (N, D); the state's first part is the output (N, H)."""

    parts = 1  # of the state

    def __init__(self, weights: Parameters) -> None:
        self.weights = weights
        self.gradients = {name: np.zeros_like(array) for name, array in weights.items()}

    @abstractmethod
    def forward(self, x: Array, state: State) -> tuple[State, Any]:
        """Return the new state, and the arrays of this step that `backward` needs."""

    @abstractmethod
    def backward(self, saved: Any, dstate: State) -> tuple[Array, State]:
        """Return the gradients of x and of the state before; add to `gradients`."""

    def _preactivation_backward(
        self, dpreactivation: Array, x: Array, hidden: Array
    ) -> tuple[Array, Array]:
        """Go back through ``x @ kernel.T + hidden @ recurrent.T + bias``."""
        self.gradients["kernel"] += dpreactivation.T @ x
        self.gradients["recurrent"] += dpreactivation.T @ hidden
        self.gradients["bias"] += dpreactivation.sum(axis=0)
        return dpreactivation @ self.weights["kernel"], dpreactivation @ self.weights["recurrent"]

    def _preactivation(self, x: Array, hidden: Array) -> Array:
        weights = self.weights
        return x @ weights["kernel"].T + hidden @ weights["recurrent"].T + weights["bias"]


class PlainCell(Cell):
    """h' = tanh(Wx + Uh + b)."""

    def forward(self, x: Array, state: State) -> tuple[State, Any]:
        """Take a step."""
        new_hidden: Array = np.tanh(self._preactivation(x, state[0]))
        return (new_hidden,), (x, state[0], new_hidden)

    def backward(self, saved: Any, dstate: State) -> tuple[Array, State]:
        """Go a step back."""
        x, hidden, new_hidden = saved
        dx, dhidden = self._preactivation_backward(dstate[0] * (1 - new_hidden**2), x, hidden)
        return dx, (dhidden,)


class LstmCell(Cell):
    """Hochreiter and Schmidhuber, 1997, with the forget gate of Gers and others, 2000.

    i, f and o are the input, forget and output gate, g is the candidate.
    """

    parts = 2  # hidden state, cell state

    def forward(self, x: Array, state: State) -> tuple[State, Any]:
        """Take a step."""
        hidden, cell_state = state
        i, f, g, o = np.split(self._preactivation(x, hidden), 4, axis=1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        new_cell_state = f * cell_state + i * g
        squashed: Array = np.tanh(new_cell_state)
        return (o * squashed, new_cell_state), (x, hidden, cell_state, i, f, g, o, squashed)

    def backward(self, saved: Any, dstate: State) -> tuple[Array, State]:
        """Go a step back."""
        x, hidden, cell_state, i, f, g, o, squashed = saved
        dhidden, dcell_state = dstate
        dcell_state = dcell_state + dhidden * o * (1 - squashed**2)
        dgates = (
            dcell_state * g * i * (1 - i),
            dcell_state * cell_state * f * (1 - f),
            dcell_state * i * (1 - g**2),
            dhidden * squashed * o * (1 - o),
        )
        dx, dhidden_before = self._preactivation_backward(np.concatenate(dgates, axis=1), x, hidden)
        return dx, (dhidden_before, dcell_state * f)


class GruCell(Cell):
    """Cho and others, 2014, with the reset after the product, as in the cuDNN library.

    r and z are the reset and the update gate, n is the candidate.
    """

    def forward(self, x: Array, state: State) -> tuple[State, Any]:
        """Take a step."""
        (hidden,) = state
        weights = self.weights
        from_x = np.split(x @ weights["kernel"].T + weights["bias"], 3, axis=1)
        from_hidden = np.split(
            hidden @ weights["recurrent"].T + weights["recurrent_bias"], 3, axis=1
        )
        r, z = _sigmoid(from_x[0] + from_hidden[0]), _sigmoid(from_x[1] + from_hidden[1])
        n: Array = np.tanh(from_x[2] + r * from_hidden[2])
        return ((1 - z) * n + z * hidden,), (x, hidden, r, z, n, from_hidden[2])

    def backward(self, saved: Any, dstate: State) -> tuple[Array, State]:
        """Go a step back."""
        x, hidden, r, z, n, hidden_candidate = saved
        (dhidden,) = dstate
        dn = dhidden * (1 - z) * (1 - n**2)
        dz = dhidden * (hidden - n) * z * (1 - z)
        dr = dn * hidden_candidate * r * (1 - r)
        from_x = np.concatenate((dr, dz, dn), axis=1)
        from_hidden = np.concatenate((dr, dz, dn * r), axis=1)
        self.gradients["kernel"] += from_x.T @ x
        self.gradients["bias"] += from_x.sum(axis=0)
        self.gradients["recurrent"] += from_hidden.T @ hidden
        self.gradients["recurrent_bias"] += from_hidden.sum(axis=0)
        dhidden_before = from_hidden @ self.weights["recurrent"] + dhidden * z
        return from_x @ self.weights["kernel"], (dhidden_before,)


CELLS: dict[str, type[Cell]] = {"rnn": PlainCell, "lstm": LstmCell, "gru": GruCell}
BACKWARD = "backward_"


class Recurrent(Operation):
    """(N, T, D) -> (N, T, H) or, of the last step only, (N, H); 2H where it is bidirectional.

    The last step of a second input, (N, S, H), is the state that it starts from.
    """

    def forward(self, *inputs: Array) -> Array:
        """Return the output of a batch."""
        x, *self.before = inputs
        prefixes = ("", BACKWARD) if self.layer.get("bidirectional") else ("",)
        self.directions = {
            prefix: _Direction(self._cell(prefix), self.layer, prefix) for prefix in prefixes
        }
        start = self.before[0][:, -1] if self.before else None
        outputs = [direction.forward(x, start) for direction in self.directions.values()]
        return np.concatenate(outputs, axis=-1)

    def backward(self, upstream: Array) -> tuple[Array, ...]:
        """Return the inputs' gradients."""
        parts = np.split(upstream, len(self.directions), axis=-1)
        gradients = [
            direction.backward(part)
            for direction, part in zip(self.directions.values(), parts, strict=True)
        ]
        self.gradients = {
            prefix + name: gradient
            for prefix, direction in self.directions.items()
            for name, gradient in direction.cell.gradients.items()
        }
        dx: Array = np.sum([gradient for gradient, _ in gradients], axis=0)
        if not self.before:
            return (dx,)
        dbefore = np.zeros_like(self.before[0])
        dbefore[:, -1] = gradients[0][1]
        return dx, dbefore

    def _cell(self, prefix: str) -> Cell:
        weights = {
            name.removeprefix(prefix): array
            for name, array in self.weights.items()
            if name.startswith(BACKWARD) == bool(prefix)
        }
        return CELLS[self.layer["kind"]](weights)


class _Direction:
    """One direction over a sequence."""

    def __init__(self, cell: Cell, layer: Layer, prefix: str) -> None:
        self.cell = cell
        self.units = layer["units"]
        self.return_sequences = layer["return_sequences"]
        self.time_step = -1 if prefix else 1
        self.saved: list[Any] = []

    def forward(self, x: Array, start: Array | None) -> Array:
        """Return the outputs of all steps in order, (N, T, H), or of the last step, (N, H).

        *start* is the state of a cell that has but its output, (N, H); None is zero.
        """
        state: State = (np.zeros((len(x), self.units), x.dtype),) * self.cell.parts
        if start is not None:
            state = (start,)
        outputs = []
        for step_input in x[:, :: self.time_step].swapaxes(0, 1):
            state, step_saved = self.cell.forward(step_input, state)
            self.saved.append(step_saved)
            outputs.append(state[0])
        if self.return_sequences:
            return np.stack(outputs, axis=1)[:, :: self.time_step]
        return state[0]

    def backward(self, upstream: Array) -> tuple[Array, Array]:
        """Return the gradients of the input, (N, T, D), and of the output before it, (N, H)."""
        dstate: State = (np.zeros((len(upstream), self.units), upstream.dtype),) * self.cell.parts
        if not self.return_sequences:
            dstate = (upstream, *dstate[1:])
        input_gradients = []
        for index in reversed(range(len(self.saved))):
            if self.return_sequences:
                dstate = (dstate[0] + upstream[:, :: self.time_step][:, index], *dstate[1:])
            dx, dstate = self.cell.backward(self.saved[index], dstate)
            input_gradients.append(dx)
        return np.stack(input_gradients[::-1], axis=1)[:, :: self.time_step], dstate[0]


def _sigmoid(x: Array) -> Array:
    return (1 + np.tanh(x / 2)) / 2
