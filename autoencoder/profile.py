"""StreamProfile: level, spread, season and interval of a stretch of a stream, and in what another stretch is far from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array
from autoencoder.network.period import autocorrelation, dominant_period
from autoencoder.thresholds.budget import interval_of

FAR_SCALE = 10.0  # times as large or as small both spread and steps must be: another unit, not another day
FAR_LEVEL = 3.0  # spreads that the middle must lie outside the range
FAR_SEASON = 1.25  # times as long or as short
FAR_INTERVAL = 1.5
PLAIN_SEASON = 0.5  # autocorrelation from which on a season is plain enough to be missed
SEASONS = 4  # of them that are looked at, where there is room
MIN_SEASONS = 3  # of them that must be there to be looked for
USUAL_POINTS, MOST_POINTS, LEAST_POINTS = 200, 4096, 50  # that a profile to compare is taken from
MOST_SPREADS = 1e100  # squares of them stay finite
LEVELS = 5  # rows of ``StreamProfile.levels``


@dataclass(frozen=True, slots=True)
class StreamProfile:
    """What a stretch of a stream is like.

    Examples:
        >>> wave = 20 + np.sin(np.arange(400) / 5)[:, None]
        >>> trained, found = (StreamProfile.of(np.arange(400), values) for values in (wave, 100 * wave))
        >>> list(trained.unlike(found, ["cpu"], 400))[0].split(";")[0]
        'cpu lies around 2003 with a spread of 197.2'
    """

    # (5, F) of each column: low and high (the 1st and the 99th percentile), median, spread (from the 5th to the 95th), and step (the 90th
    # percentile of the changes from value to value); NaN for a column without a known value
    levels: Array
    period: int  # of the season in points, 0 where nothing repeats
    strength: float  # the autocorrelation at that period
    interval: float  # seconds from point to point, 0 without timestamps

    @staticmethod
    def of(time: npt.NDArray[np.generic], values: Array) -> StreamProfile:
        """The profile of points (N,), (N, F); each column by its own known values."""
        period, strength = _season(values)
        return StreamProfile(np.stack([_levels(column) for column in values.T], axis=1), period, strength, interval_of(time))

    @property
    def points(self) -> int:
        """How many points of another stretch are looked at to compare it."""
        return min(MOST_POINTS, max(USUAL_POINTS, SEASONS * self.period))

    def distances(self, values: Array, predictions: Array) -> Array:
        """How far values (N, F) lie from predictions, in spreads of their columns, squared -> (N, F); (N, 0) of a single column."""
        if values.shape[1] == 1:
            return np.empty((len(values), 0))
        spread = np.where(self.levels[3] > 0, self.levels[3], 1.0)
        return np.asarray(np.square(np.clip((values - predictions) / spread, -MOST_SPREADS, MOST_SPREADS)))

    def unlike(self, found: StreamProfile, columns: Sequence[str], points: int) -> Iterator[str]:
        """A sentence for each thing in which a stretch of so many points is far from this one, with the figures of both."""
        for name, ours, theirs in zip(columns, self.levels.T, found.levels.T, strict=True):
            if _is_far_off(ours, theirs):
                (_, _, median, spread, _), (_, _, usual, usual_spread, _) = theirs, ours
                yield (
                    f"{name} lies around {median:.4g} with a spread of {spread:.4g}; the model was trained on values around "
                    f"{usual:.4g} with a spread of {usual_spread:.4g}: another unit, or another series?"
                )
        if self.interval and found.interval and _times(self.interval, found.interval) > FAR_INTERVAL:
            yield (
                f"a point comes every {found.interval:.4g} s; the model was trained on one every {self.interval:.4g} s: "
                "another series, or sampled in another way?"
            )
        elif self.period and points >= MIN_SEASONS * self.period and self.strength >= PLAIN_SEASON:
            if not found.period:
                yield f"no season is found in the first {points:,} points; the model was trained on one of {self.period:,}"
            elif found.strength >= PLAIN_SEASON and _times(self.period, found.period) > FAR_SEASON:
                yield f"the season has {found.period:,} points; the model was trained on one of {self.period:,}: another series?"

    def state(self) -> State:
        """All of it."""
        return {"levels": self.levels.copy(), "period": self.period, "strength": self.strength, "interval": self.interval}

    @staticmethod
    def load(state: State, columns: int) -> StreamProfile:
        """What ``state`` gave, of so many columns; ModelFileError where it is damaged."""
        saved = Reader(state, "the profile")
        levels, period = saved.array("levels", (LEVELS, columns), finite=False), saved.integer("period", 0, 1 << 40)
        return StreamProfile(levels, period, saved.number("strength"), saved.number("interval", 0.0))


def _levels(column: Array) -> Array:
    """Levels (5,) of the known values of a column (N,); NaN where it has none."""
    known = column[~np.isnan(column)]
    if not len(known):
        return np.full(LEVELS, np.nan)
    low, below, median, above, high = np.quantile(known, [0.01, 0.05, 0.5, 0.95, 0.99])
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.abs(np.diff(known)) if len(known) > 1 else np.zeros(1)
        levels: Array = np.nan_to_num([low, high, median, above - below, np.quantile(steps, 0.9)])
    return levels


def _season(values: Array) -> tuple[int, float]:
    """Period in points of the first of the columns (N, F) that has one, and its autocorrelation there; 0 where nothing repeats."""
    for column in values.T:
        places = np.flatnonzero(~np.isnan(column))
        if not len(places):
            continue
        known = np.clip(column[places], *np.quantile(column[places], [0.01, 0.99]))
        with np.errstate(over="ignore", invalid="ignore"):
            whole = np.interp(np.arange(places[0], places[-1] + 1), places, known)  # a gap keeps its length
            if period := dominant_period(whole):
                return period, float(autocorrelation(whole)[period])
    return 0, 0.0


def _is_far_off(ours: Array, theirs: Array) -> bool:
    """Whether the levels (5,) of a column are those of another unit or another kind of series."""
    low, high, usual, spread, step = ours.tolist()
    _, _, median, other_spread, other_step = theirs.tolist()
    with np.errstate(over="ignore"):
        outside = max(median - high, low - median)
    if outside > FAR_LEVEL * (spread or abs(usual) or 1.0):
        return True
    ratios = [new / old for new, old in ((other_spread, spread), (other_step, step)) if old > 0 and new > 0]
    return len(ratios) == 2 and (min(ratios) >= FAR_SCALE or max(ratios) <= 1 / FAR_SCALE)


def _times(one: float, other: float) -> float:
    return max(one, other) / min(one, other)
