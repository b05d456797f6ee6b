"""The inputs of every workload: data, initial weights, batches, and gold's training.

The host makes them once a run, so that every framework starts from the same bytes. The same matrix
file and seed give the same bytes again, but for the last bits of gold on another processor.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import math
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deepmatrix.boundary.writing import replacing, write_bytes
from deepmatrix.config.sections import USUAL_PHASES, Workload
from deepmatrix.paths import DATA
from deepmatrix.workloads import gold, networks, text
from deepmatrix.workloads.networks import Network
from deepmatrix.workloads.networks.weights import Weights, initial_weights
from harness import record

Arrays = Mapping[str, NDArray[Any]]
Images = NDArray[np.float32]

DIGITS = DATA / "digits.csv.gz"
CLASSES = 10
SIDE = 8  # of an image, in pixels
TEST_SHARE = 5  # one in five images of each class is held out
SPLIT_SEED = 2015  # the split is part of the data set, not of a run
PROBES = 64
TRAINED = "idiom/trained"  # the first batch's logits after the steps of an idiom
GRAIN = 0.1  # of the brightest pixel
NOISE = 128  # examples: a full batch of the study
HELD_OUT_NOISE = 8

#: Name in the control directory's ``data`` -> ending in the run's ``inputs``.
_FILES = {"data.npz": ".npz", "weights.npz": ".weights.npz", "order.npz": ".order.npz"}


#: Endings of gold's first step, and of its training: that is written last.
FIRST_STEP = ".first-step.npz"
GOLD = ".gold.json"


def files(folder: Path, workload: str) -> dict[str, Path]:
    """Return the files for a producer: name in its ``data`` folder -> file below *folder*."""
    return {name: folder / f"{workload}{ending}" for name, ending in _FILES.items()}


def first_step(folder: Path, workload: str) -> Path:
    """Return the file with gold's first step."""
    return folder / f"{workload}{FIRST_STEP}"


def all_files(folder: Path, workload: str) -> dict[str, Path]:
    """Return all that a workload may have below *folder* by its ending, in the order of writing."""
    return {
        ending: folder / f"{workload}{ending}" for ending in (*_FILES.values(), FIRST_STEP, GOLD)
    }


def are_complete(folder: Path, workload: str) -> bool:
    """Return whether all inputs of a workload are there."""
    return (folder / f"{workload}{GOLD}").is_file()


def trains_gold(phases: Collection[str]) -> bool:
    """Return whether gold takes steps of training for some phases; else nothing takes long."""
    return not {"parity", "idiom", "train"}.isdisjoint(phases)


def write_missing(
    folder: Path,
    name: str,
    workload: Workload,
    *,
    seed: int,
    phases: Collection[str] = USUAL_PHASES,
    held_out: bool = False,
) -> None:
    """Make the missing inputs of a workload below *folder*, for some phases.

    Besides `files`: ``<name>.first-step.npz``, gold's outputs and gradients of the first step (see
    `deepmatrix.judging.parity`), and ``<name>.gold.json``, the losses of the float64 training, one
    a step, and its held-out accuracy, where the phases train. The latter is written last: where
    it exists, all inputs do. With *held_out* the inputs of artifacts begin with all test examples.
    """
    if are_complete(folder, name):
        return
    network = networks.NETWORKS[workload.network]
    data = load_data(network)
    if held_out:
        data["probe_x"] = _probe(data["test_x"])
    weights = initial_weights(network, seed)
    example_count = len(data["train_x"])
    rows = batch_order(example_count, batch=workload.batch, epochs=workload.epochs, seed=seed)
    batch_rows = rows[: workload.steps]
    folder.mkdir(parents=True, exist_ok=True)
    paths = files(folder, name)
    write_npz(paths["data.npz"], data)
    write_npz(paths["weights.npz"], weights)
    rates = learning_rates(workload, len(batch_rows))
    write_npz(paths["order.npz"], {"order": batch_rows, "rates": rates})
    if not {"parity", "idiom"}.isdisjoint(phases):
        first_batch = next(batches(data, batch_rows))
        first_step_arrays = _first_step(network, weights, *first_batch)
        first_batches = batches(data, batch_rows[: record.IDIOM_STEPS])
        constant_rate = itertools.repeat(rates[0])
        trained_weights = gold.train(network, weights, first_batches, rates=constant_rate).weights
        first_step_arrays[TRAINED] = gold.forward(network, trained_weights, first_batch[0])
        write_npz(first_step(folder, name), first_step_arrays)
    training: dict[str, Any] = {"losses": [], "accuracy": 0.0}
    if "train" in phases:
        training = _trained(network, weights, data, batch_rows, rates)
    write_bytes(folder / f"{name}{GOLD}", json.dumps(training).encode())


