"""LSTM autoencoder: the error of a point is how badly the network, trained on normal windows, accounts for the window that ends there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from autoencoder.errors import ModelError, TrainingError
from autoencoder.network.model import Architecture
from autoencoder.network.runtime import Runtime, check_parity, export
from autoencoder.network.training import Recipe, train
from autoencoder.network.windows import Geometry, choose_geometry, sliding
from autoencoder.scorers.base import Array, Progress
from autoencoder.scorers.novelty import SeenRange, WindowMemory
from autoencoder.state import Reader, State

UNIT_QUANTILE = 0.99  # evidence is measured in what this share of the training points stay below
RANGE_UNIT = 0.005  # share of the range seen so far
MEMORY = 4096  # normal windows that are remembered
SHORTEST = 4  # steps of a window, at least
FEWEST_WINDOWS = 64  # below that there is nothing to train on and nothing to validate with
LONGEST_SPAN = 1 << 20


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
        threads: threads ONNX Runtime may use for a call.
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
    ) -> None:
        self._window = window
        self._steps = steps
        self._periods = periods
        self._architecture = Architecture(steps, 1, tuple(hidden), latent, dropout, hide)
        self._recipe = recipe or Recipe()
        self._threads = threads
        self._runtime: Runtime | None = None
        self._files: dict[str, bytes] = {}
        self._range = SeenRange()
        self._training_errors = np.empty(0)
        self.validation_loss = float("nan")

    # --- training ---

    def fit(self, values: Array, progress: Progress | None = None) -> None:
        """Train on values (N, F); see ``Scorer.fit``."""
        valid = values[~np.isnan(values).any(axis=1)]  # (N, F)
        geometry = self._geometry_for(valid, len(values))
        self._architecture = replace(self._architecture, steps=geometry.steps, features=values.shape[1])
        self._set_geometry(geometry)
        windows = sliding(valid, geometry)  # (N - span + 1, T, F)
        self._scale = _typical_scale(windows[:, : self._seen])
        if not (self._scale > 0).all():
            column = int(np.flatnonzero(~(self._scale > 0))[0])
            raise TrainingError(
                f"the training part is constant: column {column + 1} is {valid[0, column]:g} at all of its {len(valid):,} points; "
                "nothing can be learnt from it; choose another column, or train on more points (training.points)"
            )
        scaled, _, _ = self._scaled(windows)
        model, curve = train(scaled, self._architecture, self._recipe, progress)
        self.validation_loss = curve.best
        self._files = export(model)
        self._runtime = Runtime(self._files["model.onnx"], self._threads)
        check_parity(model, self._runtime, scaled[:: max(1, len(scaled) // 64)])
        self._judge_training(windows, valid)
        self._history = valid[len(valid) - geometry.span + 1 :].copy()

    def _judge_training(self, windows: Array, valid: Array) -> None:
        """Units of the evidence and errors (M,) of the training part, from its windows (M, T, F) and its points (N, F).

        The network has seen them; the memory leaves out a window's neighbours, and the range speaks of later points only.
        """
        surprise = self._surprise(windows, valid[self._geometry.span - 1 :])[0]
        self._memory = self._new_memory()
        novelty = self._memory.fit(self._shapes(windows), exclude=self._geometry.span // 2)
        self._range.fit(valid)
        self._unit = np.maximum([np.quantile(surprise, UNIT_QUANTILE), np.quantile(novelty, UNIT_QUANTILE)], 1e-6)
        self._training_errors = self._error(surprise, novelty)

    def _error(self, surprise: Array, novelty: Array) -> Array:
        """The larger of both (M,), each in its unit."""
        error: Array = np.maximum(surprise / self._unit[0], novelty / self._unit[1])
        return error

    def _new_memory(self) -> WindowMemory:
        dimension = self._geometry.steps // 2 * self._architecture.features
        return WindowMemory(MEMORY, dimension, lag=self._geometry.span)

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

    def training_errors(self) -> Array:
        """Errors (M,) of the training part's windows, oldest first."""
        return self._training_errors

    @property
    def span(self) -> int:
        """Points of a window."""
        return self._geometry.span

    def report(self) -> dict[str, object]:
        """Window and validation loss (mean squared error in scaled units)."""
        geometry = self._geometry
        return {
            "window": geometry.span,
            "steps": geometry.steps,
            "stride": geometry.stride,
            "validation_loss": self.validation_loss,
        }

    # --- scoring ---

    def process(self, values: Array) -> tuple[Array, Array]:
        """Judge values (N, F) -> errors (N,), predictions (N, F)."""
        errors = np.full(len(values), np.nan)
        predictions = np.full(values.shape, np.nan)
        valid = ~np.isnan(values).any(axis=1)
        errors[valid], predictions[valid] = self._judge(values[valid])
        return errors, predictions

    def _judge(self, values: Array) -> tuple[Array, Array]:
        """NaN-free values (N, F) -> errors (N,), predictions (N, F), NaN until a window is full; the history moves on."""
        errors, predictions = np.full(len(values), np.nan), np.full(values.shape, np.nan)
        stream = np.concatenate([self._history, values])  # (H + N, F)
        outside = self._range.compare(values)  # (N,)
        if len(stream) >= self._geometry.span and len(values):
            windows = sliding(stream, self._geometry)  # (M, T, F)
            judged = slice(len(values) - len(windows), None)
            surprise, predictions[judged] = self._surprise(windows, values[judged])
            novelty = self._memory.compare(self._shapes(windows))
            errors[judged] = self._error(surprise, novelty) + outside[judged] / RANGE_UNIT
        self._history = stream[max(0, len(stream) - self._geometry.span + 1) :].copy()
        return errors, predictions

    def _surprise(self, windows: Array, newest: Array) -> tuple[Array, Array]:
        """Windows (M, T, F) and their newest points (M, F) -> distances from the prediction (M,) in scaled units, predictions (M, F)."""
        assert self._runtime is not None
        scaled, centre, scale = self._scaled(windows)  # (M, T, F), (M, F), (M, F)
        expected = self._runtime.reconstruct(scaled)[:, -1].astype(np.float64) * scale + centre  # (M, F)
        distances: Array = np.abs((newest - expected) / scale).max(axis=1)
        return distances, expected

    def _shapes(self, windows: Array) -> Array:
        """Newest half of windows (M, T, F), centred and scaled -> (M, T // 2 * F)."""
        half = windows[:, -(self._geometry.steps // 2) :]
        centre, scale = self._centre_and_scale(half)
        shapes: Array = (half - centre[:, None]) / scale[:, None]
        return shapes.reshape(len(half), -1)

    def _scaled(self, windows: Array) -> tuple[npt.NDArray[np.float32], Array, Array]:
        """Windows (N, T, F) -> scaled windows (N, T, F), centre (N, F), scale (N, F)."""
        centre, scale = self._centre_and_scale(windows[:, : self._seen])
        scaled = (windows - centre[:, None]) / scale[:, None]
        return np.ascontiguousarray(scaled, dtype=np.float32), centre, scale

    def _centre_and_scale(self, steps: Array) -> tuple[Array, Array]:
        """Mean and scale (N, F) of steps (N, S, F).

        The scale is halfway (in squares) between the window's own deviation and the training part's: amplitude that slowly grows is
        followed, amplitude that is suddenly gone is still seen.
        """
        rows = np.ascontiguousarray(steps.transpose(0, 2, 1))  # (N, F, S): a sum along the last axis is the same for any N
        centre = rows.mean(axis=-1)  # (N, F)
        variance = np.square(rows - centre[..., None]).mean(axis=-1)
        return centre, np.sqrt((variance + np.square(self._scale)) / 2)

    def _set_geometry(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._seen = geometry.steps - max(1, self._architecture.hide)

    # --- memory ---

    def restart(self) -> None:
        """Forget the recent points; the next window fills anew."""
        self._history = self._history[:0]
        self._memory.restart()
        self._range.restart()

    def state(self) -> State:
        """Geometry, scaling, the recent points and which network they belong to."""
        return {
            "steps": self._geometry.steps,
            "stride": self._geometry.stride,
            "hide": self._architecture.hide,
            "scale": self._scale.copy(),
            "unit": self._unit.copy(),
            "history": self._history.copy(),
            "memory": self._memory.state(),
            "range": self._range.state(),
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
        self._scale = saved.array("scale", (features,))
        self._unit = saved.array("unit", (2,))
        self._history = saved.array("history", (None, features))[-(geometry.span - 1) :]
        self._memory = self._new_memory()
        self._memory.load(saved.state("memory"))
        self._range.load(saved.state("range"))
        self._files, self._runtime = dict(files), runtime


def _typical_scale(seen: Array) -> Array:
    """Root mean variance of windows (N, S, F) about their own means -> (F,)."""
    scale: Array = np.sqrt(seen.var(axis=1).mean(axis=0))
    return scale


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
