"""LSTM autoencoder: the error of a point is how badly the network, trained on normal windows, accounts for the window that ends there."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Self

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelError, TrainingError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import unknown
from autoencoder.network.lens import Lens
from autoencoder.network.model import Architecture
from autoencoder.network.runtime import Runtime, check_parity, export
from autoencoder.network.training import Recipe, train
from autoencoder.network.windows import Geometry, choose_geometry, sliding
from autoencoder.scorers.ahead import WorkAhead
from autoencoder.scorers.base import Array, Progress
from autoencoder.scorers.novelty import WindowMemory
from autoencoder.scorers.seen_range import SeenRange

UNIT_QUANTILE = 0.99  # evidence is measured in what this share of the training points stay below
RANGE_UNIT = 0.005  # share of the range seen so far
MEMORY = 4096  # normal windows that are remembered
SHORTEST = 4  # steps of a window, at least
FEWEST_WINDOWS = 64  # below that there is nothing to train on and nothing to validate with
LONGEST_SPAN = 1 << 20

Surprised = Callable[[], tuple[Array, Array]]
Begun = tuple[Array, Array, Surprised]  # history and values (H + N, F), windows (M, T, F), and what waits for the network


class LstmAutoencoderScorer:
    """An LSTM autoencoder on sliding windows, run by ONNX Runtime.

    Every window is centred on the mean of the steps that the encoder sees and divided by its scale, so a slow change of level or
    amplitude is no anomaly. The prediction is the reconstruction of the newest point in the data's own units; the encoder does not see that
    point, so it is what was expected of it. The error of a point is the larger of

    - how far the point lies from the prediction, and
    - how far the newest half of its window lies from the nearest normal one (``WindowMemory``),

    each in units of the ``UNIT_QUANTILE`` quantile of the training part (1 is as far off as one training point in a hundred), and on top of
    it how far the point lies outside the range of all values before it (``SeenRange``), in units of ``RANGE_UNIT`` of that range.

    Args:
        window: points a window covers; None takes them from the dominant period of the training part.
        steps: steps (T) a window is cut into when it follows the period, and at most; longer windows are down-sampled.
        periods: dominant periods that such a window covers.
        hidden: units of each encoder layer; the decoder mirrors them.
        latent: size of the code.
        dropout: share of the code dropped in training.
        hide: newest steps the encoder does not see.
        recipe: how the network is trained; its seed is the scorer's.
        threads: threads that run the network.
        quarantine: windows with a flagged point do not count as normal ones later; ``judged`` tells which were flagged.
    """

    def __init__(
        self,
        *,
        window: int | None = None,
        steps: int = 48,
        periods: float = 1.0,
        hidden: tuple[int, ...] = (32,),
        latent: int = 8,
        dropout: float = 0.0,
        hide: int = 1,
        recipe: Recipe | None = None,
        threads: int = 1,
        quarantine: bool = False,
    ) -> None:
        self._window = window
        self._steps = steps
        self._periods = periods
        self._architecture = Architecture(steps, 1, tuple(hidden), latent, dropout, hide)
        self._recipe = recipe or Recipe()
        self._threads = threads
        self._quarantine = quarantine
        self.runtime: Runtime | None = None
        self._has_others_network = False
        self._files: dict[str, bytes] = {}
        self.range = SeenRange()
        self._calibration_errors = np.empty(0)
        self._ahead = WorkAhead[Begun]()
        self.validation_loss = float("nan")

    # --- training ---

    def fit(self, values: Array, progress: Progress | None = None) -> None:
        """Train on values (N, F); see ``Scorer.fit``. A network that was taken over is not trained again."""
        windows, valid = self.prepare(values)
        if not self._has_others_network:
            self.learn(self.lens.scaled(windows, self.spread)[0], progress)
        self.judge_training(windows, valid[self.span - 1 :])
        self.range.fit(valid)
        self.begin_after(valid)

    def prepare(self, values: Array) -> tuple[Array, Array]:
        """Choose geometry and spread for values (N, F) -> their windows (M, T, F), and the rows without gaps (V, F) these are cut from.

        Raises:
            TrainingError: too few points, or constant ones.
        """
        valid = values[~np.isnan(values).any(axis=1)]  # (V, F)
        geometry = self._geometry_for(valid, len(values))
        self._architecture = replace(self._architecture, steps=geometry.steps, features=values.shape[1])
        self._set_geometry(geometry)
        windows = sliding(valid, geometry)  # (V - span + 1, T, F)
        self.spread = typical_scale(windows[:, : self.lens.seen])
        if not (self.spread > 0).all():
            column = int(np.flatnonzero(~(self.spread > 0))[0])
            raise TrainingError(
                f"the training part is constant: column {column + 1} is {valid[0, column]:g} at all of its {len(valid):,} points; "
                "nothing can be learnt from it; choose another column, or train on more points (training.points)"
            )
        return windows, valid

    def learn(self, scaled: npt.NDArray[np.float32], progress: Progress | None = None, *, go_on: bool = False) -> None:
        """Train the network on scaled windows (M, T, F), oldest first; ``go_on`` starts from the present weights, not from random ones.

        Raises:
            ModelError: model.onnx cannot be gone on from.
        """
        start = self._files["model.onnx"] if go_on else None
        model, curve = train(scaled, self._architecture, self._recipe, progress, start)
        self.validation_loss = curve.best
        self._files = export(model)
        self.runtime = Runtime(self._files["model.onnx"], self._threads)
        check_parity(model, self.runtime, scaled[:: max(1, len(scaled) // 64)])

    def cut_into(self, steps: int) -> None:
        """Cut windows that follow the period into so many steps (T); a window that was asked for stays as it is."""
        if self._window is None:
            self._steps = steps

    def take_network(self, other: LstmAutoencoderScorer) -> None:
        """Use the network of another scorer; ``fit`` then learns only what it means for these values."""
        self.runtime, self._files, self.validation_loss = other.runtime, other._files, other.validation_loss
        self._has_others_network = True

    def refit(self, values: Array, progress: Progress | None = None, *, retrain: bool = True) -> None:
        """See ``Retrainable.refit``."""
        from autoencoder.scorers.lstm_again import refit

        refit(self, values, progress, retrain=retrain)

    def judge_training(self, windows: Array, newest: Array) -> None:
        """Units of the evidence and errors (M,) of the training part, from its windows (M, T, F) and their newest points (M, F).

        The network has seen them; the memory leaves out a window's neighbours, and the range speaks of later points only.
        """
        surprise = self.surprise(windows, newest)[0]
        self.memory = self._new_memory()
        novelty = self.memory.fit(self.lens.shapes(windows, self.spread), exclude=self.lens.geometry.span // 2)
        self.unit = np.maximum([np.quantile(surprise, UNIT_QUANTILE), np.quantile(novelty, UNIT_QUANTILE)], 1e-6)
        self._calibration_errors = self.error(surprise, novelty)

    def begin_after(self, valid: Array) -> None:
        """The stream goes on after rows (N, F) without gaps."""
        self._history = valid[max(0, len(valid) - self.span + 1) :].copy()

    def error(self, surprise: Array, novelty: Array) -> Array:
        """The larger of both (M,), each in its unit."""
        error: Array = np.maximum(surprise / self.unit[0], novelty / self.unit[1])
        return error

    def _new_memory(self) -> WindowMemory:
        dimension = self.lens.geometry.steps // 2 * self._architecture.features
        return WindowMemory(MEMORY, dimension, lag=self.lens.geometry.span, quarantine=self._quarantine)

    def _geometry_for(self, valid: Array, count: int) -> Geometry:
        """Geometry that was asked for, or that fits the dominant period; shortened where the training part is too short for it."""
        longest = (len(valid) - FEWEST_WINDOWS + 1) // 2 if self._window is None else len(valid) - FEWEST_WINDOWS + 1
        if self._window is None:
            geometry = choose_geometry(valid, self._steps, self._periods) if len(valid) else Geometry(self._steps, 1)
            stride = min(geometry.stride, longest // self._steps)
            steps = self._steps if stride else longest
            geometry = Geometry(steps, max(1, stride))
        else:
            stride = -(-self._window // self._steps)
            geometry = Geometry(self._window // stride, stride)
        if geometry.steps < SHORTEST or geometry.span > longest:
            lost = count - len(valid)
            # without a window that was asked for, twice the shortest must fit beside the windows
            needed = FEWEST_WINDOWS - 1 + (self._window or 2 * SHORTEST)
            raise TrainingError(
                f"the training part has {len(valid):,} usable points"
                + (f" ({lost:,} are missing)" if lost else "")
                + f"; a window of {self._window or f'at least {SHORTEST}'} points needs {needed:,} or more: "
                "give a longer series, raise training.points or training.fraction, or set a smaller network.window"
            )
        return geometry

    def calibration_errors(self) -> Array:
        """Errors (M,) of the training part's windows, oldest first."""
        return self._calibration_errors

    @property
    def span(self) -> int:
        """Points of a window."""
        return self.lens.geometry.span

    def report(self) -> dict[str, object]:
        """Window and validation loss (mean squared error in scaled units)."""
        geometry = self.lens.geometry
        return {
            "window": geometry.span,
            "steps": geometry.steps,
            "stride": geometry.stride,
            "validation_loss": self.validation_loss,
        }

    # --- scoring ---

    def process(self, values: Array) -> tuple[Array, Array]:
        """Score values (N, F) -> errors (N,), predictions (N, F)."""
        gaps = np.isnan(values)  # (N, F)
        if not np.count_nonzero(gaps):
            return self._judge(values)
        known = ~gaps.any(axis=1)
        errors, predictions = unknown(len(values)), unknown(*values.shape)
        errors[known], predictions[known] = self._judge(values[known])
        return errors, predictions

    def _judge(self, values: Array) -> tuple[Array, Array]:
        """NaN-free values (N, F) -> errors (N,), predictions (N, F), NaN until a window is full; the history moves on."""
        stream, windows, surprised = self._ahead.take(values) or self._begin(values, self._history)
        self._history = stream[max(0, len(stream) - self.span + 1) :].copy()
        outside = self.range.compare(values)  # (N,)
        early = len(values) - len(windows)  # points without a full window
        if not len(windows):
            return unknown(early), unknown(*values.shape)
        novelty = self.memory.compare(self.lens.shapes(windows, self.spread))  # while other threads run the network
        surprise, predictions = surprised()
        errors = self.error(surprise, novelty) + outside[early:] / RANGE_UNIT
        if early:
            errors = np.concatenate([unknown(early), errors])
            predictions = np.concatenate([unknown(early, values.shape[1]), predictions])
        return errors, predictions

    def judged(self, flags: npt.NDArray[np.bool_]) -> None:
        """Flags (N,) of the newest rows: what was flagged stays in quarantine; see ``WindowMemory.judge``."""
        self.memory.judge(flags)

    def _begin(self, values: Array, history: Array) -> Begun:
        """Start the network on the windows that end in values (N, F) after a history (H, F); nothing is remembered of it."""
        stream = np.concatenate([history, values])  # (H + N, F)
        is_full = len(stream) >= self.lens.geometry.span and len(values)
        windows = sliding(stream, self.lens.geometry) if is_full else np.empty((0, 0, values.shape[1]))  # (M, T, F)
        return stream, windows, self.begin_surprise(windows, values[len(values) - len(windows) :]) if is_full else _nothing

    def expect(self, values: Array, after: Array) -> None:
        """See ``Expecting.expect``."""
        if not (np.isnan(values).any() or np.isnan(after).any()):
            history = np.concatenate([self._history, after])
            self._ahead.expect(after, values, self._begin(values, history[max(0, len(history) - self.span + 1) :]))

    def surprise(self, windows: Array, newest: Array) -> tuple[Array, Array]:
        """Windows (M, T, F) and their newest points (M, F) -> distances from the prediction (M,) in scaled units, predictions (M, F)."""
        return self.begin_surprise(windows, newest)()

    def begin_surprise(self, windows: Array, newest: Array) -> Surprised:
        """Start the network on windows; what is returned waits for it and gives what ``surprise`` gives."""
        assert self.runtime is not None
        scaled, centre, scale = self.lens.scaled(windows, self.spread)  # (M, T, F), (M, F), (M, F)
        reconstructed = self.runtime.begin(scaled)

        def finish() -> tuple[Array, Array]:
            expected = reconstructed()[:, -1].astype(np.float64) * scale + centre  # (M, F)
            distances: Array = np.maximum.reduce(np.abs((newest - expected) / scale), axis=1)
            return distances, expected

        return finish

    def _set_geometry(self, geometry: Geometry) -> None:
        self.lens = Lens(geometry, geometry.steps - max(1, self._architecture.hide))

    # --- memory ---

    def clone(self) -> Self:
        """A scorer for another stream, with the same network and the same training part."""
        other = copy.copy(self)
        other.memory, other.range = self.memory.clone(), self.range.clone()
        other._history, other._ahead = self._history[:0], WorkAhead()
        return other

    def reset(self) -> None:
        """Forget the recent points; the next window fills anew."""
        self._history, self._ahead = self._history[:0], WorkAhead()
        self.memory.reset()
        self.range.reset()

    def state(self) -> State:
        """Geometry, scaling, the recent points and which network they belong to."""
        return {
            "steps": self.lens.geometry.steps,
            "stride": self.lens.geometry.stride,
            "hide": self._architecture.hide,
            "scale": self.spread.copy(),
            "unit": self.unit.copy(),
            "history": self._history.copy(),
            "memory": self.memory.state(),
            "range": self.range.state(),
            "network": _digest(self._files["model.onnx"]),
        }

    def files(self) -> Mapping[str, bytes]:
        """model.keras and model.onnx."""
        return self._files

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back state and network; see ``Scorer.load``."""
        if "model.onnx" not in files:
            raise ModelError("model.onnx is missing; train again, or copy the run folder again")
        saved = Reader(state, "lstm_autoencoder")
        geometry = Geometry(saved.integer("steps", SHORTEST, 1 << 14), saved.integer("stride", 1, 1 << 14))
        if geometry.span > LONGEST_SPAN:
            raise ModelError(f"the saved window covers {geometry.span:,} points; at most {LONGEST_SPAN:,} are let through")
        if _digest(files["model.onnx"]) != saved.text("network"):
            raise ModelError(
                "model.onnx is damaged, or of another training than the detector's state; copy the run folder again or train again"
            )
        runtime = Runtime(files["model.onnx"], self._threads)
        if runtime.shape[0] != geometry.steps:
            raise ModelError(
                f"model.onnx takes windows of {runtime.shape[0]} steps, the detector's state has {geometry.steps}; train again"
            )
        features = runtime.shape[1]
        self._architecture = replace(
            self._architecture, steps=geometry.steps, features=features, hide=saved.integer("hide", 0, geometry.steps - 2)
        )
        self._set_geometry(geometry)
        self.spread = saved.array("scale", (features,))
        self.unit = saved.array("unit", (2,))
        self._history = saved.array("history", (None, features))[-(geometry.span - 1) :]
        self.memory = self._new_memory()
        self.memory.load(saved.state("memory"))
        self.range.load(saved.state("range"))
        self._files, self.runtime = dict(files), runtime


def _nothing() -> tuple[Array, Array]:
    """What there is to wait for where no window is full."""
    return np.empty(0), np.empty((0, 1))


def typical_scale(seen: Array) -> Array:
    """Root mean variance of windows (N, S, F) about their own means -> (F,)."""
    scale: Array = np.sqrt(seen.var(axis=1).mean(axis=0))
    return scale


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
