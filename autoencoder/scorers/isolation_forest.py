"""Isolation forests over windows of the stream: trained once, or grown anew from the recent points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ConfigError
from autoencoder.core.state import POSITIVE, Field, Reader, State, array, integer
from autoencoder.core.types import Array, Integers, Progress, unknown
from autoencoder.scorers.features import FEATURES, spread, window_features
from autoencoder.scorers.recent import RecentPointsScorer

MAX_FEATURE = 1e15  # features beyond, in units of the training part's spread, count as this much: float32 must hold them
TREE_BLOCK = 512  # points that go down the trees together: their (512, trees) arrays stay in the processor's cache
MAX_SAMPLES = 1 << 20
LEAF = -1


@dataclass(frozen=True)
class IsolationTrees:
    """Trees over points (N, K) whose anomaly score is 2^(-E[h] / c(samples)), in (0, 1): the higher, the easier to isolate.

    h is the length of a point's path to its leaf, lengthened by c(n) where n training points share the leaf, and c(n) is the mean
    length of an unsuccessful search in a binary search tree of n points.

    Source: Liu, Ting and Zhou, "Isolation Forest", ICDM 2008, doi 10.1109/ICDM.2008.17.
    """

    # (T, M) the column that each of M nodes of each of T trees asks for; -1 at a leaf. Node 0 is the root; trees with fewer nodes are
    # filled up with leaves that nothing leads to
    feature: Integers
    threshold: Array  # (T, M) a point whose value is at most this goes left
    left: Integers  # (T, M) the node on the left, always of a higher number; -1 at a leaf
    right: Integers  # (T, M) the same on the right
    reached: Integers  # (T, M) how many training points reached the node
    samples: int  # how many training points each tree was grown from
    columns: int  # K

    @staticmethod
    def grow(points: Array, trees: int, samples: int, seed: int) -> IsolationTrees:
        """Grow trees from points (N, K), each from a random choice of ``samples`` of them (all, if there are fewer)."""
        from sklearn.ensemble import IsolationForest

        forest = IsolationForest(n_estimators=trees, max_samples=min(samples, len(points)), random_state=seed).fit(points)
        grown = [estimator.tree_ for estimator in forest.estimators_]
        shape = (trees, max(tree.node_count for tree in grown))
        feature, left, right = (np.full(shape, LEAF, np.int64) for _ in range(3))
        threshold, reached = np.zeros(shape), np.ones(shape, np.int64)
        for row, tree in enumerate(grown):
            used, inner = slice(tree.node_count), tree.children_left != LEAF
            feature[row, used] = np.where(inner, tree.feature, LEAF)
            threshold[row, used] = np.where(inner, tree.threshold, 0.0)
            left[row, used], right[row, used] = tree.children_left, tree.children_right
            reached[row, used] = tree.n_node_samples
        return IsolationTrees(feature, threshold, left, right, reached, min(samples, len(points)), points.shape[1])

    def score(self, points: Array) -> Array:
        """Points (N, K), finite -> anomaly scores (N,) in (0, 1)."""
        rounded = points.astype(np.float32)  # as scikit-learn does, or a point on a threshold could take the other side
        lengths = np.empty(len(points))
        for start in range(0, len(points), TREE_BLOCK):
            lengths[start : start + TREE_BLOCK] = self._mean_lengths(rounded[start : start + TREE_BLOCK])
        return np.exp2(-lengths / average_path_length(np.array(self.samples)))

    def _mean_lengths(self, points: npt.NDArray[np.float32]) -> Array:
        """Mean lengths (B,) of the paths of points (B, K)."""
        roots, levels, columns, thresholds, children, path_lengths = self._flat
        values = points.ravel()  # (B K,)
        row = np.arange(0, len(values), self.columns)[:, None]  # (B, 1) where each point starts
        node = np.repeat(roots[None], len(points), axis=0)  # (B, T)
        for _ in range(levels):
            goes_right = values.take(row + columns.take(node)) > thresholds.take(node)
            node = children.take(2 * node + goes_right)
        return np.asarray(path_lengths.take(node).mean(axis=1))

    @cached_property
    def _flat(self) -> tuple[Integers, int, Integers, Array, Integers, Array]:
        """Roots (T,), depth, and of each node (T M,): column, threshold, children (2 T M,; a leaf's are itself) and path length."""
        own = np.arange(self.feature.size).reshape(self.feature.shape)
        first = own[:, :1]  # (T, 1) place of each root in the flattened arrays
        leaf = self.feature == LEAF
        children = np.stack([np.where(leaf, own, first + child) for child in (self.left, self.right)], axis=-1)
        depths = np.zeros(self.feature.shape, np.int64)  # (T, M) steps from the root
        for node in range(self.feature.shape[1]):  # children have higher numbers: a node's depth is final when its turn comes
            inner = np.flatnonzero(~leaf[:, node])
            for child in (self.left, self.right):
                depths[inner, child[inner, node]] = depths[inner, node] + 1
        lengths = depths + average_path_length(self.reached)
        columns = np.where(leaf, 0, self.feature)
        return first.ravel(), int(depths.max()), columns.ravel(), self.threshold.ravel(), children.ravel(), lengths.ravel()

    def to_state(self) -> State:
        """All arrays."""
        tables = {name: getattr(self, name).astype(np.int32) for name in ("feature", "left", "right", "reached")}
        return {**tables, "threshold": self.threshold.copy(), "samples": self.samples, "columns": self.columns}

    @staticmethod
    def from_state(state: State) -> IsolationTrees:
        """The trees that ``to_state`` gave."""
        saved = Reader(state, "the isolation trees")
        samples, columns = saved.integer("samples", 2, MAX_SAMPLES), saved.integer("columns", 1, MAX_SAMPLES)
        table, feature = ("T", "M"), saved.integers("feature", ("T", "M"), LEAF, columns - 1)
        nodes = feature.shape[1]
        if not feature.size or nodes > 2 * samples - 1:
            raise saved.fault("feature", "has an impossible shape")
        left, right = (saved.integers(name, table, high=nodes - 1) for name in ("left", "right"))
        for name, child in (("left", left), ("right", right)):
            if (child <= np.arange(nodes))[feature != LEAF].any():  # a step leads to a higher number, so that every path ends
                raise saved.fault(name, "leads in a circle")
        threshold, reached = saved.array("threshold", table), saved.integers("reached", table, 1, samples)
        return IsolationTrees(feature, threshold, left, right, reached, samples, columns)


def average_path_length(count: npt.NDArray[np.integer[Any]]) -> Array:
    """c(n): mean length of an unsuccessful search in a binary search tree of n points; counts of any shape."""
    several = np.maximum(count, 3).astype(np.float64)
    length = 2 * (np.log(several - 1) + np.euler_gamma) - 2 * (several - 1) / several
    return np.where(count > 2, length, np.where(count == 2, 1.0, 0.0))


class IsolationForestScorer(RecentPointsScorer):
    """How easily a point's place in its recent past is isolated, by a forest grown once from the training part.

    The error is the anomaly score of the forest, in (0, 1), for the features of ``window_features``; the prediction is the median
    of the ``window`` points before. Both are NaN where fewer points came before.

    Args:
        window: how many points before it a point is compared with.
        n_estimators: how many trees.
        max_samples: how many training points each tree is grown from.
        seed: of the random choices.

    Examples:
        >>> values = np.random.default_rng(0).normal(size=(300, 1))
        >>> scorer = IsolationForestScorer(window=8, n_estimators=20, seed=1).fit(values)
        >>> errors, predictions = scorer.process(np.array([[0.1], [9.0]]))
        >>> errors.round(2)
        array([0.39, 0.71])
    """

    name = "isolation_forest"
    GROUP = "forest"
    KEYS: ClassVar = {"window": "window", "n_estimators": "trees", "max_samples": "samples"}
    STATE: ClassVar = {
        "_seed": integer("seed"),
        "_trees": Field("trees", lambda saved: IsolationTrees.from_state(saved.state("trees")), IsolationTrees.to_state),
        "_scale": array("scale", ("F",), low=POSITIVE),
        "calibration_errors": array("training_errors", (None,)),
        "_recent": array("recent", (None, "F")),
        "_seen": integer("seen"),
        "_refits": integer("refits"),
    }

    def __init__(
        self, window: int = 16, n_estimators: int = 100, max_samples: int = 256, seed: int = 0, *, kept: int = 0, **settings: int
    ) -> None:
        super().__init__(kept or window, window=window, n_estimators=n_estimators, max_samples=max_samples, **settings)
        self._seed = seed
        self._trees: IsolationTrees
        self._seen = 0  # points since the end of the training part, or since the stream began
        self._refits = 0

    @property
    def window(self) -> int:
        """Points that a point's features are taken from, itself included."""
        return self._settings["window"] + 1

    def info(self) -> dict[str, object]:
        """The settings, and how many forests were grown since training."""
        return {**self._settings, "refits": self._refits}

    def reset(self) -> None:
        """Forget the recent points, keep the forest."""
        super().reset()
        self._seen = 0

    def _min_training_points(self) -> int:
        return 4 * self._settings["window"] + 32

    def _train(self, valid: Array, progress: Progress | None) -> None:
        """Grow the forest from complete rows (V, F).

        The training errors come from two further forests, each grown from one half and judging the other: a forest knows the
        points that it was grown from, and would find them less odd than new ones.
        """
        show = progress or (lambda done, total, text: None)
        self._scale = spread(valid)
        self._seen = self._refits = 0
        points = self._features(valid)[0]  # (V - window, 4 F)
        halves, errors = np.array_split(points, 2), []
        for done, (scored, learnt) in enumerate([halves, halves[::-1]]):
            show(done, 3, "isolation forest")
            errors.append(self._grow(learnt).score(scored))
        self.calibration_errors = np.concatenate(errors)
        show(2, 3, "isolation forest")
        self._trees = self._grow(points)
        show(3, 3, "isolation forest")
        self._recent = valid[-self._kept :].copy()

    def _complete(self, saved: Reader) -> None:
        super()._complete(saved)
        if self._trees.columns != FEATURES * len(self._scale):
            raise saved.fault("trees", f"ask for {self._trees.columns} features; there are {FEATURES * len(self._scale)}")

    def _score(self, values: Array) -> tuple[Array, Array]:
        window = self._settings["window"]
        stretch = np.concatenate([self._recent[-window:], values])
        errors, predictions = unknown(len(values)), unknown(*values.shape)
        if len(stretch) > window:
            points, medians = self._features(stretch)
            errors[-len(points) :], predictions[-len(points) :] = self._trees.score(points), medians
        self._recent = np.concatenate([self._recent, values])[-self._kept :]
        self._seen += len(values)
        return errors, predictions

    def _features(self, values: Array) -> tuple[Array, Array]:
        """Values (window + N, F) -> scaled features (N, 4 F) and medians (N, F) of the points from the ``window``-th on."""
        features, medians = window_features(values, self._settings["window"])  # (N, F, 4), (N, F)
        with np.errstate(over="ignore"):  # beyond float64 is beyond MAX_FEATURE
            scaled = np.clip(features / self._scale[:, None], -MAX_FEATURE, MAX_FEATURE)
        return scaled.reshape(len(scaled), -1), medians

    def _grow(self, points: Array) -> IsolationTrees:
        """A forest over points (N, 4 F); the seed of every refit is another one."""
        seed = int(np.random.SeedSequence([self._seed, self._refits]).generate_state(1)[0])
        return IsolationTrees.grow(points, self._settings["n_estimators"], self._settings["max_samples"], seed)


class SlidingIsolationForestScorer(IsolationForestScorer):
    """As ``IsolationForestScorer``, but with a forest grown anew from the last ``refit_window`` points every ``refit_every`` points.

    It follows a stream that changes for good, and forgets what it has not seen for long.

    Args:
        window: how many points before it a point is compared with.
        forest: the other settings, as there; each forest has a seed of its own, derived from ``seed``.
        refit_window: how many recent complete points a forest is grown from.
        refit_every: complete points from one forest to the next, counted from the end of the training part or from a reset.
    """

    name = "isolation_forest_sliding"
    KEYS: ClassVar = {**IsolationForestScorer.KEYS, "refit_window": "history", "refit_every": "refit_every"}

    def __init__(self, window: int = 16, *, refit_window: int = 1000, refit_every: int = 250, **forest: int) -> None:
        super().__init__(window, kept=refit_window, refit_window=refit_window, refit_every=refit_every, **forest)
        if refit_window < (needed := self._min_training_points()):
            raise ConfigError(f"{self.GROUP}.refit_window is {refit_window}; it must be at least {needed}, e.g. 1000")

    def _block_size(self) -> int:
        return min(self.BLOCK, self._settings["refit_every"] - self._seen % self._settings["refit_every"])

    def _score(self, values: Array) -> tuple[Array, Array]:
        scored = super()._score(values)
        if self._seen % self._settings["refit_every"] == 0 and len(self._recent) >= self._min_training_points():
            points = self._features(self._recent)[0]
            self._refits += 1
            if (points != points[0]).any():  # a constant stretch teaches nothing: a forest grown from it would find nothing odd
                self._trees = self._grow(points)
        return scored
