"""SeasonalResidual: how far the newest points all lie off their usual values at that time of the season, on the same side.

A window of one season looks the same on a wrong day; a longer season, such as a week of days, tells.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from autoencoder.core.state import Reader, Resettable, State, array, integer, integers
from autoencoder.core.types import Array, Integers
from autoencoder.network.period import first_period
from autoencoder.scorers.regression import MAD_TO_STD

KINDS = 1  # of evidence in each column
GUESS = 0.1  # see ``Surprise.fit``: deviations that a nat is where 8 points never lay on one side, as for independent noise
NEWEST = 8  # points that must all lie on one side: a spike leaves no echo, and an event ends with the first point that is back
LONGER = (1, 5, 7)  # times the shortest season that the longest may be: days of a working week, and of a week
GAIN = 0.9  # share of what a shorter season does not account for that a longer one must leave at most
CHOICE_POINTS = 50_000  # newest training points that the season is chosen by
CYCLES = 4  # seasons that a usual value follows, in the mean
CLIP = 3.0  # deviations beyond which a residual teaches no more
FAR = 3.0  # deviations, beyond which evidence says that the stream is away from its season, and nothing is learnt
PATIENCE = 3  # times the shortest season, for which it may be away; what goes on is learnt
MEAN_TO_STD = math.sqrt(math.pi / 2)  # of the mean deviation of normal noise
BLOCK = 64  # points whose usual values are saved apart, so that those of a long season need not be written with every point
ENOUGH = 200  # points whose evidence makes a tail
FINENESS = 1024.0  # steps of a deviation, at least, in which usual values are remembered
HUGE = 1e280  # deviation from which on they are not rounded
NEVER = 1e307  # deviation of a column that never moved: no season says how far is far, and other evidence sees that it moves


class SeasonalResidual(Resettable):
    """Exponential smoothing of a season and a level, robustly: residuals teach as if they were no more than ``CLIP`` deviations.

    A usual value is kept for every point of the season. It, the level and the deviation follow the stream, so that what stays is usual
    after some seasons; what does not, such as an outage of two days, leaves no trace. The evidence of a point is the smallest of the newest
    ``NEWEST`` residuals, where all have the same sign, in deviations of the training part; else 0. It is NaN in the training part until
    usual values are known.

    Source: Gelper, Fried and Croux, Journal of Forecasting 2010, doi 10.1002/for.1125.

    Examples:
        >>> noise = np.random.default_rng(0).normal(scale=0.1, size=(264, 1))
        >>> days = np.tile(np.r_[np.zeros(12), np.ones(12)], 11)[:, None] + noise
        >>> season = SeasonalResidual()
        >>> season.fit(days[:240]).shape
        (240, 1, 1)
        >>> bool(season.compare(noise[240:]).max() > 3)  # a day without its peak
        True
    """

    name = "the seasonal residual"
    STATE: ClassVar = {
        "period": integer("period"),
        "_unit": array("unit", ("F",), low=np.finfo(float).tiny),
        "_level": array("level", ("F",), finite=False),
        "_deviation": array("deviation", ("F",), low=0.0),
        "_newest": array("newest", ("F", NEWEST - 1)),
        "_seen": integer("seen"),
        "_patience": integer("patience"),
        "_away": integers("away", ("F",), 0),
    }

    def __init__(self) -> None:
        self._patience = 0  # points that a stream may be away
        self.period = 0  #: points of a season; 0 where the training part shows none twice
        self._unit = np.ones(0)  # (F,) deviation of the residuals in the training part
        self.reset()

    def reset(self) -> None:
        """Begin another stream, at an unknown time of the season."""
        features = len(self._unit)
        self._usual = np.full((features, self.period), np.nan)  # less the level
        self._level = np.full(features, np.nan)
        self._deviation = self._unit.copy()
        self._newest = np.zeros((features, NEWEST - 1))  # residuals, 0 where unknown
        self._seen = 0  # points
        self._away = np.zeros(features, np.int64)  # points since it is away

    def fit(self, values: Array, day: int = 0) -> Array:
        """Learn from values (N, F) -> evidence (N, F, K), NaN where unknown; 0 where nothing repeats.

        ``day`` says how many points a day has, if it is known; see ``dominant_period``.
        """
        count, shortest = len(values), first_period(values[~np.isnan(values).any(axis=1)], day)
        seasons = [season for times in LONGER if 0 < 2 * (season := times * shortest) <= count]
        chosen, least, self._patience = 0, np.inf, PATIENCE * shortest
        longest = max(seasons, default=0)
        recent = values[-max(CHOICE_POINTS, 3 * longest) :]
        for season in seasons:
            self._begin(recent, season)
            left = self._left(recent, longest) if len(seasons) > 1 else 0.0
            if chosen == 0 or left < GAIN * least:
                chosen, least = season, left
        self._begin(values, chosen)
        evidence = self.compare(values)
        evidence[: max(chosen + NEWEST, min(2 * chosen, count - ENOUGH))] = np.nan
        return evidence

    def cover(self, window: int) -> int:
        """Points of whole seasons, the shortest ones, that are about a window; the window where nothing repeats."""
        shortest = self._patience // PATIENCE
        return max(1, round(window / shortest)) * shortest if self.period else window

    def _begin(self, values: Array, season: int) -> None:
        self.period = season
        differences = np.abs(values[season:] - values[: len(values) - season]) if season else values[:0]
        middle = np.nanmedian(differences, axis=0) if len(differences) else np.zeros(values.shape[1])
        mean = np.nan_to_num(np.nanmean(differences, axis=0)) if len(differences) else middle
        unit = np.where(middle > 0, MAD_TO_STD * np.nan_to_num(middle), MEAN_TO_STD * mean) / math.sqrt(2)
        self._unit = np.where(unit > np.finfo(float).tiny, unit, NEVER)
        self.reset()

    def _left(self, values: Array, first: int) -> float:
        """What the season does not account for of values (N, F) from the ``first`` on: how large means of ``NEWEST`` residuals are.

        It is in units of their own deviation, over all columns. Means tell seasons apart with few points; evidence is 0 for most of them.
        """
        found = np.array([self._follow(column, values[:, column].tolist())[1] for column in range(values.shape[1])])  # (F, N)
        with np.errstate(over="ignore"):  # huge values have an infinite one
            spread = np.nanstd(values, axis=0)
        means = np.lib.stride_tricks.sliding_window_view(np.nan_to_num(found[:, first:]), NEWEST, axis=1).mean(axis=2)
        return float(np.mean(np.abs(means).mean(axis=1) / np.where(spread > 0, spread, 1.0)))

    def compare(self, values: Array) -> Array:
        """Evidence (N, F, K) of values (N, F), which come next in the stream; NaN is a gap."""
        return self.follow(values)[0]

    def follow(self, values: Array) -> tuple[Array, Array]:
        """As ``compare``, and the residuals (N, F) of the values themselves, in the same deviations; NaN where no season is known."""
        evidence, residuals = np.zeros((*values.shape, KINDS)), np.full(values.shape, np.nan)
        if not self.period:
            return evidence, residuals
        for column, points in enumerate(values.T.tolist()):
            evidence[:, column, 0], residuals[:, column] = self._follow(column, points)
        self._seen += len(values)
        evidence /= self._unit[:, None]
        residuals /= self._unit
        return evidence, residuals

    def _follow(self, column: int, values: list[float]) -> tuple[list[float], list[float]]:
        """Go on with values of a column -> the smallest of the newest residuals where they lie on one side, else 0; their residuals."""
        usual, period, seen = self._usual[column], self.period, self._seen
        level, deviation, least, away = (part.item(column) for part in (self._level, self._deviation, self._unit, self._away))
        newest, rate = self._newest[column].tolist(), 1.0 / period
        # taken off again, it leaves a multiple of its last binary place
        round_off = math.ldexp(1.5, 52 + math.floor(math.log2(least / FINENESS))) if least < HUGE else 0.0
        evidence, residuals = list[float](), list[float]()
        for value in values:
            phase = seen % period
            known = usual.item(phase)
            residual = value - known - level
            residuals.append(residual)
            newest.append(residual if residual == residual else 0.0)
            low, high = min(newest), max(newest)
            evidence.append(low if low > 0 else -high if high < 0 else 0.0)
            away = away + 1 if evidence[-1] > FAR * least else 0
            if residual == residual and not 0 < away <= self._patience:
                limit = CLIP * deviation
                learnt = min(max(residual, -limit), limit)
                usual[phase] = known + learnt / min(seen // period + 1, CYCLES) + round_off - round_off
                level += rate * learnt
                deviation = max(deviation + rate * (MEAN_TO_STD * abs(learnt) - deviation), least)
            elif residual != residual and value == value:  # the first one at this time of the season
                level = value if level != level else level
                usual[phase] = value - level + round_off - round_off
            del newest[0]
            seen += 1
        self._level[column], self._deviation[column], self._newest[column], self._away[column] = level, deviation, newest, away
        return evidence, residuals

    def state(self) -> State:
        """All that is remembered; the usual values of the block that is under way stand apart."""
        usual, places = self._usual.copy(), self._block()
        usual[:, places] = 0.0
        return {**super().state(), "usual": usual, "block": self._usual[:, places]}

    def _block(self) -> Integers:
        """Places in the season of the block that is under way."""
        return (self._seen // BLOCK * BLOCK + np.arange(BLOCK)) % self.period if self.period else np.empty(0, np.int64)

    def _complete(self, saved: Reader) -> None:
        features = len(self._unit)
        self._usual = saved.array("usual", (features, self.period), finite=False)
        if saved.has("block"):  # not in a model of an earlier version
            places = self._block()
            self._usual[:, places] = saved.array("block", (features, len(places)), finite=False)
