"""The network: windows and their period, deterministic training, and an ONNX file that must agree with Keras."""

from __future__ import annotations

from functools import cache
from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import Outcome

from autoencoder.core.errors import ModelError
from autoencoder.network.lens import Lens
from autoencoder.network.model import Architecture
from autoencoder.network.runtime import BATCH, TOLERANCE, Runtime, check_parity
from autoencoder.network.windows import Geometry, autocorrelation, choose_geometry, dominant_period, sliding

quick = settings(deadline=None, max_examples=50, derandomize=True)
Array = np.ndarray[Any, Any]


def sine(count: int, period: float, noise: float = 0.0, slope: float = 0.0, seed: int = 0) -> Array:
    index = np.arange(count)
    random = np.random.default_rng(seed)
    return np.sin(2 * np.pi * index / period + 0.3) + slope * index + random.normal(scale=noise, size=count)


# --- windows ---


@quick
@given(
    count=st.integers(1, 40),
    features=st.integers(1, 3),
    steps=st.integers(1, 6),
    stride=st.integers(1, 5),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["random", "constant", "missing"]),
)
def test_sliding_windows_equal_their_naive_twin(count: int, features: int, steps: int, stride: int, seed: int, kind: str) -> None:
    values = np.random.default_rng(seed).normal(size=(steps * stride - 1 + count, features))
    if kind == "constant":
        values[:] = 0.1
    if kind == "missing":
        values[seed % len(values)] = np.nan
    found = sliding(values, Geometry(steps, stride))
    assert found.shape == (count, steps, features)
    np.testing.assert_allclose(found, naive.windows(values.tolist(), steps, stride), rtol=1e-12, atol=1e-12)


@quick
@given(count=st.integers(12, 80), seed=st.integers(0, 99), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_the_autocorrelation_equals_its_naive_twin(count: int, seed: int, scale: float) -> None:
    values = scale * np.random.default_rng(seed).normal(size=count).cumsum()
    np.testing.assert_allclose(autocorrelation(values), naive.autocorrelation(values.tolist()), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize("stride", [1, 3])
def test_a_window_alone_is_scaled_as_among_others(features: int, stride: int) -> None:
    lens, values = Lens(Geometry(48, stride), 47), np.random.default_rng(features).normal(5.0, 2.0, (300, features))
    windows, spread = sliding(values, lens.geometry), np.full(features, 0.7)
    together = (*lens.scaled(windows, spread), lens.shapes(windows, spread))
    for row in range(len(windows)):
        alone = (*lens.scaled(windows[row : row + 1], spread), lens.shapes(windows[row : row + 1], spread))
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_array_equal(np.ravel(one), all_of_them[row].ravel())


def test_a_constant_series_correlates_with_nothing() -> None:
    assert dominant_period(np.full(500, 3.0)) is None
    assert np.abs(autocorrelation(np.zeros(50))).max() == 0


@quick
@given(period=st.integers(6, 120), repeats=st.integers(4, 12), slope=st.floats(-0.05, 0.05), seed=st.integers(0, 99))
def test_the_period_of_a_noisy_sine_on_a_slope_is_found(period: int, repeats: int, slope: float, seed: int) -> None:
    found = dominant_period(sine(period * repeats, period, noise=0.1, slope=slope, seed=seed))
    assert found is not None
    assert abs(found - period) <= max(1, 0.05 * period)


@quick
@given(period=st.integers(6, 60), scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3))
def test_the_period_depends_on_neither_unit_nor_zero(period: int, scale: float, shift: float) -> None:
    values = sine(period * 8, period, noise=0.1)
    assert dominant_period(scale * (values + shift)) == dominant_period(values)


@pytest.mark.parametrize("seed", range(8))
def test_noise_and_trends_have_no_period(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=1500)
    assert dominant_period(noise) is None
    assert dominant_period(np.arange(1500) + 0.1 * noise) is None


def test_too_few_points_have_no_period() -> None:
    assert dominant_period(sine(11, 5)) is None
    assert dominant_period(np.empty(0)) is None


def test_a_window_covers_the_period_with_the_steps_asked_for() -> None:
    two = np.column_stack([np.random.default_rng(0).normal(size=2000), sine(2000, 200, noise=0.05)])
    assert choose_geometry(two, steps=48, cover=1.0) == Geometry(48, 4)
    assert choose_geometry(two, steps=48, cover=2.0) == Geometry(48, 8)
    assert choose_geometry(two[:, :1], steps=48, cover=1.0) == Geometry(48, 1)
    assert Geometry(48, 4).span == 192


# --- training and the ONNX file ---

SHAPE = Architecture(steps=8, features=2, hidden=(4,), latent=2)


def training_windows() -> Array:
    values = np.column_stack([sine(300, 12, noise=0.05), sine(300, 25, noise=0.05)])
    return np.ascontiguousarray(sliding(values, Geometry(8, 1)), dtype=np.float32)  # (N, 8, 2)


def train_afresh(seed: int = 0, steps: int = 60) -> tuple[Any, Any]:
    from autoencoder.network.training import Recipe, train

    return train(training_windows(), SHAPE, Recipe(steps=steps, seed=seed))


@cache
def trained() -> tuple[Any, dict[str, bytes]]:
    from autoencoder.network.runtime import export

    model, _ = train_afresh()
    return model, export(model)


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    train_afresh(seed=1)  # a training in between leaves no traces
    (first, curve), (second, same_curve), (third, _) = train_afresh(), train_afresh(), train_afresh(seed=2)
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert curve.losses == same_curve.losses
    assert any((one != other).any() for one, other in zip(first.get_weights(), third.get_weights(), strict=True))


def test_training_makes_the_network_better_and_keeps_its_best_weights() -> None:
    model, curve = train_afresh(steps=150)
    from autoencoder.network.training import split

    held_back = split(training_windows(), 0.15)[1]
    loss = float(np.mean(np.square(np.asarray(model(held_back)) - held_back)))
    assert curve.steps == [50, 100, 150]
    assert curve.best == min(curve.losses) < curve.losses[0]
    assert loss == pytest.approx(curve.best, rel=1e-4)


def test_the_newest_windows_are_held_back_for_validation() -> None:
    from autoencoder.network.training import split

    windows = training_windows()
    kept, held_back = split(windows, 0.15)
    assert len(held_back) == round(0.15 * len(windows))
    np.testing.assert_array_equal(np.concatenate([kept, held_back]), windows)
    assert len(split(windows[:3], 0.01)[1]) == 1


def test_onnx_and_keras_agree_and_a_window_does_not_feel_its_neighbours() -> None:
    model, files = trained()
    runtime, windows = Runtime(files["model.onnx"]), training_windows()
    assert runtime.shape == (8, 2)
    assert 0 <= check_parity(model, runtime, windows) <= TOLERANCE
    together = runtime.reconstruct(windows)
    assert len(windows) > BATCH
    for row in (0, 1, BATCH - 1, BATCH, len(windows) - 1):
        np.testing.assert_array_equal(runtime.reconstruct(windows[row : row + 1])[0], together[row])
    assert runtime.reconstruct(windows[:0]).shape == (0, 8, 2)


@pytest.mark.parametrize("difference", [2 * TOLERANCE, float("nan")])
def test_a_network_that_differs_from_its_onnx_file_is_refused(difference: float) -> None:
    model, files = trained()

    def other(windows: Array, training: bool = False) -> Array:
        return np.asarray(model(windows, training=training)) + np.float32(difference)

    with pytest.raises(ModelError, match=r"model\.onnx differs from the Keras model"):
        check_parity(other, Runtime(files["model.onnx"]), training_windows()[:4])


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x00" * 1000, b"PK\x03\x04"])
def test_what_is_no_network_is_refused(junk: bytes) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx"):
        Runtime(junk)


@quick
@given(place=st.integers(0, 10**6), cut=st.booleans())
def test_a_damaged_network_is_refused_or_of_the_same_shape(place: int, cut: bool) -> None:
    """A bit that was turned in a weight cannot be seen here; the checksum in the detector's state sees it."""
    whole = trained()[1]["model.onnx"]
    place %= len(whole)
    damaged = whole[:place] if cut else whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :]
    try:
        runtime = Runtime(damaged)
        runtime.reconstruct(training_windows()[:2])
    except ModelError as error:
        assert "model.onnx" in str(error)


