"""Returns: prices -> log returns in units of the volatility before them, and expected returns -> prices."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from autoencoder.core.state import Resettable, array, integer, integers, number
from autoencoder.core.types import Array, Integers, Time, unknown
from autoencoder.sources.chunk import ASIDE

MEMORY = 0.96  # share of a variance that stays with each return: its returns are 24 bars old in the mean
FAR = 3.0  # volatilities beyond which a return counts less: for the variance not at all, for the detector by its logarithm
NORMAL = 4.0  # most that a training part of days, of which there are few, shows of a return: 4.2 volatilities
CLIPPED = 0.9970 - 2 * FAR * 0.004432 + FAR**2 * 0.0027  # mean of a squared normal deviate that is cut off at ``FAR``
MAD_TO_STD = 1.4826
EARLY = 20  # returns from which the first variance is made
EARLY_OPENINGS = 3  # and from which that of openings is
OPENING_MEMORY = 0.94  # of their variance
DAY = 86_400_000_000_000  # nanoseconds
CLOSED = 3_600_000_000_000  # without bars, and twice the interval, are closed time where no calendar says so
MAX_INTRADAY = DAY // 2
NEVER = -(1 << 63)
WIDEST = 16  # bars that have one factor of the profile
PROFILE_MEMORY = 0.94  # of such a factor, a day
MAX_ELAPSED = 10.0  # bars by which the variance of a return over missing ones grows at most


class Moves(NamedTuple):
    """What N rows of F prices are to a detector; NaN where unknown."""

    seen: Array  # (N, F) returns in volatilities, beyond ``FAR`` by their logarithm
    usual: Array  # (N, F) logarithms of the prices that no return of their own would give
    scale: Array  # (N, F) volatility of the return
    own: Array  # (N, F) log returns beside the market's
    market: Array  # (N,) log returns of the market; 0 where there is none


class Returns(Resettable):
    """Log returns over their volatility, causally: what clusters in calm and turbulent times becomes even, and a jump stays one.

    The variance is an exponentially weighted mean of squared returns (RiskMetrics, J.P. Morgan 1996), each cut off at ``FAR`` volatilities,
    so that a jump does not hide the one after it (Boudt, Danielsson and Laurent 2013, doi 10.1016/j.ijforecast.2012.05.003). A return over
    closed time has a variance of its own. Bars within a day have a factor by the time since the opening (of 24 hours, where a market
    never closes), learnt from the training part and going on. Where the market's level is known, returns are relative to it.

    Args:
        width: F, prices of a row; behind them a row may have what ``ASIDE`` lists.

    Examples:
        >>> returns = Returns(1)
        >>> prices = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(scale=0.01, size=(300, 1)), axis=0))
        >>> prices[250:] *= 0.9
        >>> seen = returns.fit(np.arange(240), prices[:240])
        >>> moves = returns.process(np.arange(240, 300), prices[240:])
        >>> float(moves.seen[10, 0].round(1)), float(moves.seen[11:].std().round(1))
        (-6.1, 0.8)
    """

    name = "the returns"
    STATE: ClassVar = {
        "_interval": integer("interval"),
        "_factors": array("factors", ("B", "F"), low=0.0),
        "_counts": integers("counts", ("B",), 0),
        "_last": array("last", ("F",), finite=False),
        "_market": number("market"),
        "_variance": array("variance", ("F",), finite=False),
        "_early": array("early", (None, "F"), finite=False),
        "_opening": array("opening", (None, "F"), finite=False),
        "_time": integer("time", NEVER, 1 << 63),
        "_opened": integer("opened", NEVER, 1 << 63),
        "_session": integer("session", -1),
    }

    def __init__(self, width: int) -> None:
        self._width = width
        self._interval = 0  # nanoseconds from bar to bar; 0 where bars are days or longer, or carry no time
        self._factors = np.ones((1, width))  # (B, F) of the variance, by time since the opening
        self._counts: Integers = np.zeros(1, np.int64)  # (B,) returns that each was learnt from
        self.reset()

    def reset(self) -> None:
        """Begin another stream; the profile of the day stays."""
        self._factors, self._counts = self._factors.copy(), self._counts.copy()  # that a clone may change, too
        self._last = unknown(self._width)  # log of the newest known prices
        self._market = 0.0  # log of the market's level at the newest row
        self._variance = unknown(self._width)
        self._early = np.empty((0, self._width))  # first returns, until there is a variance
        self._opening = np.empty((0, self._width))  # newest returns over closed time, squared
        self._time = self._opened = NEVER  # of the newest row, and of the newest opening
        self._session = -1

    def fit(self, time: Time, inputs: Array) -> Array:
        """Learn from the training part (N,), (N, F + A) -> what is seen of it (N, F); the jumps of days are cut off."""
        self.reset()
        steps = np.diff(time.astype("datetime64[ns]").view(np.int64)) if time.dtype.kind == "M" else np.empty(0)
        interval = int(np.median(steps[steps > 0])) if (steps > 0).any() else 0
        self._interval = interval if interval < MAX_INTRADAY else 0
        bins = _places(self._interval)[-1] + 1 if self._interval else 1
        self._factors, self._counts = np.ones((bins, self._width)), np.zeros(bins, np.int64)
        if self._interval:  # the profile first, so that the first days are judged by it as those to come
            self.process(time, inputs)
            self.reset()
        seen = self.process(time, inputs).seen
        return seen if self._interval else np.clip(seen, -NORMAL, NORMAL)

    def process(self, time: Time, inputs: Array) -> Moves:
        """Rows (N,), (N, F + A) -> their moves."""
        values, aside = inputs[:, : self._width], inputs[:, self._width :]
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.where(values > 0, np.log(values), np.nan)
        levels, sessions = (
            aside[:, ASIDE.index(what)] if aside.shape[1] else np.full(len(values), rest)
            for what, rest in (("market", 1.0), ("session", -1.0))
        )
        market, begun = np.log(levels), self._time > NEVER
        usual, scale = unknown(*values.shape), unknown(*values.shape)
        for row, (moment, session) in enumerate(zip(time.view(np.int64).tolist(), sessions.tolist(), strict=True)):
            own = logs[row] - market[row]
            usual[row] = self._last + market[row]
            scale[row] = self._step(moment, int(session), own)
            self._last = np.where(np.isnan(own), self._last, own)
        changes = np.diff(market, prepend=self._market if begun else market[:1])
        self._market = float(market[-1]) if len(market) else self._market
        return Moves(squash((logs - usual) / scale), usual, scale, logs - usual, changes)

    def _step(self, moment: int, session: int, own: Array) -> Array:
        """Volatility (F,) of the return to ``own`` (F,) at that time, as it was known before; then it is learnt from."""
        is_open = self._opens(moment, session)
        elapsed = 1.0
        if self._interval and self._time > NEVER and not is_open:
            elapsed = min(max(1.0, (moment - self._time) / self._interval), MAX_ELAPSED)
        if is_open:
            self._opened = moment
        self._time, self._session = moment, session
        change = own - self._last  # (F,)
        if is_open:
            return self._at_opening(change)
        place = self._place(moment)
        factor = self._factors[place] * elapsed
        if np.isnan(self._variance).any():
            if not np.isnan(change).any() and change.any():
                self._early = np.concatenate([self._early, [change]])
            if len(self._early) == EARLY:
                self._variance = np.square(MAD_TO_STD * np.median(np.abs(self._early), axis=0)) + 1e-18
            return unknown(self._width)
        usual = self._variance * factor
        known = np.nan_to_num(change) != 0.0  # a price that does not move says nothing of how far it moves
        squares = np.minimum(np.square(np.where(known, change, 0.0)), FAR**2 * usual) / CLIPPED
        if known.any():
            self._variance = np.where(known, MEMORY * self._variance + (1 - MEMORY) * squares / factor, self._variance)
            if self._interval:
                self._learn_profile(place, known, squares / usual)
        return np.asarray(np.sqrt(usual))

    def _opens(self, moment: int, session: int) -> bool:
        """Whether the bar is the first one after closed time: of another session, where the calendar is known."""
        if not self._interval or self._time == NEVER:
            return self._interval > 0
        if session >= 0 and self._session >= 0:
            return session != self._session
        return moment - self._time >= max(CLOSED, 2 * self._interval)

    def _place(self, moment: int) -> int:
        """Which factor is that of the time since the opening."""
        if not self._interval:
            return 0
        places = _places(self._interval)
        return places[min((moment - self._opened) % DAY // self._interval, len(places) - 1)]

    def _at_opening(self, change: Array) -> Array:
        """Volatility (F,) of a return over closed time."""
        enough = len(self._opening) >= EARLY_OPENINGS
        scale = np.sqrt(self._opening.mean(axis=0) if enough else unknown(self._width))
        if not np.isnan(change).any():
            squares = np.square(change)
            if enough:
                squares = np.minimum(squares, FAR**2 * scale**2)
            self._opening = np.concatenate([self._opening, [squares + 1e-18]])[-int(1 / (1 - OPENING_MEMORY)) :]
        return scale

    def _learn_profile(self, place: int, known: Array, ratio: Array) -> None:
        self._counts[place] += 1
        share = max(1.0 / (self._counts[place] + 4), (1 - PROFILE_MEMORY) / _width(place))
        grown = self._factors[place] * (1 + share * (ratio - 1))
        self._factors[place] = np.where(known, grown, self._factors[place])


def squash(deviations: Array) -> Array:
    """Returns in volatilities as the detector sees them: beyond ``FAR`` they grow by their logarithm, so that one does not drown all."""
    size = np.abs(deviations)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sign(deviations) * np.where(size > FAR, FAR * (1 + np.log(np.maximum(size, FAR) / FAR)), size))


def stretch(seen: Array) -> Array:
    """What ``squash`` was given."""
    size = np.abs(seen)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sign(seen) * np.where(size > FAR, FAR * np.exp(np.minimum(size, 50.0) / FAR - 1), size))


def _width(place: int) -> int:
    """Bars that share a factor of the profile: few where they are early."""
    return min(math.ceil(0.4 * (place + 1)), WIDEST)


@lru_cache(8)
def _places(interval: int) -> tuple[int, ...]:
    """Which factor each bar of 24 hours has."""
    bars, places = max(1, DAY // interval), list[int]()
    while len(places) < bars:
        place = places[-1] + 1 if places else 0
        places += [place] * _width(place)
    return tuple(places[:bars])
