"""Shadow: what points say by themselves after an anomaly, while the windows that end at them still hold it."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from autoencoder.core.state import Reader, Resettable, array, integer, number
from autoencoder.core.types import Array
from autoencoder.scorers.evidence import SINGLE, Surprise, believable, total
from autoencoder.scorers.linear_forecast import KINDS, POINTS, LinearForecast
from autoencoder.thresholds.peaks_over_threshold import MAX_RARITY, PeaksOverThreshold

RARE = 0.001  # share of normal points that pass the limit for one in 1,000
LIMITS = 1.4  # times that limit, beyond which an error casts a shadow: one between the two often grows on, and is to be seen
USUAL = 1.0  # deviations from its usual value at that time of the season, within which a value is back


class Shadow(Resettable):
    """Follows a stream as it would be without its anomalies.

    An anomaly stays in the windows of the points after it, and these are unlike anything normal, whatever the points are like. In its
    shadow, as long as a window reaches, the network's evidence is of the anomaly: a point counts by its range, its repetitions and its
    linear forecast alone. That is made twice, from the values as they were and from values in which the forecast stands in the place of
    every anomaly, as a filter cleaner has it (Masreliez and Martin 1977, doi 10.1109/TAC.1977.1101538); the lower one counts, for after an
    anomaly a stream goes on from the one or from the other. Neither forecast knows the jump back from an event that was not flagged in
    every point; so one that is back where the season has it counts without a forecast. A point never counts more than its window.

    Args:
        reach: points that a window looks back on.
    """

    name = "the shadow"
    STATE: ClassVar = {
        "_bound": number("bound"),
        "_since": integer("since"),
        "_values": array("values", (None, None)),
    }

    def __init__(self, reach: int) -> None:
        self._reach = max(reach, POINTS)
        self._bound = float(np.finfo(float).max)  # an error above it is an anomaly's
        self.reset()

    def fit(self, errors: Array) -> Self:
        """Learn from errors (M,) of the training part, those that are believable, which ones are an anomaly's."""
        threshold = PeaksOverThreshold(RARE)
        threshold.fit(believable(errors, RARE / MAX_RARITY))
        self._bound = min(LIMITS * float(threshold.process(errors[:1])[0]), self._bound)
        return self

    def reset(self) -> None:
        """Begin another stream."""
        self._since = self._reach  # points from the newest anomaly to the newest point, no more than these
        self._values = np.empty((0, 0))  # the newest points without anomalies, (POINTS - 1, F), where they held one

    @property
    def _least(self) -> float:
        """The error above which the next point has to be looked at."""
        return self._bound if self._since >= self._reach else self._bound / LIMITS

    def skip(self, count: int) -> None:
        """Pass by so many points without an error, or with one that casts no shadow."""
        self._since = min(self._since + count, self._reach)

    def process(
        self,
        stream: Array,
        errors: Array,
        levels: Array,
        evidence: Array,
        residuals: Array,
        forecast: LinearForecast,
        surprise: Surprise,
        without: tuple[str, ...] = (),
    ) -> Array:
        """What the newest N points of a stream (H + N, F) say by themselves -> errors (N,).

        Args:
            stream: with at least ``POINTS - 1`` points before the newest, as far as there were so many.
            errors: (N,) of the windows that end at these points, NaN where unknown.
            levels: (N, F) of these points.
            evidence: (M, K) of the newest of these points, all whose error is known among them, from the values as they were.
            residuals: (N, F) of these points, off what is usual at their time of the season, in deviations; NaN where unknown.
            forecast: of the newest points.
            surprise: of all kinds of evidence.
            without: ``PARTS`` of it that are left out, beside the network's.
        """
        first = len(stream) - len(errors)
        if not np.count_nonzero(errors > self._least) and not len(self._values):
            self.skip(len(errors))
            return errors
        newest = first - 1 - self._since
        unusual = np.flatnonzero(errors > self._bound / LIMITS)
        unusual = unusual[unusual + first >= POINTS - 1]
        stream, own, features = stream.copy(), errors.copy(), stream.shape[1]
        if len(self._values):
            stream[first - len(self._values) : first] = self._values
        places, without = unusual + (len(evidence) - len(errors)), ("network", *without)
        surprises, is_back = surprise.of(evidence[places]), (np.abs(residuals[unusual]) <= USUAL).all(axis=1)
        alone = total(surprises, features, without)
        alone[is_back] = total(surprises[is_back], features, (*without, "linear forecast"))
        for place, row, point, least in zip(unusual.tolist(), (unusual + first).tolist(), evidence[places], alone, strict=True):
            stretch = stream[row - POINTS + 1 : row + 1]  # (P, F), a view
            if row - newest < self._reach:
                own[place] = min(own[place], least)
                if row - newest < POINTS:  # what stands in the place of an anomaly is among them
                    _forecast_again(point, stretch, levels[place], forecast)
                    own[place] = min(own[place], total(surprise.of(point[None]), features, without).item())
            if own[place] > self._bound:
                stretch[-1] = forecast.expected(stretch[:-1], levels[place])
                newest = row
        self._since = min(len(stream) - 1 - newest, self._reach)
        self._values = stream[-(POINTS - 1) :].copy() if self._since < POINTS - 1 else stream[:0]
        return own

    def _complete(self, saved: Reader) -> None:
        if len(self._values) not in (0, POINTS - 1):
            raise saved.fault("values", f"holds {len(self._values)} points; there must be {POINTS - 1}, or none")


def _forecast_again(point: Array, stretch: Array, level: Array, forecast: LinearForecast) -> None:
    """Let the linear part of a point's evidence (K,) be that of a stretch (P, F) with a level (F,); repetitions are of what was there."""
    linear = point[SINGLE : SINGLE + len(level) * KINDS].reshape(len(level), KINDS)  # a view
    [linear[:, :-1]] = forecast.errors(np.ascontiguousarray(stretch.T)[None], level)
