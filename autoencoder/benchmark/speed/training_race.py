"""Training race: this program's training against Keras' ``fit`` with its defaults, both to the same validation loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from autoencoder.benchmark.speed.subject import Windows
from autoencoder.network import training
from autoencoder.network.model import Architecture, build

PATIENCE = 4.0  # fit is stopped when it has taken so many times as long as this program
MOST_EPOCHS = 100_000


@dataclass(frozen=True, slots=True)
class Race:
    """One seed.

    Attributes:
        seed: of both.
        loss: validation loss that this program reached, and that ``fit`` had to reach.
        ours: seconds of this program, compilation included, until it reached that loss.
        stopped: seconds until it stopped, as it cannot know that there is none lower.
        fit: seconds of ``fit``, compilation included, until it reached that loss or was stopped from outside.
        fit_loss: lowest validation loss of ``fit`` by then.
        epochs: of ``fit``.
    """

    seed: int
    loss: float
    ours: float
    stopped: float
    fit: float
    fit_loss: float
    epochs: int

    @property
    def reached(self) -> bool:
        """Whether ``fit`` reached the loss; else its time is a lower bound."""
        return self.fit_loss <= self.loss

    @property
    def gain(self) -> float:
        """How many times as long as this program ``fit`` took, at least."""
        return self.fit / self.ours


def run_race(windows: Windows, architecture: Architecture, recipe: training.TrainingConfig, seed: int) -> Race:
    """Train on windows (N, T, F) in both ways, each from scratch as in a new process, imports aside."""
    fitted, held_back = training.split(windows, recipe.validation_split)
    training._compile.cache_clear()  # a process trains once, so compiling counts
    began = perf_counter()
    reached: dict[int, float] = {}  # step -> seconds

    def note(step: int, steps: int, text: str) -> None:
        reached[step] = perf_counter() - began

    model, curve = training.train(windows, architecture, replace(recipe, seed=seed), note)
    stopped = perf_counter() - began
    ours = reached[curve.steps[int(np.argmin(curve.losses))]]
    loss = validation_loss(model, held_back)
    losses, seconds = _fit(fitted, held_back, architecture, seed, lambda found, spent: found <= loss or spent > PATIENCE * ours)
    return Race(seed, loss, ours, stopped, seconds, min(losses), len(losses))


def validation_loss(model: Any, windows: Windows) -> float:
    """Mean squared error of a Keras model on windows (N, T, F)."""
    return float(np.mean(np.square(np.asarray(model(windows, training=False)) - windows)))


def _fit(
    fitted: Windows, held_back: Windows, architecture: Architecture, seed: int, is_over: Callable[[float, float], bool]
) -> tuple[list[float], float]:
    """Keras' ``fit`` until ``is_over(validation loss, seconds)`` -> losses by epoch, seconds without those of the validation."""
    import keras

    keras.utils.set_random_seed(seed)
    losses: list[float] = []
    validating = 0.0
    began = perf_counter()
    model = build(architecture)
    model.compile(optimizer="adam", loss="mse")

    class Judge(keras.callbacks.Callback):  # type: ignore[misc] # Keras is not looked into
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            nonlocal validating
            spent = perf_counter() - began - validating
            losses.append(validation_loss(model, held_back))
            validating = perf_counter() - began - spent
            model.stop_training = is_over(losses[-1], spent)

    model.fit(fitted, fitted, epochs=MOST_EPOCHS, verbose=0, callbacks=[Judge()])
    return losses, perf_counter() - began - validating