def _trained(
    network: Network,
    weights: Weights,
    data: Arrays,
    rows: NDArray[np.int64],
    rates: NDArray[np.float64],
) -> dict[str, Any]:
    trained = gold.train(network, weights, batches(data, rows), rates=rates)
    logits = gold.forward(network, trained.weights, data["test_x"])
    return {"losses": trained.losses.tolist(), "accuracy": gold.accuracy(logits, data["test_y"])}


def _first_step(
    network: Network, weights: Weights, x: NDArray[Any], labels: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Return, float64, ``output/<layer>`` and ``gradient/<parameter>`` of a batch."""
    _, gradients = gold.loss_and_gradients(network, weights, x, labels)
    outputs = gold.activations(network, weights, x)
    return {
        **{f"output/{name}": value for name, value in outputs.items()},
        **{f"gradient/{name}": value for name, value in gradients.items()},
    }


def load_data(network: Network) -> dict[str, NDArray[Any]]:
    """Return the data of a network's task, split for training and testing.

    Tasks of the UCI digits: ``images``, enlarged to the network's input; ``rows``, one image a
    sequence; ``video``, an image that moves over a larger one; ``reversal``, sequences of digits
    whose reverse is the answer. Others: ``text``, whose next byte is the answer; ``random``, noise
    with random labels, for times only.

    Returns:
        ``train_x`` and ``test_x`` (N, ...) float32, shaped as the network's input; ``train_y``
        and ``test_y`` (N,) or (N, T) int64; ``probe_x``, the first test examples, followed by
        one of zeros, one of ones, one of minus ones and one of alternating ones and minus ones.
    """
    task = network.get("task", "images")
    if task == "random":
        return _noise(network)
    if task == "text":
        data = text.load(*network["input"])
        return {**data, "probe_x": _probe(data["test_x"][:PROBES])}
    images, y = _digits()
    test = _held_out(y)
    if task == "reversal":
        x, y = _reversal(network, len(images))
    else:
        x = _TASKS[task](network, images)
    return {
        "train_x": x[~test],
        "train_y": y[~test],
        "test_x": x[test],
        "test_y": y[test],
        "probe_x": _probe(x[test][:PROBES]),
    }


def held_out_answers(network: Network) -> int:
    """Return how many labels the held-out data of a network have."""
    *_, (_, _, logits) = networks.shapes(network)
    match network.get("task"):
        case "random":
            examples = HELD_OUT_NOISE
        case "text":
            examples = text.held_out_windows(network["input"][0])
        case _:
            examples = int(_held_out(_digits()[1]).sum())
    return examples * math.prod(logits[:-1])


def commonest_share(network: Network) -> float:
    """Return how often the commonest answer is right: classes are alike, bytes are not."""
    is_text = network.get("task") == "text"
    return text.commonest_share() if is_text else 1 / network["classes"]


def _digits() -> tuple[Images, NDArray[np.int64]]:
    """Return the digits as images, (N, SIDE, SIDE) from 0 to 1, and their labels."""
    with gzip.open(DIGITS) as source:
        table = np.loadtxt(source, delimiter=",", dtype=np.uint8)
    images = table[:, :-1].astype(np.float32).reshape(-1, SIDE, SIDE) / np.float32(16)
    return images, table[:, -1].astype(np.int64)


def _images(network: Network, images: Images) -> Images:
    """Enlarge by repetition and add noise to break ties between neighbours.

    Max pooling would choose among equal values, by rounding alone. At a rate of 0.02, AlexNet's
    losses were 2e-2 from gold after twenty steps without the noise, and 3e-7 with it.
    """
    times = network["input"][-1] // SIDE
    if times > 1:
        images = images.repeat(times, axis=1).repeat(times, axis=2)
        grain = np.random.default_rng([SPLIT_SEED, times]).random(images.shape, np.float32)
        images = images + np.float32(GRAIN) * grain
    return images.reshape(-1, *network["input"])


def _rows(network: Network, images: Images) -> Images:
    return images.reshape(-1, *network["input"])


def _video(network: Network, images: Images) -> Images:
    """Move each image along a diagonal from one of the corners and back, a pixel a frame."""
    _, frames, side, _ = network["input"]
    travel = side - SIDE
    videos = np.zeros((len(images), *network["input"]), np.float32)
    for frame in range(frames):
        for corner in range(4):
            step = (frame + corner) % (2 * travel)
            offset = min(step, 2 * travel - step)
            row, column = offset, (offset if corner % 2 else travel - offset)
            window = (slice(row, row + SIDE), slice(column, column + SIDE))
            videos[(slice(corner, None, 4), 0, frame, *window)] = images[corner::4]
    return videos


def _reversal(network: Network, count: int) -> tuple[Images, NDArray[np.int64]]:
    """Return one-hot digits followed by the decoder's inputs; and the digits reversed."""
    steps, tokens = network["input"][0] // 2, network["input"][1]
    drawn = np.random.default_rng([SPLIT_SEED, steps]).random((count, steps))
    source = (drawn * CLASSES).astype(np.int64)
    target = source[:, ::-1].copy()
    start = np.full((count, 1), tokens - 1)
    rows = np.concatenate([source, start, target[:, :-1]], axis=1)
    return np.eye(tokens, dtype=np.float32)[rows], target


def _noise(network: Network) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(SPLIT_SEED)
    x = random.random((NOISE, *network["input"]), np.float32)
    y = (random.random(NOISE) * network["classes"]).astype(np.int64)
    few_x, few_y = x[:HELD_OUT_NOISE], y[:HELD_OUT_NOISE]
    return {
        "train_x": x,
        "train_y": y,
        "test_x": few_x,
        "test_y": few_y,
        "probe_x": _probe(few_x),
    }


def _probe(x: Images) -> Images:
    """Return the sample inputs of artifacts: examples, and the extremes of the value range."""
    edges = np.zeros((4, *x.shape[1:]), np.float32)
    edges[1] = 1
    edges[2] = -1
    edges[3].flat[::2], edges[3].flat[1::2] = 1, -1
    return np.concatenate([x, edges])


_TASKS: Mapping[str, Callable[[Network, Images], Images]] = {
    "images": _images,
    "rows": _rows,
    "video": _video,
}


def _held_out(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask of the examples for testing: the same share of every class."""
    test = np.zeros(len(labels), dtype=bool)
    for label in range(CLASSES):
        members = np.flatnonzero(labels == label)
        shuffled = members[_permutation(len(members), [SPLIT_SEED, label])]
        test[shuffled[: round(len(members) / TEST_SHARE)]] = True
    return test


def batch_order(count: int, *, batch: int, epochs: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of each batch, (steps, batch): a new order each epoch, full batches only."""
    steps = count // batch
    rows = [_permutation(count, [seed, epoch])[: steps * batch] for epoch in range(epochs)]
    return np.concatenate(rows).reshape(epochs * steps, batch)


def learning_rates(workload: Workload, steps: int) -> NDArray[np.float64]:
    """Return the rate of each step, (steps,), as `Workload` says."""
    done = np.arange(1, steps + 1)
    grown = np.minimum(done / workload.warmup, 1.0)
    fallen = np.minimum(done[::-1] / workload.cooldown, 1.0)
    return workload.rate * np.minimum(grown, fallen)


def _permutation(count: int, seed: list[int]) -> NDArray[np.int64]:
    """Return 0..count-1 in a random order that does not depend on numpy's shuffling."""
    drawn = np.random.default_rng(seed).random(count)
    return np.argsort(drawn, kind="stable").astype(np.int64)


def batches(
    data: Arrays, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Yield the batches of training in their order."""
    for chosen in rows:
        yield data["train_x"][chosen], data["train_y"][chosen]


def npz_bytes(arrays: Arrays) -> bytes:
    """Return an ``.npz`` of arrays by name, without the timestamps that numpy writes."""
    target = io.BytesIO()
    _write_npz(target, arrays)
    return target.getvalue()


def write_npz(path: Path, arrays: Arrays) -> None:
    """Write an ``.npz`` like `npz_bytes`, an array after the other: there is no second copy."""
    with replacing(path) as file:
        _write_npz(file, arrays)


def _write_npz(target: IO[bytes], arrays: Arrays) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.file_size = np.asarray(array).nbytes  # above 2 GiB it is written differently
            with file.open(member, "w") as stream:
                np.lib.format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)
