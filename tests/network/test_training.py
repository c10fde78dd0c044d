"""The network: deterministic training, and an ONNX file that must agree with Keras."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from helpers.cli import Outcome
from helpers.series import sine
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ModelFileError
from autoencoder.network.model import Architecture
from autoencoder.network.runtime import BATCH_WINDOWS, MIN_THREADED_WINDOWS, TOLERANCE, Runtime, check_parity
from autoencoder.network.windows import WindowSpec, sliding_windows

quick = settings(deadline=None, max_examples=50, derandomize=True)
Array = np.ndarray[Any, Any]

SHAPE = Architecture(steps=8, features=2, units=(4,), latent_dim=2)


def training_windows() -> Array:
    values = np.column_stack([sine(300, 12, noise=0.05), sine(300, 25, noise=0.05)])
    return np.ascontiguousarray(sliding_windows(values, WindowSpec(8, 1)), dtype=np.float32)  # (N, 8, 2)


def train_afresh(seed: int = 0, steps: int = 60) -> tuple[Any, Any]:
    from autoencoder.network.training import TrainingConfig, train

    return train(training_windows(), SHAPE, TrainingConfig(max_steps=steps, seed=seed))


@cache
def trained() -> tuple[Any, dict[str, bytes]]:
    from autoencoder.network.export import export

    model, _ = train_afresh()
    return model, export(model)


def test_seeded() -> None:
    train_afresh(seed=1)  # a training in between leaves no traces
    (first, history), (second, same_history), (third, _) = train_afresh(), train_afresh(), train_afresh(seed=2)
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert history.losses == same_history.losses
    assert any((one != other).any() for one, other in zip(first.get_weights(), third.get_weights(), strict=True))


def test_best_weights_are_kept() -> None:
    model, history = train_afresh(steps=150)
    from autoencoder.network.training import split

    held_back = split(training_windows(), 0.15)[1]
    loss = float(np.mean(np.square(np.asarray(model(held_back)) - held_back)))
    assert history.steps == [50, 100, 150]
    assert history.best == min(history.losses) < history.losses[0]
    assert loss == pytest.approx(history.best, rel=1e-4)


def test_onnx_equals_keras_in_any_batch() -> None:
    model, files = trained()
    runtime, windows = Runtime(files["model.onnx"]), training_windows()
    assert runtime.shape == (8, 2)
    assert 0 <= check_parity(model, runtime, windows) <= TOLERANCE
    together = runtime.reconstruct(windows)
    assert len(windows) > BATCH_WINDOWS
    for row in (0, 1, BATCH_WINDOWS - 1, BATCH_WINDOWS, len(windows) - 1):
        np.testing.assert_array_equal(runtime.reconstruct(windows[row : row + 1])[0], together[row])
    assert runtime.reconstruct(windows[:0]).shape == (0, 8, 2)


@quick
@given(sizes=st.lists(st.integers(1, MIN_THREADED_WINDOWS), min_size=1, max_size=100), seed=st.integers(0, 99))
def test_what_is_begun_together_is_reconstructed_as_if_alone(sizes: list[int], seed: int) -> None:
    runtime, random = Runtime(trained()[1]["model.onnx"]), np.random.default_rng(seed)
    each = [random.normal(size=(size, 8, 2)).astype(np.float32) for size in sizes]
    begun = [runtime.begin(windows) for windows in each]
    for place in random.permutation(len(each)).tolist():
        np.testing.assert_array_equal(begun[place](), runtime.reconstruct(each[place]))


@pytest.mark.parametrize("difference", [2 * TOLERANCE, float("nan")])
def test_onnx_that_differs(difference: float) -> None:
    model, files = trained()

    def other(windows: Array, training: bool = False) -> Array:
        return np.asarray(model(windows, training=training)) + np.float32(difference)

    with pytest.raises(ModelFileError, match=r"model\.onnx differs from the Keras model"):
        check_parity(other, Runtime(files["model.onnx"]), training_windows()[:4])


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x00" * 1000, b"PK\x03\x04"])
def test_no_network(junk: bytes) -> None:
    with pytest.raises(ModelFileError, match=r"model\.onnx"):
        Runtime(junk)


@quick
@given(place=st.integers(0, 10**6), cut=st.booleans())
def test_damaged_network(place: int, cut: bool) -> None:
    """A bit that was turned in a weight cannot be seen here; the checksum in the detector's state sees it."""
    whole = trained()[1]["model.onnx"]
    place %= len(whole)
    damaged = whole[:place] if cut else whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :]
    try:
        runtime = Runtime(damaged)
        runtime.reconstruct(training_windows()[:2])
    except ModelFileError as error:
        assert "model.onnx" in str(error)


@pytest.mark.parametrize(
    "shape",
    [
        Architecture(steps=8, features=1, units=(4,), latent_dim=2, horizon=0),
        Architecture(steps=9, features=3, units=(6, 4), latent_dim=2, dropout=0.3, horizon=2),
        Architecture(steps=5, features=1, units=(3, 5, 4), latent_dim=1),
    ],
    ids=str,
)
def test_every_architecture_exports(shape: Architecture) -> None:
    from autoencoder.network.export import read_weights, to_onnx
    from autoencoder.network.model import build

    model = build(shape)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=weights.shape) for weights in model.get_weights()])  # biases, too
    for ours, keras in zip(read_weights(to_onnx(model)), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, keras)
    runtime = Runtime(to_onnx(model))
    windows = random.normal(size=(BATCH_WINDOWS + 3, shape.steps, shape.features)).astype(np.float32)
    assert check_parity(model, runtime, windows) <= 1e-5
    assert np.abs(runtime.reconstruct(windows)).max() > 0.1


def test_weights_of_another_network() -> None:
    from autoencoder.network.export import read_weights, to_onnx
    from autoencoder.network.model import build
    from autoencoder.network.training import TrainingConfig, train

    with pytest.raises(ModelFileError, match="train again"):
        read_weights(b"no network")
    other = to_onnx(build(Architecture(steps=8, features=1, units=(5,), latent_dim=2)))
    with pytest.raises(ModelFileError, match="another network"):
        train(
            np.zeros((80, 8, 1), np.float32),
            Architecture(steps=8, features=1, units=(4,), latent_dim=2),
            TrainingConfig(max_steps=50),
            start=other,
        )


def test_network_of_another_shape() -> None:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["windows", 4]) for name in ("window", "reconstruction")]
    graph = helper.make_graph([helper.make_node("Identity", ["window"], ["reconstruction"])], "flat", ends[:1], ends[1:])
    flat = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    with pytest.raises(ModelFileError, match=r"must be \(windows, steps, features\)"):
        Runtime(flat)


def test_saved_keras_equals_saved_onnx(lstm_run: tuple[Any, Outcome]) -> None:
    import keras

    folder = lstm_run[0]
    runtime = Runtime((folder / "model.onnx").read_bytes())
    windows = np.random.default_rng(0).normal(size=(16, *runtime.shape)).astype(np.float32)
    assert check_parity(keras.models.load_model(folder / "model.keras"), runtime, windows) <= TOLERANCE