@pytest.mark.parametrize(
    "shape",
    [
        Architecture(steps=8, features=1, hidden=(4,), latent=2, hide=0),
        Architecture(steps=9, features=3, hidden=(6, 4), latent=2, dropout=0.3, hide=2),
        Architecture(steps=5, features=1, hidden=(3, 5, 4), latent=1),
    ],
    ids=str,
)
def test_every_architecture_becomes_an_onnx_file_that_agrees_with_it_and_holds_its_weights(shape: Architecture) -> None:
    from autoencoder.network.model import build
    from autoencoder.network.onnx_graph import onnx_of, weights_of

    model = build(shape)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=weights.shape) for weights in model.get_weights()])  # biases, too
    for ours, keras in zip(weights_of(onnx_of(model)), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, keras)
    runtime = Runtime(onnx_of(model))
    windows = random.normal(size=(BATCH + 3, shape.steps, shape.features)).astype(np.float32)
    assert check_parity(model, runtime, windows) <= 1e-5
    assert np.abs(runtime.reconstruct(windows)).max() > 0.1


def test_weights_that_are_no_networks_or_another_ones_are_told() -> None:
    from autoencoder.network.model import build
    from autoencoder.network.onnx_graph import onnx_of, weights_of
    from autoencoder.network.training import Recipe, train

    with pytest.raises(ModelError, match="train again"):
        weights_of(b"no network")
    other = onnx_of(build(Architecture(steps=8, features=1, hidden=(5,), latent=2)))
    with pytest.raises(ModelError, match="another network"):
        train(
            np.zeros((80, 8, 1), np.float32),
            Architecture(steps=8, features=1, hidden=(4,), latent=2),
            Recipe(steps=50),
            start=other,
        )


def test_a_network_of_another_shape_is_refused() -> None:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["windows", 4]) for name in ("window", "reconstruction")]
    graph = helper.make_graph([helper.make_node("Identity", ["window"], ["reconstruction"])], "flat", ends[:1], ends[1:])
    flat = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    with pytest.raises(ModelError, match=r"must be \(windows, steps, features\)"):
        Runtime(flat)


def test_a_trained_run_leaves_a_keras_file_that_agrees_with_its_onnx_file(lstm_run: tuple[Any, Outcome]) -> None:
    import keras

    folder = lstm_run[0]
    runtime = Runtime((folder / "model.onnx").read_bytes())
    windows = np.random.default_rng(0).normal(size=(16, *runtime.shape)).astype(np.float32)
    assert check_parity(keras.models.load_model(folder / "model.keras"), runtime, windows) <= TOLERANCE
