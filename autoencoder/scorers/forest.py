"""Isolation forests over windows of the stream: trained once, or grown anew from the recent points."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Self

import numpy as np

from autoencoder.core.errors import ConfigError, ModelError, TrainingError
from autoencoder.core.state import Reader, State
from autoencoder.scorers.base import Array, Progress
from autoencoder.scorers.features import FEATURES, complete_rows, spread, window_features
from autoencoder.scorers.trees import IsolationTrees

BLOCK = 4096  # points whose windows are laid out in memory together
FARTHEST = 1e15  # features beyond, in units of the training part's spread, count as this much: float32 must hold them
SHORTEST_WINDOW = 4


class IsolationForestScorer:
    """How easily a point's place in its recent past is isolated, by a forest grown once from the training part.

    The error is the anomaly score of the forest, in (0, 1), for the features of ``window_features``; the prediction is the median
    of the ``window`` points before. Both are NaN where fewer points came before.

    Args:
        window: how many points before it a point is compared with.
        trees: how many trees.
        samples: how many training points each tree is grown from.
        seed: of the random choices.

    Raises:
        ConfigError: a setting is out of range.
    """

    kind = "isolation_forest"

    def __init__(self, window: int = 16, trees: int = 100, samples: int = 256, seed: int = 0) -> None:
        self._settings = {"window": window, "trees": trees, "samples": samples}
        self._require("window", window, SHORTEST_WINDOW, 16)
        self._require("trees", trees, 1, 100)
        self._require("samples", samples, 2, 256)
        self._require("seed", seed, 0, 0)
        self._window = window
        self._kept = window  # how many recent points are remembered
        self._seed = seed
        self._trees: IsolationTrees | None = None
        self._recent = np.empty((0, 0))  # (n, K), oldest first
        self._scale = np.empty(0)  # (K,)
        self._calibration_errors = np.empty(0)
        self._seen = 0
        self._refits = 0

    def fit(self, values: Array, progress: Progress | None = None) -> None:
        """Train on values (N, K); see ``Scorer.fit``.

        The training errors come from two further forests, each grown from one half and judging the other: a forest knows the
        points that it was grown from, and would find them less odd than new ones.

        Raises:
            TrainingError: fewer than 4 ``window`` + 32 complete points, or all of them equal.
        """
        valid = values[complete_rows(values)]
        self._check_training(valid, len(values))
        self._scale = spread(valid)
        self._seen = self._refits = 0
        points = self._features(valid)[0]  # (N - window, 4 K)
        halves = np.array_split(points, 2)
        errors = []
        for done, (judged, learnt) in enumerate([halves, halves[::-1]]):
            _show(progress, done)
            errors.append(self._grow(learnt).score(judged))
        _show(progress, 2)
        self._calibration_errors = np.concatenate(errors)
        self._trees = self._grow(points)
        _show(progress, 3)
        self._recent = valid[-self._kept :].copy()

    def process(self, values: Array) -> tuple[Array, Array]:
        """Score values (N, K) -> errors (N,), predictions (N, K); NaN for rows with a value that is missing or infinite.

        Raises:
            ModelError: nothing is trained or loaded yet, or another number of columns was trained.
        """
        if self._trees is None:
            raise ModelError(f"{self.kind}: there is no model yet; train one or load one first")
        if values.shape[1] != len(self._scale):
            raise ModelError(
                f"{self.kind}: the points have {values.shape[1]} columns, the model was trained on {len(self._scale)}; train anew"
            )
        errors, predictions = np.full(len(values), np.nan), np.full(values.shape, np.nan)
        rows = complete_rows(values)
        start = 0
        while start < len(rows):
            block = rows[start : start + min(self._until_refit(), BLOCK)]
            errors[block], predictions[block] = self._judge(self._trees, values[block])
            self._learn(values[block])
            start += len(block)
        return errors, predictions

    def calibration_errors(self) -> Array:
        """Errors (M,) of the training part, each from a forest that has not seen the point."""
        return self._calibration_errors

    @property
    def span(self) -> int:
        """Points that a point's features are taken from, itself included."""
        return self._window + 1

    def report(self) -> dict[str, object]:
        """The settings, and how many forests were grown since training."""
        return {**self._settings, "refits": self._refits}

    def clone(self) -> Self:
        """A scorer for another stream; see ``Scorer.sibling``."""
        other = copy.deepcopy(self)
        other.reset()
        return other

    def reset(self) -> None:
        """Forget the recent points, keep the forest: the next points belong to another stream."""
        self._recent = self._recent[:0]
        self._seen = 0

    def state(self) -> State:
        """The trees, the spread of the training part, its errors, the recent points, and the settings."""
        if self._trees is None:
            raise ModelError(f"{self.kind}: there is no model yet; train one or load one first")
        settings: State = {**self._settings}
        return {
            "kind": self.kind,
            "settings": settings,
            "seed": self._seed,
            "trees": self._trees.state(),
            "scale": self._scale.copy(),
            "training_errors": self._calibration_errors.copy(),
            "recent": self._recent.copy(),
            "seen": self._seen,
            "refits": self._refits,
        }

    def files(self) -> Mapping[str, bytes]:
        """None: the trees are part of the state."""
        return {}

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back what ``state`` gave, the seed included.

        Raises:
            ModelError: damaged, of another kind of detector, or made with other settings.
        """
        saved = Reader(state, self.kind)
        if saved.text("kind") != self.kind:
            raise ModelError(f"the saved model is of kind {saved.text('kind')!r:.40}; this run asks for {self.kind}")
        settings = Reader(saved.state("settings"), self.kind)
        for name, wanted in self._settings.items():
            if settings.integer(name, 0) != wanted:
                raise ModelError(
                    f"the saved model was made with forest.{name} {settings.integer(name, 0)}, this run asks for {wanted}; "
                    "use the saved setting or train anew"
                )
        trees = IsolationTrees.from_state(saved.state("trees"))
        scale = saved.array("scale", (None,))
        recent = saved.array("recent", (None, len(scale)))
        if not (scale > 0).all() or trees.columns != FEATURES * len(scale) or len(recent) > self._kept:
            raise ModelError(f"the saved state of {self.kind} cannot be used: its parts do not fit together; train again")
        self._seed = saved.integer("seed", 0)
        self._calibration_errors = saved.array("training_errors", (None,))
        self._seen, self._refits = saved.integer("seen", 0), saved.integer("refits", 0)
        self._trees, self._scale, self._recent = trees, scale, recent

    def _until_refit(self) -> int:
        """How many points may be judged before the forest changes."""
        return BLOCK

    def _judge(self, trees: IsolationTrees, values: Array) -> tuple[Array, Array]:
        """Complete rows (B, K) -> errors (B,), predictions (B, K)."""
        stretch = np.concatenate([self._recent[-self._window :], values])
        errors, predictions = np.full(len(values), np.nan), np.full(values.shape, np.nan)
        if len(stretch) > self._window:
            points, medians = self._features(stretch)
            errors[-len(points) :], predictions[-len(points) :] = trees.score(points), medians
        return errors, predictions

    def _learn(self, values: Array) -> None:
        self._recent = np.concatenate([self._recent, values])[-self._kept :]
        self._seen += len(values)

    def _features(self, values: Array) -> tuple[Array, Array]:
        """Values (window + N, K) -> scaled features (N, 4 K) and medians (N, K) of the points from the ``window``-th on."""
        features, medians = window_features(values, self._window)  # (N, K, 4), (N, K)
        with np.errstate(over="ignore"):  # beyond float64 is beyond FARTHEST
            scaled = np.clip(features / self._scale[:, None], -FARTHEST, FARTHEST)
        return scaled.reshape(len(scaled), -1), medians

    def _grow(self, points: Array) -> IsolationTrees:
        """A forest over points (N, 4 K); the seed of every refit is another one."""
        seed = int(np.random.SeedSequence([self._seed, self._refits]).generate_state(1)[0])
        return IsolationTrees.grow(points, self._settings["trees"], self._settings["samples"], seed)

    def _check_training(self, valid: Array, count: int) -> None:
        needed = _needed(self._window)
        if len(valid) < needed:
            raise TrainingError(
                f"the training part has {len(valid)} complete points of {count}; {self.kind} with a window of {self._window} "
                f"needs {needed}: train on more points or take a smaller window"
            )
        if (valid == valid[0]).all():
            constant = ", ".join(f"{value:g}" for value in valid[0])
            raise TrainingError(
                f"the training part is constant: all of its {len(valid)} complete points are {constant}; "
                "nothing can be learnt from it: train on a part in which the series moves"
            )

    def _require(self, name: str, value: int, least: int, example: int) -> None:
        if value < least:
            raise ConfigError(f"forest.{name} is {value}; it must be at least {least}, e.g. {example}")


class SlidingIsolationForestScorer(IsolationForestScorer):
    """As ``IsolationForestScorer``, but with a forest grown anew from the last ``history`` points every ``refit_every`` points.

    It follows a stream that changes for good, and forgets what it has not seen for long.

    Args:
        window: how many points before it a point is compared with.
        trees: how many trees.
        samples: how many points each tree is grown from.
        seed: of the random choices; each forest has another one, derived from it.
        history: how many recent complete points a forest is grown from.
        refit_every: complete points from one forest to the next, counted from the end of the training part or from a restart.

    Raises:
        ConfigError: a setting is out of range.
    """

    kind = "isolation_forest_sliding"

    def __init__(
        self, window: int = 16, trees: int = 100, samples: int = 256, seed: int = 0, history: int = 1000, refit_every: int = 250
    ) -> None:
        super().__init__(window, trees, samples, seed)
        self._require("history", history, _needed(window), 1000)
        self._require("refit_every", refit_every, 1, 250)
        self._settings |= {"history": history, "refit_every": refit_every}
        self._kept = history
        self._refit_every = refit_every

    def _until_refit(self) -> int:
        return self._refit_every - self._seen % self._refit_every

    def _learn(self, values: Array) -> None:
        super()._learn(values)
        if self._seen % self._refit_every == 0 and len(self._recent) >= _needed(self._window):
            self._refit()

    def _refit(self) -> None:
        points = self._features(self._recent)[0]
        self._refits += 1
        if (points != points[0]).any():  # a constant stretch teaches nothing, and a forest grown from it would find nothing odd
            self._trees = self._grow(points)


def _needed(window: int) -> int:
    """Complete points that a forest can be grown from."""
    return 4 * window + 32


def _show(progress: Progress | None, done: int) -> None:
    if progress is not None:
        progress(done, 3, "isolation forest")
