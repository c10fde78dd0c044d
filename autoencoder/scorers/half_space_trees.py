"""HalfSpaceTreesScorer: river's half-space trees over windows of the stream, a baseline that learns with every point."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ConfigError, TrainingError
from autoencoder.core.state import POSITIVE, Reader, State, array, integer, integers
from autoencoder.core.types import Array, Integers, Progress
from autoencoder.scorers.recent import RecentPointsScorer

MARGIN = 0.5  # on either side of the training part's range, in ranges: what lies outside it falls into half-spaces that are empty
MIN_POINTS = 32  # of a mass window, and training errors, below which there is nothing to compare with
LEAF = -1
# key in the state -> attribute of river's nodes, and what stands for it at a leaf
TABLES = {"feature": ("feature", LEAF), "threshold": ("threshold", 0.0), "reference": ("r_mass", 0), "latest": ("l_mass", 0)}


class HalfSpaceTreesScorer(RecentPointsScorer):
    """How empty the half-spaces around a point's newest window were in the ``window_size`` points before.

    The last ``window`` points, scaled so that the training part's range is the middle half of [0, 1], go down trees whose splits were
    drawn at random once. Each node counts how many points of the last full block of ``window_size`` came by; a window that falls where
    few came is odd. The error is river's score, in [0, 1]; the prediction is the mean of the ``window`` points before. Both are NaN where
    fewer points came before. A short training part shortens the blocks to half of it.

    Source: Tan, Ting and Liu, "Fast Anomaly Detection for Streaming Data", IJCAI 2011, doi 10.5591/978-1-57735-516-8/IJCAI11-254, as
    implemented in https://riverml.xyz.

    Args:
        window: newest points that are looked at together.
        n_trees: how many trees.
        height: splits from the root to a leaf.
        window_size: points of a block whose masses judge the next block.
        seed: of the random splits.

    Raises:
        ConfigError: river is not installed.

    Examples:
        >>> values = np.random.default_rng(0).normal(size=(200, 1))
        >>> scorer = HalfSpaceTreesScorer(n_trees=10, height=5, window_size=50, seed=1).fit(values)
        >>> errors, predictions = scorer.process(np.array([[0.1], [9.0]]))
        >>> errors.round(2)
        array([0.49, 0.81])
    """

    name = "half_space_trees"
    GROUP = "half_space_trees"
    KEYS: ClassVar = {"window": "window", "n_trees": "trees", "height": "height", "window_size": "samples"}
    STATE: ClassVar = {
        "_block": integer("samples", MIN_POINTS),
        "_low": array("low", ("F",)),
        "_scale": array("range", ("F",), low=POSITIVE),
        "_trained": integers("trained", ("T", "M"), low=0),
        "_recent": array("recent", (None, "F")),
        "calibration_errors": array("training_errors", (None,)),
    }

    def __init__(self, window: int = 2, n_trees: int = 25, height: int = 8, window_size: int = 250, seed: int = 0) -> None:
        super().__init__(window, window=window, n_trees=n_trees, height=height, window_size=window_size)
        _import_river()
        self._seed = seed
        self._block = window_size  # points of a block; a short training part shortens it
        self._forest: Any = None
        self._low = np.empty(0)  # (F,) what 0 stands for; the scale is the distance from there to 1
        self._trained = np.empty((0, 0), np.int64)  # (T, M) masses that judged first after the training part

    @property
    def window(self) -> int:
        """Points that are looked at together."""
        return self._settings["window"]

    def info(self) -> dict[str, object]:
        """The settings, with the length of a block that is used."""
        return {**self._settings, "window_size": self._block}

    def clone(self) -> Self:
        """See ``Resettable.clone``; river's trees change with every point, so they are copied."""
        other = copy.deepcopy(self)
        other.reset()
        return other

    def reset(self) -> None:
        """Forget the recent points and what was learnt since training."""
        super().reset()
        self._fill(r_mass=self._trained, l_mass=np.zeros_like(self._trained))
        self._forest.counter = 0

    def _min_training_points(self) -> int:
        return self.window + 2 * MIN_POINTS

    def _train(self, valid: Array, progress: Progress | None) -> None:
        """Learn complete rows (V, F); the training errors are those of the points after the first block."""
        with np.errstate(over="ignore"):
            low, spread = valid.min(axis=0), np.ptp(valid, axis=0)  # (F,), (F,)
        if not np.isfinite(spread).all():
            raise TrainingError("the training part spans more than a number can hold; choose another column or scale the values")
        spread = np.where(spread > 0, spread, 1.0)
        self._low, self._scale = low - MARGIN * spread, (1 + 2 * MARGIN) * spread
        self._block = min(self._settings["window_size"], (len(valid) - self.window) // 2)
        self._forest = self._new_forest()
        self._recent = valid[: self.window].copy()
        first = self.window + self._block
        for point in self._points(valid[self.window : first]):
            self._forest.learn_one(point)
        self.calibration_errors = self._score(valid[first:], progress)[0]
        self._trained = self._table("r_mass")

    def _score(self, values: Array, progress: Progress | None = None) -> tuple[Array, Array]:
        early = min(len(values), self.window - len(self._recent))  # points that only fill the window
        predictions = np.full(values.shape, np.nan)
        self._recent, rest = np.concatenate([self._recent, values[:early]]), values[early:]
        if len(rest):
            stretch = np.concatenate([self._recent, rest])[:-1]  # (w + B - 1, F)
            before = np.lib.stride_tricks.sliding_window_view(stretch, self.window, axis=0)  # (B, F, w)
            predictions[early:] = np.ascontiguousarray(before).mean(axis=-1)
        errors = np.full(len(values), np.nan)
        for row, point in enumerate(self._points(rest), start=early):
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
            scaled = np.clip((stretch - self._low) / self._scale, 0.0, 1.0)
        for row in range(len(stretch) - len(values), len(stretch)):
            yield dict(enumerate(scaled[row + 1 - self.window : row + 1].ravel().tolist()))

    # --- river's trees as tables, node by node from the root down on the left ---

    def state(self) -> State:
        """Splits and masses (T, M) of the trees beside what every scorer of recent points saves."""
        if self._forest is None:
            raise self._no_model()
        tables = {key: self._table(*of_node) for key, of_node in TABLES.items()}
        return {**super().state(), **tables, "counted": self._forest.counter}

    def _complete(self, saved: Reader) -> None:
        super()._complete(saved)
        dimension = len(self._low) * self.window
        shape = (self._settings["n_trees"], 2 ** (self._settings["height"] + 1) - 1)
        if self._trained.shape != shape or (self._trained > self._block).any() or self._block > self._settings["window_size"]:
            raise saved.fault("trained", f"does not fit {shape[0]} trees of {shape[1]} nodes")
        feature, threshold = saved.integers("feature", shape, LEAF, dimension - 1), saved.array("threshold", shape)
        reference, latest = (saved.integers(name, shape, 0, self._block) for name in ("reference", "latest"))
        counted = saved.integer("counted", 0, self._block - 1)
        self._forest = self._new_forest()
        # River builds its trees with the first point and judges from the second block on: one point that ends a block does both.
        self._forest.counter = self._block - 1
        self._forest.learn_one(dict.fromkeys(range(dimension), 0.0))
        self._fill(feature=feature, threshold=threshold, r_mass=reference, l_mass=latest)
        self._forest.counter = counted

    def _new_forest(self) -> Any:
        trees, height = self._settings["n_trees"], self._settings["height"]
        return _import_river()(n_trees=trees, height=height, window_size=self._block, seed=self._seed)

    def _nodes(self) -> list[list[Any]]:
        """The M nodes of each of T trees."""
        return [list(tree.iter_dfs()) for tree in self._forest.trees]

    def _table(self, name: str, missing: float = 0) -> npt.NDArray[Any]:
        """What the nodes know under that name (T, M); leaves have no split."""
        return np.array([[getattr(node, name, missing) for node in nodes] for nodes in self._nodes()], dtype=type(missing))

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
