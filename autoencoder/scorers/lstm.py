"""LSTM autoencoder: the error of a point is how badly the network, trained on normal windows, accounts for the window that ends there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Self

import numpy as np

from autoencoder.core.errors import ModelFileError, TrainingError
from autoencoder.core.state import Reader, State, Stateful
from autoencoder.core.types import Array, Integers, Progress, behind
from autoencoder.network.model import Architecture
from autoencoder.network.runtime import TrainedNetwork, Windows
from autoencoder.network.training import TrainingConfig
from autoencoder.network.windows import (
    WindowScaler,
    WindowSpec,
    choose_spec,
    clean_windows,
    sliding_windows,
    without_outlier,
    without_outlying,
)
from autoencoder.scorers.base import Scored, Scorer
from autoencoder.scorers.dependence import Dependence
from autoencoder.scorers.evidence import Surprise, believable, by_column, contributing, guesses, side_by_side, total
from autoencoder.scorers.excursion import Excursion
from autoencoder.scorers.level import Level
from autoencoder.scorers.linear_forecast import POINTS, LinearForecast
from autoencoder.scorers.nearest_window import NearestWindow
from autoencoder.scorers.seasonal_residual import SeasonalResidual
from autoencoder.scorers.shadow import Shadow

MEMORY_WINDOWS = 3072  # normal windows that are remembered


class LstmAutoencoderScorer(Scorer):
    """An LSTM autoencoder on sliding windows, run by ONNX Runtime.

    Every window is centred and scaled by the steps that the encoder sees, so a slow change of level or amplitude is no anomaly. It does
    not see the newest point, whose reconstruction is the prediction. The error of a point joins the surprises (``Surprise``, in nats) of

    - how far the point lies from the prediction (the reconstruction error),
    - how far the newest half of its window lies from the nearest normal one (``NearestWindow``),
    - how far the point lies outside the range of all values before it (``Excursion``),
    - what a linear model of the newest points says, in several kinds (``LinearForecast``),
    - how far the newest points all lie off what is usual at their time of the season (``SeasonalResidual``), and
    - of several columns, how far each lies from what the others say of it (``Dependence``); ``Shadow`` tells what the point says by itself.

    Args:
        window: points a window covers; None takes them from the dominant period of the training part.
        sequence_length: steps (T) a window is cut into when it follows the period, and at most; longer windows are down-sampled.
        window_periods: dominant periods that such a window covers.
        units: of each encoder layer; the decoder mirrors them.
        latent_dim: size of the code.
        dropout: share of the code dropped in training.
        horizon: newest steps the encoder does not see.
        threads: threads that run the network.
        training: fields of ``TrainingConfig``; its seed is the scorer's.
    """

    name = "lstm_autoencoder"

    def __init__(
        self,
        *,
        window: int | None = None,
        sequence_length: int = 48,
        window_periods: float = 1.0,
        units: tuple[int, ...] = (32,),
        latent_dim: int = 8,
        dropout: float = 0.0,
        horizon: int = 1,
        threads: int = 1,
        **training: float,
    ) -> None:
        self._window, self._sequence_length, self._window_periods = window, sequence_length, window_periods
        self._architecture = Architecture(sequence_length, 1, tuple(units), latent_dim, dropout, horizon)
        self._training = TrainingConfig(**training)  # type: ignore[arg-type]  # its fields are whole numbers and floats
        self._threads = threads
        self.network: TrainedNetwork | None = None
        self._has_shared_network = False
        self.memory: NearestWindow
        self._forget()
        self.keeps_surprises = False  #: of the training part, for ``leave_out``
        self._without: tuple[str, ...] = ()  # of ``PARTS``
        self.excursion = Excursion()
        self.shadow: Shadow
        self.calibration_errors, self._calibration_surprises = np.empty(0), np.empty((0, 0))

    def fit(self, values: Array, progress: Progress | None = None) -> Self:
        """Train on values (N, F); see ``Scorer.fit``. A network that is shared is not trained again."""
        steps = self.network.runtime.shape[0] if self.network and self._has_shared_network else None
        windows, valid = self.prepare(values, steps)
        if steps is None:
            self.train_network(self.scaler.scale(windows)[0], progress)
        self._calibrate(windows, valid, np.arange(self.window - 1, len(valid)), self.excursion.fit(valid))
        self._begin_after(valid)
        return self

    def prepare(self, values: Array, steps: int | None = None) -> tuple[Array, Array]:
        """Choose window and scale for values (N, F) -> their windows (M, T, F), and the rows without gaps (V, F) these are cut from.

        ``steps`` (T) is how long a window is that follows the period; a window that was asked for stays as it is.
        """
        if steps and self._window is None:
            self._sequence_length = steps
        valid = values[~np.isnan(values).any(axis=1)]  # (V, F)
        spec = choose_spec(valid, len(values) - len(valid), self._window, self._sequence_length, self._window_periods, self.day)
        self._architecture = replace(self._architecture, steps=spec.steps, features=values.shape[1])
        windows = sliding_windows(valid, spec)  # (V - points + 1, T, F)
        if steps and spec.steps != steps:
            raise TrainingError(
                f"the training part has room for windows of {spec.steps} steps, and the network of all series takes {steps}; "
                "give a longer series, or raise training.points or training.fraction"
            )
        self.scaler = self._scaler(spec, windows)
        return windows, valid

    def train_network(self, scaled: Windows, progress: Progress | None = None, start: TrainedNetwork | None = None) -> None:
        """Train the network on scaled windows (M, T, F), oldest first, from the weights of ``start`` or random ones."""
        self.network = TrainedNetwork.train(scaled, self._architecture, self._training, self._threads, progress, start)

    def share_network(self, network: TrainedNetwork) -> None:
        """Use a network that is trained; ``fit`` then learns only what it means for these values."""
        self.network, self._has_shared_network = network, True

    def refit(self, values: Array, progress: Progress | None = None, *, freeze_network: bool = False) -> None:
        """See ``Refittable.refit``; the length of the window and the range seen so far stay: they belong to the stream."""
        spec = self.scaler.spec
        windows, ends = clean_windows(values, spec)  # (M, T, F), (M,); a jump is of neither side
        for column in np.flatnonzero(~(windows.var(axis=1).max(axis=0) > 0)):
            raise TrainingError(f"column {column + 1} hardly moves; nothing can be learnt from it")
        self.scaler = self._scaler(spec, windows)
        if not freeze_network:
            self.train_network(self.scaler.scale(windows)[0], progress, self.network)
        # what the network cannot account for even now is left of an anomaly: it is neither remembered nor a measure
        values, kept = without_outlying(values, spec, ends, self._trained_network.start(windows, values[ends], self.scaler)()[0])
        self._calibrate(windows[kept], values, ends[kept], Excursion().fit(values))
        self._begin_after(values[~np.isnan(values).any(axis=1)])

    def _calibrate(self, windows: Array, values: Array, ends: Integers, outside: Array) -> None:
        """Learn how much evidence is usual, from windows (M, T, F) that end at rows (M,) of values (N, F) with excursions (N,)."""
        error = self._trained_network.start(windows, values[ends], self.scaler)()[0]
        self.memory = self._new_memory()
        distance = self.memory.fit(self.scaler.half_windows(windows), gap=self.window // 2)
        self._forget()
        given = np.concatenate([self.season.fit(values, self.day), self.dependence.fit(values)], axis=2)
        levels = self.level.fit(values, self.season.cover(self.window), has_season=self.season.period > 0)
        evidence = side_by_side(error, distance, outside[ends], self.forecast.fit(values, levels)[ends], given[ends])
        ordinary = without_outlier(windows)
        self.surprise.fit(evidence[ordinary], guesses(values.shape[1]))
        surprises = self.surprise.of(np.nan_to_num(evidence))
        self.calibration_errors = total(surprises, values.shape[1])
        self.calibration_errors[~ordinary] = np.median(self.calibration_errors[ordinary])
        self._calibration_surprises = surprises[ordinary] if self.keeps_surprises else surprises[:0]
        self.shadow = Shadow(self.window).fit(self.calibration_errors)

    def _forget(self) -> None:
        self.level, self.forecast = Level(), LinearForecast()  # new ones: clones may share those from before
        self.surprise, self.season, self.dependence = Surprise(), SeasonalResidual(), Dependence()

    def _begin_after(self, valid: Array) -> None:
        """The stream goes on after rows (N, F) without gaps."""
        self.history = valid[-max(self.window, self.level.window, POINTS) :].copy()

    def _scaler(self, spec: WindowSpec, windows: Array) -> WindowScaler:
        return WindowScaler.fit(windows, spec, spec.steps - max(1, self._architecture.horizon))

    def _new_memory(self) -> NearestWindow:
        spec, features = self.scaler.spec, self._architecture.features
        return NearestWindow(MEMORY_WINDOWS, spec.steps // 2 * features, self.window, features, spec.stride)

    @property
    def window(self) -> int:
        """Points of a window."""
        return self.scaler.spec.points

    @property
    def _trained_network(self) -> TrainedNetwork:
        if self.network is None:
            raise self._no_model()
        return self.network

    def info(self) -> dict[str, object]:
        """Window and validation loss (mean squared error in scaled units)."""
        spec, loss = self.scaler.spec, self.network.validation_loss if self.network else float("nan")
        return {"window": spec.points, "steps": spec.steps, "stride": spec.stride, "validation_loss": loss}

    def process(self, values: Array) -> tuple[Array, Array]:
        """See ``Scorer.process``."""
        return self.score(values)[:2]

    def begin(self, values: Array) -> Callable[[], Scored]:
        """See ``Scorer.begin``."""
        network = self._trained_network
        if np.count_nonzero(values == values) == values.size:
            return self._begin(values, network)
        known = ~np.isnan(values).any(axis=1)
        finish = self._begin(values[known], network)
        return lambda: finish().at(np.flatnonzero(known), values)

    def _begin(self, values: Array, network: TrainedNetwork) -> Callable[[], Scored]:
        """As ``begin`` for NaN-free values (N, F), unknown until a window is full; the history moves on."""
        stream = np.concatenate([self.history, values])  # (H + N, F)
        before, window, features = len(self.history), self.window, values.shape[1]
        early = min(len(values), max(0, window - 1 - before))  # points without a full window
        self._begin_after(stream)
        levels, (given, residuals) = self.level.follow(stream, len(values)), self.season.follow(values)
        if features > 1:
            given = np.concatenate([given, self.dependence.compare(stream, len(values))], axis=2)  # (N, F, K)
        if early == len(values):
            self.excursion.compare(values)
            self.shadow.skip(early)
            return partial(Scored.unknown, values, contributing(features))
        windows = sliding_windows(stream[max(0, before - window + 1) :], self.scaler.spec)  # (N - early, T, F)
        reconstruction = network.start(windows, values[early:], self.scaler)
        outside = self.excursion.compare(values)  # (N,); other threads run the network meanwhile
        distance = self.memory.compare(self.scaler.half_windows(windows))
        linear = self.forecast.compare(stream, levels[early:])  # (N - early, F, K)

        def finish() -> Scored:
            error, predictions = reconstruction()
            evidence = side_by_side(error, distance, outside[early:], linear, given[early:])
            surprises = self.surprise.of(evidence)
            found = total(surprises, features, self._without), predictions, by_column(surprises, features)
            errors, predictions, contributions = (behind(early, part) for part in found)
            own = self.shadow.process(stream, errors, levels, evidence, residuals, self.forecast, self.surprise, self._without)
            return Scored(errors, predictions, own, contributions)

        return finish

    def impute(self, values: Array) -> Array:
        """See ``Scorer.impute``."""
        return self.dependence.impute(values)

    def leave_out(self, part: str) -> None:
        """Go on without one of ``PARTS`` of the evidence, to tell what it adds; see ``keeps_surprises``."""
        self._without = (part,)
        self.calibration_errors = total(self._calibration_surprises, self._architecture.features, self._without)

    def believable(self, errors: Array, rarity: float) -> Array:
        """See ``Scorer.believable``: in nats a tail is about exponential, whatever the data."""
        return believable(errors, rarity)

    def reset(self) -> None:
        """Forget the recent points; the next window fills anew."""
        self.history = self.history[:0]
        for part in (self.memory, self.excursion, self.shadow, self.level, self.season, self.dependence):
            part.reset()

    def _parts(self) -> dict[str, Stateful]:
        """What has a state of its own, by its key in that of the scorer."""
        learnt = {"level": self.level, "forecast": self.forecast, "season": self.season, "surprise": self.surprise}
        joint = {"dependence": self.dependence} if self._architecture.features > 1 else {}
        return {**learnt, **joint, "memory": self.memory, "range": self.excursion, "shadow": self.shadow}

    def state(self) -> State:
        """Window, scaling, the recent points and which network they belong to."""
        return {
            "network": self._trained_network.digest,
            **self.scaler.spec.state(),
            "hide": self._architecture.horizon,
            "scale": self.scaler.spread.copy(),
            "history": self.history.copy(),
            **{key: part.state() for key, part in self._parts().items()},
        }

    def artifacts(self) -> Mapping[str, bytes]:
        """model.keras and model.onnx."""
        return self.network.artifacts if self.network else {}

    def load(self, state: State, artifacts: Mapping[str, bytes] | None = None) -> None:
        """Take back state and network; see ``Scorer.load``."""
        saved = Reader(state, self.name)
        spec = WindowSpec.load(saved)
        network = TrainedNetwork.load(artifacts or {}, saved.text("network"), self._threads)
        steps, features = network.runtime.shape
        if steps != spec.steps:
            raise ModelFileError(f"model.onnx takes windows of {steps} steps, the detector's state has {spec.steps}; train again")
        horizon = saved.integer("hide", 0, spec.steps - 2)
        self._architecture = replace(self._architecture, steps=steps, features=features, horizon=horizon)
        self.scaler = WindowScaler(spec, spec.steps - max(1, horizon), saved.array("scale", (features,)))
        history = saved.array("history", (None, features))
        self.memory, self.shadow = self._new_memory(), Shadow(spec.points)
        self._forget()
        for key, part in self._parts().items():
            part.load(saved.state(key))
        if len(self.surprise) != len(guesses(features)):
            raise saved.fault("surprise", f"is not of {features} columns")
        self._begin_after(history)
        self.network = network
