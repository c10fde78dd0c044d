"""IsolationTrees: a fitted isolation forest as plain arrays, scored without scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelError
from autoencoder.core.state import Reader, State
from autoencoder.scorers.base import Array

Integers = npt.NDArray[np.int64]

BLOCK = 512  # points that go down the trees together: their (512, trees) arrays stay in the processor's cache
MOST_SAMPLES = 1 << 20
LEAF = -1


class IsolationTrees:
    """Trees over points (N, K) whose anomaly score is 2^(-E[h] / c(samples)), in (0, 1): the higher, the easier to isolate.

    h is the length of a point's path to its leaf, lengthened by c(n) where n training points share the leaf, and c(n) is the mean
    length of an unsuccessful search in a binary search tree of n points.

    Source: Liu, Ting and Zhou, "Isolation Forest", ICDM 2008, doi 10.1109/ICDM.2008.17.

    Args:
        feature: (T, M) the column that each of M nodes of each of T trees asks for; -1 at a leaf. Node 0 is the root; trees with
            fewer nodes are filled up with leaves that nothing leads to.
        threshold: (T, M) a point whose value is at most this goes left.
        left: (T, M) the node on the left, always of a higher number; -1 at a leaf.
        right: (T, M) likewise.
        reached: (T, M) how many training points reached the node.
        samples: how many training points each tree was grown from.
        columns: K.

    Raises:
        ModelError: the arrays are no such trees.
    """

    def __init__(
        self, feature: Integers, threshold: Array, left: Integers, right: Integers, reached: Integers, samples: int, columns: int
    ) -> None:
        self.feature, self.threshold, self.left, self.right, self.reached = feature, threshold, left, right, reached
        self.samples, self.columns = samples, columns
        self._check()
        count, nodes = feature.shape
        own = np.arange(count * nodes).reshape(count, nodes)
        first = own[:, :1]  # (T, 1) place of each root in the flattened arrays
        leaf = feature == LEAF
        children = np.stack([np.where(leaf, own, first + left), np.where(leaf, own, first + right)], axis=-1)
        depths = self._depths()
        self._roots = first.ravel()
        self._levels = int(depths.max())
        self._columns = np.where(leaf, 0, feature).ravel()
        self._thresholds = threshold.ravel()
        self._children = children.ravel()  # (2 T M,) left and right of each node; a leaf leads to itself
        self._lengths = (depths + average_path_length(reached)).ravel()

    @staticmethod
    def grow(points: Array, trees: int, samples: int, seed: int) -> IsolationTrees:
        """Grow trees from points (N, K), each from a random choice of ``samples`` of them (all, if there are fewer)."""
        from sklearn.ensemble import IsolationForest

        forest = IsolationForest(n_estimators=trees, max_samples=min(samples, len(points)), random_state=seed)
        return IsolationTrees.from_sklearn(forest.fit(points))

    @staticmethod
    def from_sklearn(forest: Any) -> IsolationTrees:
        """The trees of a fitted ``sklearn.ensemble.IsolationForest``."""
        nodes = max(estimator.tree_.node_count for estimator in forest.estimators_)
        shape = (len(forest.estimators_), nodes)
        feature, left, right = (np.full(shape, LEAF, np.int64) for _ in range(3))
        threshold, reached = np.zeros(shape), np.ones(shape, np.int64)
        for row, (estimator, columns) in enumerate(zip(forest.estimators_, forest.estimators_features_, strict=True)):
            tree = estimator.tree_
            used, inner = slice(tree.node_count), tree.children_left != LEAF
            feature[row, used] = np.where(inner, columns[np.where(inner, tree.feature, 0)], LEAF)
            threshold[row, used] = np.where(inner, tree.threshold, 0.0)
            left[row, used], right[row, used] = tree.children_left, tree.children_right
            reached[row, used] = tree.n_node_samples
        return IsolationTrees(feature, threshold, left, right, reached, int(forest.max_samples_), int(forest.n_features_in_))

    def score(self, points: Array) -> Array:
        """Points (N, K), finite -> anomaly scores (N,) in (0, 1)."""
        rounded = points.astype(np.float32)  # as scikit-learn does, or a point on a threshold could take the other side
        lengths = np.empty(len(points))
        for start in range(0, len(points), BLOCK):
            lengths[start : start + BLOCK] = self._mean_lengths(rounded[start : start + BLOCK])
        return np.exp2(-lengths / average_path_length(np.array(self.samples)))

    def _mean_lengths(self, points: npt.NDArray[np.float32]) -> Array:
        values = points.ravel()  # (B K,)
        row = np.arange(0, len(values), self.columns)[:, None]  # (B, 1) where each point starts
        node = np.repeat(self._roots[None], len(points), axis=0)  # (B, T)
        for _ in range(self._levels):
            goes_right = values.take(row + self._columns.take(node)) > self._thresholds.take(node)
            node = self._children.take(2 * node + goes_right)
        lengths: Array = self._lengths.take(node).mean(axis=1)
        return lengths

    def state(self) -> State:
        """All arrays."""
        return {
            "feature": self.feature.astype(np.int32),
            "threshold": self.threshold.copy(),
            "left": self.left.astype(np.int32),
            "right": self.right.astype(np.int32),
            "reached": self.reached.astype(np.int32),
            "samples": self.samples,
            "columns": self.columns,
        }

    @staticmethod
    def from_state(state: State) -> IsolationTrees:
        """The trees that ``state`` gave.

        Raises:
            ModelError: damaged.
        """
        saved = Reader(state, "the isolation trees")
        return IsolationTrees(
            _integers(state, "feature"),
            saved.array("threshold", (None, None)),
            _integers(state, "left"),
            _integers(state, "right"),
            _integers(state, "reached"),
            saved.integer("samples", 2, MOST_SAMPLES),
            saved.integer("columns", 1, MOST_SAMPLES),
        )

    def _check(self) -> None:
        shape = self.feature.shape
        if self.feature.ndim != 2 or 0 in shape or shape[1] > 2 * self.samples - 1:
            raise _damaged("feature has an impossible shape")
        for name in ("threshold", "left", "right", "reached"):
            if getattr(self, name).shape != shape:
                raise _damaged(f"{name} and feature differ in shape")
        if (self.feature < LEAF).any() or (self.feature >= self.columns).any():
            raise _damaged("feature names a column that is not there")
        if not np.isfinite(self.threshold).all():
            raise _damaged("threshold holds values that are not finite")
        if (self.reached < 1).any() or (self.reached > self.samples).any():
            raise _damaged("reached is out of range")
        inner = self.feature != LEAF
        for name in ("left", "right"):
            child = getattr(self, name)
            # Every step leads to a higher number, so that every path ends.
            if (child[inner] >= shape[1]).any() or (child <= np.arange(shape[1]))[inner].any():
                raise _damaged(f"{name} leads out of the tree or in a circle")

    def _depths(self) -> Integers:
        """Steps (T, M) from the root to each node."""
        depths = np.zeros(self.feature.shape, np.int64)
        for node in range(self.feature.shape[1]):  # children have higher numbers: a node's depth is final when its turn comes
            inner = np.flatnonzero(self.feature[:, node] != LEAF)
            for child in (self.left, self.right):
                depths[inner, child[inner, node]] = depths[inner, node] + 1
        return depths


def average_path_length(count: npt.NDArray[np.integer[Any]]) -> Array:
    """c(n): mean length of an unsuccessful search in a binary search tree of n points; counts of any shape."""
    several = np.maximum(count, 3).astype(np.float64)
    length = 2 * (np.log(several - 1) + np.euler_gamma) - 2 * (several - 1) / several
    return np.where(count > 2, length, np.where(count == 2, 1.0, 0.0))


def _integers(state: State, key: str) -> Integers:
    value = state.get(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind != "i" or value.ndim != 2:
        raise _damaged(f"{key} is no table of whole numbers")
    return value.astype(np.int64)


def _damaged(what: str) -> ModelError:
    return ModelError(f"the saved state of the isolation trees cannot be used: {what}; copy the run folder again or train again")
