"""Evidence of several kinds, each turned into its own surprise, and joined."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from autoencoder.core.state import Reader, Stateful, array
from autoencoder.core.types import Array
from autoencoder.scorers import seasonal_residual
from autoencoder.scorers.dependence import GUESS, joint_kinds
from autoencoder.scorers.linear_forecast import GUESSES, KINDS

TAIL = 0.1  # share of the training points whose evidence makes the tail
PIECES = 8  # straight pieces of the surprise below the tail
PIECE = -np.log(TAIL) / PIECES  # nats that each of them adds
MAX_SURPRISE = 1e60  # nats, whose power is finite
MOST = np.array([PIECE] * PIECES + [np.inf])  # nats that evidence beyond each knot adds
LEAST_WIDTH = 1e-150  # of a piece; evidence that takes few values puts several quantiles on one of them
ENOUGH = 1000  # points of a training part; with fewer, what does not belong to a tail cannot be told from it
DOUBTED = 0.02  # share of so many points that may be anomalies, so that their size tells nothing of a tail
SINGLE = 3  # kinds of evidence that a point has once; the others it has in each column
SINGLE_GUESSES = (1e-6, 1e-6, 0.002)  # see ``Surprise.fit``: of error, distance and excursion
USUAL = 3.0  # nats that evidence of a column that is well has at times; what is more tells of the column
DEPENDENCE = "dependence"
PARTS = {  # what the kinds come from
    "network": slice(0, 2),
    "range": slice(2, SINGLE),
    "linear forecast": slice(SINGLE, SINGLE + KINDS - 1),
    "repetitions": slice(SINGLE + KINDS - 1, SINGLE + KINDS),
    "season": slice(SINGLE + KINDS, SINGLE + KINDS + seasonal_residual.KINDS),
    DEPENDENCE: slice(SINGLE + KINDS + seasonal_residual.KINDS, None),  # of several columns
}


class Surprise(Stateful):
    """Surprise of evidence: minus the logarithm of the probability that normal evidence of its kind is as large, in nats.

    Below the tail it follows the quantiles of the training part; the tail is taken for exponential, so that what lies far out counts by its
    size. Of a training part of ``ENOUGH`` points the largest ``DOUBTED`` share says only that it lies far out: a few anomalies among them
    would make all later ones usual. Where several quantiles lie on one value, such as 0, the surprise of what lies beyond begins at 0
    there. In nats, kinds of evidence can be compared and joined (Fisher, "Statistical Methods for Research Workers", 4th edition, 1932,
    section 21.1); as they depend on each other, how the whole varies is for the threshold to learn.

    Examples:
        >>> surprise = Surprise()
        >>> surprise.fit(np.random.default_rng(0).exponential(size=(20_000, 1)), np.array([1e-6]))
        >>> surprise.of(np.array([[0.5], [5.0], [50.0]])).round(1).ravel().tolist()
        [0.5, 5.0, 50.1]
    """

    name = "the surprise"
    STATE: ClassVar = {
        "_knots": array("knots", ("K", PIECES + 1)),
        "_scale": array("scale", ("K",), low=LEAST_WIDTH),
    }

    def __init__(self) -> None:
        self._knots: Array  # (K, PIECES + 1) evidence of surprise 0, PIECE, 2 PIECE, ...
        self._scale: Array  # (K,) evidence beyond the last knot that adds a nat
        self._slopes: Array  # (K, PIECES + 1) nats that a unit of evidence adds beyond each knot

    def __len__(self) -> int:
        """Kinds of evidence (K)."""
        return len(self._scale)

    def fit(self, evidence: Array, guess: Array) -> None:
        """Learn from evidence of the training part (M, K), NaN where unknown, and ``guess`` (K,): scales of tails that it does not show."""
        shares = np.append(1.0 - np.exp(-PIECE * np.arange(PIECES + 1)), 1.0 - DOUBTED)
        known = [kind[kind == kind] for kind in evidence.T]
        quantiles = np.array([np.quantile(kind, shares) if len(kind) else np.zeros(len(shares)) for kind in known])
        self._knots = quantiles[:, :-1]
        self._scale = tail_scale(np.nan_to_num(evidence), self._knots[:, -1], quantiles[:, -1], guess)
        self._set_model()

    def _set_model(self) -> None:
        widths = np.diff(self._knots, axis=1)
        slopes = np.divide(PIECE, widths, out=np.zeros_like(widths), where=widths > LEAST_WIDTH)
        self._slopes = np.column_stack([slopes, 1.0 / self._scale])

    def of(self, evidence: Array) -> Array:
        """Evidence (N, K) -> surprises (N, K)."""
        nats = evidence[..., None] - self._knots  # (N, K, PIECES + 1)
        nats *= self._slopes
        np.minimum(np.maximum(nats, 0.0, out=nats), MOST, out=nats)
        return np.asarray(np.add.reduce(nats, axis=-1))

    def _complete(self, saved: Reader) -> None:
        self._set_model()


def side_by_side(error: Array, distance: Array, outside: Array, linear: Array, given: Array | None = None) -> Array:
    """Evidence (N, K) of all kinds: errors, distances, excursions (N,), and of each column (N, F, ...) linear and other evidence."""
    count, features, kinds = linear.shape
    others = 0 if given is None else given.shape[2]
    end = SINGLE + features * kinds
    evidence = np.empty((count, end + features * others))
    evidence[:, 0], evidence[:, 1], evidence[:, 2] = error, distance, outside
    evidence[:, SINGLE:end] = linear.reshape(count, features * kinds)
    if given is not None:
        evidence[:, end:] = given.reshape(count, features * others)
    return evidence


def guesses(features: int) -> Array:
    """Scales (K,) of the tails of such evidence of F columns, see ``Surprise.fit``."""
    others = (seasonal_residual.GUESS,) * seasonal_residual.KINDS + (GUESS,) * joint_kinds(features)
    return np.array(SINGLE_GUESSES + GUESSES * features + others * features)


def of_columns(surprises: Array, features: int) -> tuple[Array, Array]:
    """The parts of surprises (N, K) that each column has: of the linear forecast, and of season and dependence, (N, F, ...)."""
    end = SINGLE + features * KINDS
    linear, joint = surprises[:, SINGLE:end], surprises[:, end:]
    return linear.reshape(len(linear), features, KINDS), joint.reshape(len(joint), features, joint.shape[1] // features)


def total(surprises: Array, features: int, without: Iterable[str] = ()) -> Array:
    """Surprises (N, K) -> their norm of exponent 1.5 (N,); of several columns the most surprising one of a kind counts.

    The sum (exponent 1) would be right for independent kinds, and hides an anomaly that only one of them sees; the largest (infinity)
    wastes what several of them say. ``without`` some of ``PARTS`` it is the norm of the others.
    """
    if features > 1:
        largest = [np.maximum.reduce(each, axis=1) for each in of_columns(surprises, features)]
        surprises = np.concatenate([surprises[:, :SINGLE], *largest], axis=1)
    kinds = np.minimum(surprises, MAX_SURPRISE)
    for part in without:
        kinds[:, PARTS[part]] = 0.0
    kinds *= np.sqrt(kinds)
    return np.asarray(np.cbrt(np.square(np.add.reduce(kinds, axis=1))))


def contributing(features: int) -> int:
    """Columns that ``by_column`` tells of: all, where there are several."""
    return features if features > 1 else 0


def by_column(surprises: Array, features: int) -> Array:
    """How much each column adds to the total of surprises (N, K) -> (N, F), in its powers; (N, 0) of a single column.

    Only what is more than ``USUAL`` counts, as long as any column has that much: of many columns that are well, the sum of small
    surprises would hide the one that is not.
    """
    if features == 1:
        return np.empty((len(surprises), 0))
    kinds = np.minimum(np.concatenate(of_columns(surprises, features), axis=2), MAX_SURPRISE)  # (N, F, K)
    beyond = np.maximum(kinds - USUAL, 0.0)
    kinds = np.where(np.any(beyond, axis=(1, 2), keepdims=True), beyond, kinds)
    return np.asarray(np.add.reduce(kinds * np.sqrt(kinds), axis=2))


def tail_scale(values: Array, start: Array, doubted: Array, guess: Array | float = 0.0) -> Array:
    """Scales (K,) of the exponential tails that values (M, K) have above ``start`` (K,), and as a single further value a ``guess`` (K,).

    Of ``ENOUGH`` values those above ``doubted`` (K,) count as being above it, whatever their size (a censored sample, Epstein and Sobel
    1953, doi 10.1080/01621459.1953.10483488); with fewer, or where most of the tail is one value, all count by their size.
    """
    excess, most = np.maximum(values - start, 0.0), doubted - start
    most = np.where((most > 0) & (len(values) >= ENOUGH), most, np.inf)
    sizes = np.minimum(excess, most)
    return np.asarray((sizes.sum(axis=0) + guess) / (np.count_nonzero((sizes > 0) & (excess < most), axis=0) + 1))


def believable(errors: Array, rarity: float) -> Array:
    """Those of the errors (N,) of a training part, in nats, that an exponential tail passes with probability ``rarity`` or more.

    The tail begins at their 90 % quantile, see ``tail_scale``. With fewer than ``ENOUGH`` all are believed.
    """
    if len(errors) < ENOUGH:
        return errors
    start, doubted = np.quantile(errors, [1.0 - TAIL, 1.0 - DOUBTED])
    scale = tail_scale(errors, start, doubted).item()
    return errors[errors <= start + scale * np.log(TAIL / rarity)] if scale > 0 else errors
