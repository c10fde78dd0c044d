"""Habit: what a stream does often is no news, however improbable the tail of its errors calls it."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from autoencoder.core.state import Stateful, array, integer, integers, number
from autoencoder.core.types import Array

MEMORY = 10_000  # newest errors whose alarms are remembered
GAP = 48  # errors between two flags of one alarm, at most
ALIKE = 0.8  # of its height, from which on an earlier alarm counts as one as high
SHARE = 0.5  # of the budget: alarms that come more often than that are no rare events
CONFIDENCE = 0.99  # that they do, without which they are no habit


class Habit(Stateful):
    """Counts the alarms of a stream by their height, the largest error in limits, and lowers the score of those that are a habit.

    The budget says how often normal errors pass the limit. Where alarms about as high as an error, or higher, came more often than half of
    that, beyond what chance explains (a Poisson test), the far tail was drawn too short for this stream: the probability of such an error
    is then how often they came, as far as it stays flagged. A burst of flags is one alarm (declustering; Coles, "An Introduction to
    Statistical Modeling of Extreme Values", 2001, section 5.3.2), so a single long anomaly never becomes a habit.

    Args:
        budget: share of normal errors that may be flagged, in (0, 1).
        most: probability of an error at the limit, to which those of flagged errors are raised at most.

    Examples:
        >>> habit = Habit(budget=0.001, most=0.0008)
        >>> errors = np.zeros(1000)
        >>> errors[99::100] = 7.0
        >>> habit.temper(errors, np.ones(1000), np.full(1000, 1e-9))[99::100].round(4).tolist()
        [0.0, 0.0, 0.0, 0.0008, 0.0008, 0.0008, 0.0008, 0.0008, 0.0008, 0.0008]
    """

    name = "the habit"
    STATE: ClassVar = {
        "_seen": integer("seen"),
        "_ends": integers("ends", ("A",)),
        "_heights": array("heights", ("A",)),
        "_end": integer("end", -MEMORY),
        "_height": number("height"),
    }

    def __init__(self, budget: float, most: float) -> None:
        self._budget, self._most = budget, most
        self.begin(0)

    def begin(self, errors: int) -> None:
        """Begin a stream, of which so many normal errors are known."""
        self._seen = min(errors, MEMORY)
        self._ends, self._heights = np.empty(0, np.int64), np.empty(0)  # of the alarms that are over, (A,)
        self._end, self._height = -MEMORY, 0.0  # of the newest alarm

    def temper(self, errors: Array, limits: Array, probabilities: Array) -> Array:
        """Raise probabilities that a normal error is larger, all (N,).

        Args:
            errors: NaN where unknown.
            limits: which judge these errors.
            probabilities: of larger normal errors, by the tail.
        """
        flagged = (errors > limits).nonzero()[0]
        if not len(flagged):
            self._seen += int(np.count_nonzero(errors == errors))
            return probabilities
        places = self._seen + np.cumsum(errors == errors)
        self._seen = int(places[-1])
        tempered = probabilities.copy()
        heights = errors[flagged] / np.where(limits[flagged] > 0, limits[flagged], 1.0)
        for place, at, height in zip(flagged.tolist(), places[flagged].tolist(), heights.tolist(), strict=True):
            tempered[place] = max(tempered[place], self._often(at, min(height, 1e300)))
        return tempered

    def _often(self, at: int, height: float) -> float:
        """Learn a flag at that error of the stream -> how often there was an alarm as high, or 0 where that is no habit."""
        if at - self._end > GAP:
            self._ends, self._heights = np.append(self._ends, self._end), np.append(self._heights, self._height)
            self._height = 0.0
        recent = self._ends > at - MEMORY
        self._ends, self._heights = self._ends[recent], self._heights[recent]
        self._end, self._height = at, max(self._height, height)
        count, points = int(np.count_nonzero(self._heights >= ALIKE * height)), min(at, MEMORY)
        return min(count / points, self._most) if count > most_by_chance(SHARE * self._budget * points) else 0.0


def most_by_chance(expected: float) -> int:
    """How many come at most by chance, with probability ``CONFIDENCE``, where so many are expected.

    >>> [most_by_chance(expected) for expected in (0.1, 1.0, 10.0)]
    [1, 4, 18]
    """
    count = max(0, int(expected - 10 * math.sqrt(expected)))  # what is fewer never happens
    total = chance = math.exp(count * math.log(expected) - expected - math.lgamma(count + 1))
    while total < CONFIDENCE:
        count += 1
        chance *= expected / count
        total += chance
    return count
