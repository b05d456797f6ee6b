import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from deepmatrix.store import arrays
from deepmatrix.workloads import inputs, text
from deepmatrix.workloads.networks import NETWORKS


@pytest.fixture(scope="module")
def digits():
    return inputs.load_data(NETWORKS["digits-conv"])


def test_the_digits_are_split_once_and_for_all(digits):
    assert digits["train_x"].shape == (1438, 1, 8, 8)
    assert digits["test_x"].shape == (359, 1, 8, 8)
    assert digits["probe_x"].shape == (68, 1, 8, 8)
    assert digits["train_x"].dtype == digits["probe_x"].dtype == np.float32
    assert digits["train_y"].dtype == np.int64
    assert (digits["train_x"].min(), digits["train_x"].max()) == (0, 1)


def test_every_digit_is_held_out_in_the_same_share(digits):
    held_out = np.bincount(digits["test_y"])
    everything = held_out + np.bincount(digits["train_y"])
    np.testing.assert_allclose(held_out / everything, 0.2, atol=0.003)


def test_the_lstm_reads_the_same_images_row_by_row(digits):
    rows = inputs.load_data(NETWORKS["digits-lstm"])
    np.testing.assert_array_equal(rows["train_x"], digits["train_x"][:, 0])
    np.testing.assert_array_equal(rows["test_y"], digits["test_y"])


def test_of_a_text_each_next_byte_is_the_answer_and_the_end_is_held_out():
    data = inputs.load_data(NETWORKS["decoder-tiny"])
    content = text.read()
    for part in ("train", "test"):
        x, y = data[f"{part}_x"].argmax(axis=-1), data[f"{part}_y"]
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
        assert (data[f"{part}_x"].sum(axis=-1) == 1).all()
    held_out = content[len(content) * 4 // 5 :]
    read = data["test_x"].argmax(axis=-1).ravel()
    np.testing.assert_array_equal(read, held_out[: len(read)])
    assert bytes(data["train_x"][0].argmax(axis=-1).astype(np.uint8)) == b"Attribution 4.0 "
    trained = 16 * (len(data["train_x"]) - 1) + 16 + 1  # windows start 16 bytes apart
    assert len(content) - len(held_out) - 16 < trained <= len(content) - len(held_out)


def test_an_epoch_takes_no_row_twice():
    rows = inputs.batch_order(100, batch=8, epochs=3, seed=1)
    assert rows.shape == (36, 8)
    for epoch in rows.reshape(3, -1):
        assert len(set(epoch)) == 96
    assert (rows[:12] != rows[12:24]).any()
    np.testing.assert_array_equal(rows, inputs.batch_order(100, batch=8, epochs=3, seed=1))
    assert (rows != inputs.batch_order(100, batch=8, epochs=3, seed=2)).any()


def test_inputs_are_the_same_bytes_each_time(tmp_path):
    workload = SimpleNamespace(
        network="digits-lstm", batch=64, epochs=1, steps=None, rate=0.5, warmup=1, cooldown=1
    )
    for folder in ("one", "other"):
        inputs.write_missing(tmp_path / folder, "a-workload", workload, seed=3)
    contents = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert contents == {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
    assert set(contents) == {
        "a-workload.npz",
        "a-workload.first-step.npz",
        "a-workload.weights.npz",
        "a-workload.order.npz",
        "a-workload.gold.json",
    }
    assert len(json.loads(contents["a-workload.gold.json"])["losses"]) == 22
    assert all(path.is_file() for path in inputs.files(tmp_path / "one", "a-workload").values())


def test_finished_inputs_are_not_made_anew(tmp_path):
    workload = SimpleNamespace(
        network="digits-lstm", batch=64, epochs=1, steps=None, rate=0.5, warmup=1, cooldown=1
    )
    inputs.write_missing(tmp_path, "w", workload, seed=3)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    inputs.write_missing(tmp_path, "w", workload, seed=3)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_numpy_reads_an_archive(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(6).reshape(2, 3).T}
    (tmp_path / "x.npz").write_bytes(inputs.npz_bytes(arrays))
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array)


def test_the_learning_rate_warms_up_linearly() -> None:
    workload = SimpleNamespace(rate=0.4, warmup=4, cooldown=1)
    assert inputs.learning_rates(workload, 6).tolist() == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.4, 0.4]
    )  # type: ignore[arg-type]
    workload.warmup = 1
    assert inputs.learning_rates(workload, 2).tolist() == [0.4, 0.4]  # type: ignore[arg-type]


def test_the_learning_rate_cools_down_linearly() -> None:
    workload = SimpleNamespace(rate=0.4, warmup=2, cooldown=4)
    assert inputs.learning_rates(workload, 8).tolist() == pytest.approx(
        [0.2, 0.4, 0.4, 0.4, 0.4, 0.3, 0.2, 0.1]
    )  # type: ignore[arg-type]


def test_an_archive_keeps_every_shape_and_any_name(tmp_path: Path) -> None:
    written = {
        "file": np.float32(3.0),
        "self": np.zeros((2, 0)),
        "a/b": np.arange(6).reshape(2, 3).T,
    }
    (tmp_path / "given.npz").write_bytes(inputs.npz_bytes(written))
    read = arrays.read_all(tmp_path / "given.npz", arrays.NUMBERS)
    assert {name: array.shape for name, array in read.items()} == {
        "file": (),
        "self": (2, 0),
        "a/b": (3, 2),
    }
    np.testing.assert_array_equal(read["a/b"], written["a/b"])
