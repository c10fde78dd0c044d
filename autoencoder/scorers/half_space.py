"""HalfSpaceTreesScorer: river's half-space trees over windows of the stream, a baseline that learns with every point."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ConfigError, ModelError, TrainingError
from autoencoder.core.state import Reader, State
from autoencoder.scorers.base import Array, Progress
from autoencoder.scorers.checks import check_saved, check_training, check_width, require
from autoencoder.scorers.features import complete_rows

Integers = npt.NDArray[np.int64]

MARGIN = 0.5  # on either side of the training part's range, in ranges: what lies outside it falls into half-spaces that are empty
FEWEST = 32  # points of a mass window, and training errors, below which there is nothing to compare with
TALLEST = 15  # of a tree; it has 2^(height + 1) - 1 nodes
LEAF = -1


class HalfSpaceTreesScorer:
    """How empty the half-spaces around a point's newest window were in the ``samples`` points before.

    The last ``window`` points, scaled so that the training part's range is the middle half of [0, 1], go down trees whose splits were
    drawn at random once. Each node counts how many points of the last full block of ``samples`` came by; a window that falls where few
    came is odd. The error is river's score, in [0, 1]; the prediction is the mean of the ``window`` points before. Both are NaN where
    fewer points came before. A short training part shortens the blocks to half of it.

    Source: Tan, Ting and Liu, "Fast Anomaly Detection for Streaming Data", IJCAI 2011, doi 10.5591/978-1-57735-516-8/IJCAI11-254, as
    implemented in https://riverml.xyz.

    Args:
        window: newest points that are looked at together.
        trees: how many trees.
        height: splits from the root to a leaf.
        samples: points of a block whose masses judge the next block.
        seed: of the random splits.

    Raises:
        ConfigError: a setting is out of range, or river is not installed.
    """

    kind = "half_space_trees"

    def __init__(self, window: int = 2, trees: int = 25, height: int = 8, samples: int = 250, seed: int = 0) -> None:
        self._settings = {"window": window, "trees": trees, "height": height, "samples": samples}
        for name, least, example in (("window", 1, 2), ("trees", 1, 25), ("height", 1, 8), ("samples", FEWEST, 250)):
            require(self.kind, name, self._settings[name], least, example)
        if height > TALLEST:
            raise ConfigError(f"{self.kind}.height is {height}; it must be at most {TALLEST}, e.g. 8")
        _import_river()
        self._seed = seed
        self._window = window
        self._samples = samples  # a short training part shortens it
        self._forest: Any = None
        self._low, self._range = np.empty(0), np.empty(0)  # (F,) what 0 stands for, and the distance from there to 1
        self._trained = np.empty((0, 0), np.int64)  # (T, M) masses that judged first after the training part
        self._recent = np.empty((0, 0))  # (n, F), oldest first
        self._calibration_errors = np.empty(0)

    def fit(self, values: Array, progress: Progress | None = None) -> None:
        """Train on values (N, F); see ``Scorer.fit``. The training errors are those of the points after the first block."""
        valid = values[complete_rows(values)]  # (V, F)
        check_training(self.kind, valid, len(values), self._window + 2 * FEWEST)
        with np.errstate(over="ignore"):
            low, spread = valid.min(axis=0), np.ptp(valid, axis=0)  # (F,), (F,)
        if not np.isfinite(spread).all():
            raise TrainingError("the training part spans more than a number can hold; choose another column or scale the values")
        spread = np.where(spread > 0, spread, 1.0)
        self._low, self._range = low - MARGIN * spread, (1 + 2 * MARGIN) * spread
        self._samples = min(self._settings["samples"], (len(valid) - self._window) // 2)
        self._forest = self._new_forest()
        self._recent = valid[: self._window].copy()
        first = self._window + self._samples
        for point in self._points(valid[self._window : first]):
            self._forest.learn_one(point)
        errors, _ = self._judge(valid[first:], progress)
        self._calibration_errors = errors
        self._trained = self._masses("r_mass")

    def process(self, values: Array) -> tuple[Array, Array]:
        """Score values (N, F) -> errors (N,), predictions (N, F); NaN for rows with a value that is missing or infinite.

        Raises:
            ModelError: nothing is trained or loaded yet, or another number of columns was trained.
        """
        check_width(self.kind, values, None if self._forest is None else len(self._low))
        errors, predictions = np.full(len(values), np.nan), np.full(values.shape, np.nan)
        rows = complete_rows(values)
        errors[rows], predictions[rows] = self._judge(values[rows])
        return errors, predictions

    def _judge(self, values: Array, progress: Progress | None = None) -> tuple[Array, Array]:
        """Complete rows (B, F) -> errors (B,), predictions (B, F); each point is learnt once it is judged."""
        waiting = min(len(values), self._window - len(self._recent))  # points that only fill the window
        predictions = np.full(values.shape, np.nan)
        self._recent, rest = np.concatenate([self._recent, values[:waiting]]), values[waiting:]
        if len(rest):
            stretch = np.concatenate([self._recent, rest])[:-1]  # (w + B - 1, F)
            before = np.lib.stride_tricks.sliding_window_view(stretch, self._window, axis=0)  # (B, F, w)
            predictions[waiting:] = np.ascontiguousarray(before).mean(axis=-1)
        errors = np.full(len(values), np.nan)
        for row, point in enumerate(self._points(rest), start=waiting):
            errors[row] = self._forest.score_one(point)
            self._forest.learn_one(point)
            if progress is not None and row % 64 == 0:
                progress(row, len(values), "half-space trees")
        return errors, predictions

    def _points(self, values: Array) -> Iterator[dict[int, float]]:
        """Complete rows (B, F) -> B windows that end at them, as river takes them; the recent points move on."""
        stretch = np.concatenate([self._recent, values])  # (w + B, F)
        self._recent = stretch[len(stretch) - len(self._recent) :].copy()
        with np.errstate(over="ignore"):  # beyond float64 is beyond the last half-space, too
            scaled = np.clip((stretch - self._low) / self._range, 0.0, 1.0)
        for row in range(len(stretch) - len(values), len(stretch)):
            yield dict(enumerate(scaled[row + 1 - self._window : row + 1].ravel().tolist()))

    def calibration_errors(self) -> Array:
        """Errors (M,) of the training part after its first block."""
        return self._calibration_errors

    @property
    def span(self) -> int:
        """Points that are looked at together."""
        return self._window

    def report(self) -> dict[str, object]:
        """The settings, with the length of a block that is used."""
        return {**self._settings, "samples": self._samples}

    # --- memory ---

    def clone(self) -> Self:
        """A scorer for another stream; see ``Scorer.sibling``."""
        other = copy.deepcopy(self)
        other.reset()
        return other

    def reset(self) -> None:
        """Forget the recent points and what was learnt since training: the next points belong to another stream."""
        self._recent = self._recent[:0]
        self._fill(r_mass=self._trained, l_mass=np.zeros_like(self._trained))
        self._forest.counter = 0

    def state(self) -> State:
        """Splits and masses of the trees, node by node from the root down on the left, and the recent points."""
        if self._forest is None:
            raise ModelError(f"{self.kind}: there is no model yet; train one or load one first")
        settings: State = {**self._settings}
        return {
            "kind": self.kind,
            "settings": settings,
            "samples": self._samples,
            "low": self._low.copy(),
            "range": self._range.copy(),
            "feature": np.array([[getattr(node, "feature", LEAF) for node in nodes] for nodes in self._nodes()]),
            "threshold": np.array([[getattr(node, "threshold", 0.0) for node in nodes] for nodes in self._nodes()]),
            "reference": self._masses("r_mass"),
            "latest": self._masses("l_mass"),
            "trained": self._trained.copy(),
            "counted": self._forest.counter,
            "recent": self._recent.copy(),
            "training_errors": self._calibration_errors.copy(),
        }

    def files(self) -> Mapping[str, bytes]:
        """None: the trees are part of the state."""
        return {}

    def load(self, state: State, files: Mapping[str, bytes]) -> None:
        """Take back what ``state`` gave; see ``Scorer.load``."""
        saved = Reader(state, self.kind)
        check_saved(self.kind, saved, self._settings)
        samples = saved.integer("samples", FEWEST, self._settings["samples"])
        low = saved.array("low", (None,))
        spread = saved.array("range", low.shape)
        recent = saved.array("recent", (None, len(low)))
        shape = (self._settings["trees"], 2 ** (self._settings["height"] + 1) - 1)
        feature, threshold = saved.integers("feature", shape), saved.array("threshold", shape)
        reference, latest, trained = (saved.integers(name, shape) for name in ("reference", "latest", "trained"))
        masses = np.stack([reference, latest, trained])
        known = (masses >= 0).all() and (masses <= samples).all() and (feature >= LEAF).all()
        if not known or not (spread > 0).all() or len(recent) > self._window or (feature >= len(low) * self._window).any():
            raise ModelError(f"the saved state of {self.kind} cannot be used: its parts do not fit together; train again")
        counted = saved.integer("counted", 0, samples - 1)
        self._calibration_errors = saved.array("training_errors", (None,))
        self._samples, self._low, self._range, self._recent, self._trained = samples, low, spread, recent, trained
        self._forest = self._new_forest()
        # River builds its trees with the first point and judges from the second block on: one point that ends a block does both.
        self._forest.counter = samples - 1
        self._forest.learn_one(dict.fromkeys(range(len(low) * self._window), 0.0))
        self._fill(feature=feature, threshold=threshold, r_mass=reference, l_mass=latest)
        self._forest.counter = counted

    def _new_forest(self) -> Any:
        settings = self._settings
        return _import_river()(n_trees=settings["trees"], height=settings["height"], window_size=self._samples, seed=self._seed)

    def _nodes(self) -> list[list[Any]]:
        """The M nodes of each of T trees."""
        return [list(tree.iter_dfs()) for tree in self._forest.trees]

    def _masses(self, name: str) -> Integers:
        return np.array([[getattr(node, name) for node in nodes] for nodes in self._nodes()], dtype=np.int64)

    def _fill(self, **tables: Array | Integers) -> None:
        """Write (T, M) tables into the nodes; what only a branch has is passed over at leaves."""
        for name, table in tables.items():
            for nodes, row in zip(self._nodes(), table.tolist(), strict=True):
                for node, value in zip(nodes, row, strict=True):
                    if hasattr(node, name):
                        setattr(node, name, value)


def _import_river() -> Any:
    try:
        from river.anomaly import HalfSpaceTrees
    except ImportError:
        raise ConfigError(
            "detector is half_space_trees, which needs the package river: install it with 'pip install river', or choose another detector"
        ) from None
    return HalfSpaceTrees
