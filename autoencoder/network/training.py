"""Training: windows in, a trained Keras model and its history out.

Keras' ``fit`` spends more time around a small LSTM than in it, so all optimiser steps between two validations are one XLA program. It is
compiled once for an architecture and serves every later training in the process: the weights of the compiled model are reset, not the
model.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelFileError
from autoencoder.core.types import Progress
from autoencoder.network.export import read_weights
from autoencoder.network.model import Architecture, build

Windows = npt.NDArray[np.float32]

VALIDATE_EVERY = 50  # optimiser steps
VALIDATION_WINDOWS = 512  # at most, evenly spread: enough to rank two sets of weights


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the network is trained."""

    max_steps: int = 1200  # most optimiser steps; steps, not epochs, so that training time does not grow with the series
    batch_size: int = 64  # windows a step
    learning_rate: float = 3e-3  # Adam's, at the start; it falls to a hundredth along a cosine
    # share of the windows, the newest ones, that is held back to stop early and to keep the best weights
    validation_split: float = 0.15
    patience: int = 8  # validations without improvement before training stops
    seed: int = 0  # of the initial weights, dropout and the choice of windows


class History(NamedTuple):
    """Validation losses (mean squared error) by optimiser step, and the best of them."""

    steps: list[int]
    losses: list[float]

    @property
    def best(self) -> float:
        """Lowest validation loss."""
        return min(self.losses)


class _Compiled(NamedTuple):
    """A model and the XLA programs that train and run it; reused by every training of the same architecture."""

    model: Any
    optimizer: Any
    fit: Any
    reconstruct: Any


@functools.lru_cache(maxsize=4)
def _compile(architecture: Architecture) -> _Compiled:
    import keras
    import tensorflow as tf

    model = build(architecture)
    weights = model.trainable_variables
    optimizer = keras.optimizers.Adam(clipnorm=1.0)
    optimizer.build(weights)

    def fit(batches: Any, rates: Any, count: Any) -> None:  # (K, B, T, F), (K,): the first ``count`` of K optimiser steps
        def step(number: Any) -> Any:
            optimizer.learning_rate.assign(rates[number])
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(batches[number], training=True) - batches[number]))
            optimizer.apply(tape.gradient(loss, weights), weights)
            return number + 1

        tf.while_loop(lambda number: number < count, step, [tf.constant(0)])

    def reconstruct(windows: Any) -> Any:  # (B, T, F) -> (B, T, F)
        return model(windows, training=False)

    return _Compiled(model, optimizer, tf.function(fit, jit_compile=True), tf.function(reconstruct, jit_compile=True))


def split(windows: Windows, validation_split: float) -> tuple[Windows, Windows]:
    """Chronological split (N, T, F) -> (N - M, T, F), (M, T, F): the newest share is for validation."""
    held_back = max(1, round(len(windows) * validation_split))
    return windows[:-held_back], windows[-held_back:]


def train(
    windows: Windows,
    architecture: Architecture,
    config: TrainingConfig,
    progress: Progress | None = None,
    start: bytes | None = None,
) -> tuple[Any, History]:
    """Train on windows (N, T, F), oldest first; returns a Keras model with the best weights, and the validation losses.

    It begins with the weights in ``start``, the content of a model.onnx, or with random ones. The same arguments give the same weights.

    Raises:
        ModelFileError: ``start`` holds weights of another architecture.
    """
    import tensorflow as tf

    fresh, compiled = _begin(architecture, config.seed, start)
    training, held_back = split(windows, config.validation_split)
    held_back = held_back[np.unique(np.linspace(0, len(held_back) - 1, VALIDATION_WINDOWS).astype(int))]
    random = np.random.default_rng(config.seed)
    best, since_best = compiled.model.get_weights(), 0

    def validate() -> float:
        return float(np.mean(np.square(compiled.reconstruct(tf.constant(held_back)).numpy() - held_back)))

    # weights that were good already may be the best
    history = History([0], [validate()]) if start is not None else History([], [])
    for done in range(0, config.max_steps, VALIDATE_EVERY):
        step = min(done + VALIDATE_EVERY, config.max_steps)
        chosen = random.integers(0, len(training), (VALIDATE_EVERY, config.batch_size))
        rates = [
            config.learning_rate * _cosine(number / config.max_steps) for number in range(done + 1, done + VALIDATE_EVERY + 1)
        ]
        compiled.fit(tf.constant(training[chosen]), tf.constant(rates, tf.float32), tf.constant(step - done))
        loss = validate()
        since_best += 1
        if not history.losses or loss < history.best:
            best, since_best = compiled.model.get_weights(), 0
        history.steps.append(step)
        history.losses.append(loss)
        if progress:
            progress(step, config.max_steps, f"validation loss {loss:.4f}, best {history.best:.4f}")
        if since_best >= config.patience:
            break
    fresh.set_weights(best)
    return fresh, history


def _begin(architecture: Architecture, seed: int, start: bytes | None) -> tuple[Any, _Compiled]:
    """A model with the weights in ``start``, or random ones, and the compiled steps that train from there."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    fresh = build(architecture)
    if start is not None:
        try:
            fresh.set_weights(read_weights(start))
        except ValueError as error:
            raise ModelFileError(f"model.onnx cannot be trained on: it holds another network ({error}); train again") from None
    compiled = _compile(architecture)
    for variable, value in zip(compiled.model.variables, fresh.variables, strict=True):
        variable.assign(value)
    for variable in compiled.optimizer.variables:  # it has done no step
        variable.assign(tf.zeros_like(variable))
    return fresh, compiled


def _cosine(share: float) -> float:
    """Factor of the learning rate after this share of the steps: 1 falling to 0.01."""
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
