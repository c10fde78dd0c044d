"""Evidence of several kinds: each in a unit of its own that follows the stream, then joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from autoencoder.core.state import Reader, Resettable, array, integer, integers
from autoencoder.core.types import Array

BLOCK = 192  # points after which a unit moves; constant in between, so that whole blocks are measured at once
MEMORY = 10_000  # newest points of the stream that a unit is taken from
FAR = 2.0  # units beyond which evidence is of an anomaly, and no measure
MIN_SEEN = 2000  # points that count as seen at the beginning: so that a first anomaly lifts no unit


class EvidenceUnits(Resettable):
    """Measures each kind of evidence in what a share of normal points stay below.

    The unit of a kind is that quantile of the training part, or of the newest ``MEMORY`` points of the stream where it is higher there:
    evidence that has become frequent stops being evidence. It never falls below where it started, whatever a quiet stretch shows, and
    learns nothing of evidence beyond ``FAR`` units, however long that lasts: a threshold follows what stays. Only points above the first
    unit are remembered; no others can lift the quantile over it.

    Args:
        quantiles: of each kind of evidence (K,), in (0, 1).
        least: that a unit may be (K,).

    Attributes:
        units: (K,) that hold now.
        trained: (K,) of the training part, the least that they can be.
        position: points of the stream so far.

    Examples:
        >>> evidence = EvidenceUnits([0.9])
        >>> evidence.fit(np.arange(101.0)[:, None])[-1]
        array([1.11111111])
        >>> evidence.process(np.full((500, 1), 99.0))[[0, -1], 0]
        array([1.1, 1. ])
        >>> evidence.process(np.full((500, 1), 990.0))[[0, -1], 0]
        array([10., 10.])
    """

    name = "the units of evidence"
    STATE: ClassVar = {
        "trained": array("trained", ("K",)),
        "units": array("units", ("K",)),
        "position": integer("position"),
        "_places": integers("places", ("N",)),
        "_kinds": integers("kinds", ("N",)),
        "_values": array("values", ("N",)),
    }

    def __init__(self, quantiles: Sequence[float], least: Sequence[float] | None = None) -> None:
        self._quantiles = np.asarray(quantiles)
        self._least = np.maximum(1e-6, np.zeros(len(self._quantiles)) if least is None else np.asarray(least))
        self.trained = np.ones(len(self._quantiles))
        self.reset()

    def fit(self, evidence: Array) -> Array:
        """Start from evidence (M, K) of the training part -> the same in units of each kind."""
        self.trained = np.array([np.quantile(kind, share) for kind, share in zip(evidence.T, self._quantiles, strict=True)])
        self.trained = np.maximum(self.trained, self._least)
        self.reset()
        return evidence / self.trained

    def reset(self) -> None:
        """Begin another stream: the units of the training part stay."""
        self.units = self.trained
        self.position = 0
        self._places, self._kinds, self._values = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)

    def process(self, evidence: Array) -> Array:
        """Evidence (N, K) -> the same in units of each kind."""
        if len(evidence) == 1:
            measured = evidence / self.units
            self.learn(evidence)
            return np.asarray(measured)
        measured = np.empty(evidence.shape)
        done = 0
        while done < len(evidence):
            stop = min(len(evidence), done + BLOCK - self.position % BLOCK)
            block = evidence[done:stop]
            np.divide(block, self.units, out=measured[done:stop])
            self.learn(block)
            done = stop
        return measured

    def learn(self, block: Array) -> None:
        """Take in evidence (B, K) that has been measured, at most up to the next multiple of ``BLOCK``."""
        above = (block > self.trained) & (block <= FAR * self.units)
        if np.count_nonzero(above):
            rows, kinds = np.nonzero(above)
            self._places = np.concatenate([self._places, self.position + rows])
            self._kinds = np.concatenate([self._kinds, kinds])
            self._values = np.concatenate([self._values, block[rows, kinds]])
        self.position += len(block)
        if self.position % BLOCK == 0:
            self._follow()

    def skip(self, count: int) -> None:
        """Let so many points go by whose evidence lay below all units, and that fill no block."""
        self.position += count

    def _follow(self) -> None:
        """Take the units from the newest points."""
        recent = self._places >= self.position - MEMORY
        self._places, self._kinds, self._values = self._places[recent], self._kinds[recent], self._values[recent]
        seen = min(max(self.position, MIN_SEEN), MEMORY)
        self.units = self.trained.copy()
        for kind, share in enumerate(self._quantiles):
            values = self._values[self._kinds == kind]
            above = int(seen * (1.0 - share) + 1e-9) + 1  # place of the quantile, from the top
            if len(values) >= above:
                self.units[kind] = np.partition(values, -above)[-above]

    def _complete(self, saved: Reader) -> None:
        if len(self.trained) != (count := len(self._quantiles)):
            raise saved.fault("trained", f"holds {len(self.trained)} units; there must be {count}")
        if not (self.trained > 0).all() or not (self.units >= self.trained).all():
            raise saved.fault("units", "must be above 0 and no less than those of the training part")
        if ((self._kinds < 0) | (self._kinds >= count)).any() or ((self._places < 0) | (self._places >= self.position)).any():
            raise saved.fault("places", "must be of points and kinds that were seen")


def larger_evidence(error: Array, distance: Array, unit: Array) -> Array:
    """The larger of reconstruction errors (M,) and window distances (M,), each in its unit (2,) or (2, M) -> (M,)."""
    return np.asarray(np.maximum(error / unit[0], distance / unit[1]))


def join(evidence: Array, columns: int) -> Array:
    """Evidence of the network and of the linear forecast of F columns (N, 1 + F K), each in its unit -> their root sum of squares (N,).

    Of several columns the one with most evidence of a kind counts.
    """
    if columns > 1:
        linear = np.maximum.reduce(evidence[:, 1:].reshape(len(evidence), columns, -1), axis=1)  # (N, K)
        evidence = np.concatenate([evidence[:, :1], linear], axis=1)
    return np.asarray(np.sqrt(np.add.reduce(np.square(evidence), axis=1)))
