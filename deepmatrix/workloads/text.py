"""A text as data: each of its bytes is predicted from those before it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deepmatrix.paths import DATA

TEXT: Final = DATA / "CC-BY-4.0.txt"

#: The last fifth is held out: windows of the rest overlap.
TEST_SHARE: Final = 5

#: From one window of training to the next, in bytes. They overlap, so that a byte is at several
#: places of a window: without that, the network learns the text by heart and predicts less.
STRIDE: Final = 16


def load(steps: int, symbols: int) -> dict[str, NDArray[Any]]:
    """Return windows of the text, in the form of `deepmatrix.workloads.inputs.load_data`.

    Returns:
        ``train_x`` and ``test_x`` (N, steps, symbols) float32, one-hot; ``train_y`` and ``test_y``
        (N, steps) int64, the byte after each.
    """
    content = read()
    training, held_out = np.split(content, [_cut(content)])
    train, test = _windows(training, steps, STRIDE), _windows(held_out, steps, steps)
    one_hot = np.eye(symbols, dtype=np.float32)
    return {
        "train_x": one_hot[train[:, :-1]],
        "train_y": train[:, 1:],
        "test_x": one_hot[test[:, :-1]],
        "test_y": test[:, 1:],
    }


def read() -> NDArray[np.int64]:
    """Return the text's bytes."""
    return np.frombuffer(TEXT.read_bytes(), np.uint8).astype(np.int64)


def held_out_windows(steps: int) -> int:
    """Return how many windows are held out."""
    content = read()
    return (len(content) - _cut(content) - 1) // steps


def commonest_share() -> float:
    """Return the share of the commonest byte, a space, in the text."""
    content = read()
    return float(np.bincount(content).max() / len(content))


def _cut(content: NDArray[np.int64]) -> int:
    return len(content) * (TEST_SHARE - 1) // TEST_SHARE


def _windows(content: NDArray[np.int64], steps: int, stride: int) -> NDArray[np.int64]:
    """Return (N, steps + 1): all whole windows, with the byte after each."""
    starts = np.arange(0, len(content) - steps, stride)
    windows: NDArray[np.int64] = content[starts[:, None] + np.arange(steps + 1)]
    return windows
