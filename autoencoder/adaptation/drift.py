"""DriftMonitor: tells an event that passes from a change that stays.

The stream is monitored in blocks of equal length, one window each, so that a season inside a block says nothing about its level. A
block deviates in a statistic that lies far from its values in the reference blocks. An event makes a few blocks deviate; the stream has
changed for good only where nearly all of the last ``confirm`` blocks deviate in the same statistic and the same direction, and
the values have been what they are now for all of that time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autoencoder.adaptation.adwin import Adwin
from autoencoder.adaptation.buffer import Block
from autoencoder.adaptation.cleaning import MAD_TO_STD
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Bools

DRIFT_Z = 4.0  # robust deviations from the reference blocks beyond which a block deviates
MIN_SHARE = 0.8  # of the last blocks that must deviate: an anomaly on top of a change makes one look normal
MIN_LEVEL_STD = 0.15  # least deviation of the level, in deviations of the values within a block
MIN_LOG_STD = 0.1  # least deviation of scale, season and error, which are logarithms
QUIET = math.log(0.25)  # log scale less the reference's, below which a column is quiet
QUIET_TIMES = 5  # times as long as another change a quiet stretch must stay: an outage, or a gap that a line fills, is none
MAX_ANOMALIES = 0.1  # share of anomalies above which a block deviates
SMOOTHED_BLOCKS = 5  # blocks whose median tells the current values: a short anomaly touches two of them at most
MIN_REFERENCE_BLOCKS = 4  # below that no block deviates
MAX_REFERENCE_BLOCKS = 60  # the newest ones are kept

ERROR, ALARM, ADWIN_ERROR = "error", "alarms", "error (ADWIN)"


@dataclass(frozen=True, slots=True)
class Drift:
    """A change that stays."""

    tests: tuple[str, ...]  # the statistics that show it
    blocks: int  # since it began, the newest included


class _Reference:
    """Statistics (R, S) of normal blocks, and what follows from them, which hardly ever changes."""

    def __init__(self, statistics: Array) -> None:
        self.statistics = statistics

    def __len__(self) -> int:
        return len(self.statistics)

    @cached_property
    def centre(self) -> Array:
        """(S,)."""
        return _median(self.statistics)

    @cached_property
    def _deviations(self) -> Array:
        """(S,) above 0."""
        features = (self.statistics.shape[1] - 2) // 3
        spread = MAD_TO_STD * _median(np.abs(self.statistics - self.centre))
        std = np.exp(self.centre[features : 2 * features]) / 2.56  # the scale is the range of 80 % of a normal distribution
        least = np.concatenate([MIN_LEVEL_STD * std, np.full(2 * features + 1, MIN_LOG_STD), [0.0]])
        return np.asarray(np.maximum(np.maximum(spread, least), 1e-12))

    @cached_property
    def highest_error(self) -> float:
        """What ADWIN is told at most: it looks for rises too small for single blocks, and an event is none."""
        errors = self.statistics[:, -2][~np.isnan(self.statistics[:, -2])]
        if len(errors) < MIN_REFERENCE_BLOCKS:
            return math.inf
        centre = np.median(errors)
        return float(centre + DRIFT_Z * max(MAD_TO_STD * float(np.median(np.abs(errors - centre))), MIN_LOG_STD))

    def distances(self, recent: Array) -> Array:
        """How far blocks with statistics (K, S) lie from these: (K, S) in deviations, 0 where that is unknown or harmless."""
        if len(self) < MIN_REFERENCE_BLOCKS:
            return np.zeros_like(recent)
        distances = (recent - self.centre) / self._deviations
        distances[:, -1] = DRIFT_Z * recent[:, -1] / MAX_ANOMALIES
        one_sided = distances[:, 2 * ((recent.shape[1] - 2) // 3) :]  # a plainer season and smaller errors are harmless
        np.maximum(one_sided, 0.0, out=one_sided)
        distances[np.isnan(distances)] = 0.0
        return distances


class DriftMonitor:
    """Monitors statistics of a stream's blocks.

    Two kinds of test apply: distances from the reference's median in median absolute deviations, for every statistic, and ADWIN for the
    error, which finds a rise too small to make single blocks deviate.
    Either counts only once the change has stayed for ``confirm`` blocks.

    Args:
        confirm: blocks for which a change must stay.
    """

    def __init__(self, confirm: int) -> None:
        self.confirm = confirm
        self.reset()

    def reset(self) -> None:
        """Forget everything; the reference is built from the next blocks."""
        self._features = 0  # columns (F) of the stream; 0 before the first block

    def set_reference(self, values: Array, errors: Array, size: int) -> None:
        """Take the blocks of ``size`` points of normal values (N, F) with errors (N,) as the reference, and forget the others."""
        normal = np.zeros(size, dtype=bool)
        ends = range(len(values) % size + 2 * size, len(values) + 1, size)  # each block has one before it
        statistics = [
            _statistics(values[end - size : end], errors[end - size : end], normal, values[end - 2 * size : end - size])
            for end in ends
        ]
        self._begin(np.array(statistics).reshape(-1, 3 * values.shape[1] + 2))

    def accept(self) -> None:
        """Take the newest blocks as the reference, for want of a better model."""
        if self._features:
            self._begin(np.concatenate([self._reference.statistics, self._recent])[-self.confirm :])

    def _begin(self, reference: Array) -> None:
        """Start from statistics (R, S) of reference blocks."""
        self._features = (reference.shape[1] - 2) // 3
        self._reference = _Reference(reference[-MAX_REFERENCE_BLOCKS:].copy())
        self._recent = np.zeros((0, reference.shape[1]))  # (K, S) of the newest blocks
        self._risen: list[int] = []  # what ADWIN said after each of them: 0, 1
        self._errors: list[float] = []  # what ADWIN has seen
        self._baseline_error = float("nan")  # mean error before the first change that ADWIN saw
        self._adwin = Adwin()
        for error in self._reference.statistics[:, -2].tolist():
            self._feed(error)

    def update(self, block: Block, previous: Array | None) -> Drift | None:
        """The next block, and the values (B, F) before it, if known -> the change that has now stayed for long enough, if there is one."""
        statistics = _statistics(block.values, block.judged_errors, block.anomalies, previous)
        if not self._features:
            self._begin(np.empty((0, len(statistics))))
        kept = QUIET_TIMES * self.confirm + 1
        self._recent = np.concatenate([self._recent, statistics[None]])[-kept:]
        self._risen = [*self._risen, self._feed(min(float(statistics[-2]), self._reference.highest_error))][-kept:]
        distances = self._reference.distances(self._recent)
        signs = np.column_stack([np.where(np.abs(distances) > DRIFT_Z, np.sign(distances), 0.0), self._risen])  # (K, S + 1)
        if not signs[-1].any() and len(self._reference) < MAX_REFERENCE_BLOCKS:
            self._reference = _Reference(np.concatenate([self._reference.statistics, statistics[None]]))  # a short one grows
        # what does not deviate in two blocks is over, see ``_run_length``
        return self._lasting_change(signs, distances) if signs[-2:].any() else None

    def _feed(self, error: float) -> int:
        """Give ADWIN the error of a block; 1 while it says that the mean has risen for good."""
        if np.isnan(error):
            return 0
        mean = self._adwin.mean
        self._errors.append(error)
        if self._adwin.update(error) and np.isnan(self._baseline_error):
            self._baseline_error = mean
        return int(not np.isnan(self._baseline_error) and self._adwin.mean > self._baseline_error + MIN_LOG_STD)

    def _lasting_change(self, signs: Array, distances: Array) -> Drift | None:
        """The change that signs (K, S + 1) and distances (K, S) of the newest blocks show, if there is one."""
        confirm = self.confirm * (QUIET_TIMES if self._is_quiet() else 1)
        if len(signs) < confirm:
            return None
        sums = signs[-confirm:].sum(axis=0)
        # events in quick succession may make most blocks deviate, but leave normal ones in between: these end a run
        lengths = {
            name: _run_length(signs[:, column] == np.sign(sums[column]))
            for column, name in enumerate(self._names())
            if abs(sums[column]) >= MIN_SHARE * confirm
        }
        # more than so many, for the change may have begun at the end of the first
        lasting = {name: length for name, length in lengths.items() if length > confirm}
        if not lasting:
            return None
        # what deviates for longer may have begun with an event: all of these points must be of the new normal
        blocks = min(lasting.values())
        settled = _settled_blocks(distances[:, : 3 * self._features])
        if settled > confirm:
            return Drift(tuple(lasting), min(blocks, settled))
        # values that never settle are waited for twice as long
        return Drift(tuple(lasting), blocks) if max(lasting.values()) >= 2 * confirm else None

    def _is_quiet(self) -> bool:
        """Whether all columns have hardly moved in half of the newest blocks or more, beside the reference."""
        scales = slice(self._features, 2 * self._features)
        usual = self._reference.centre[scales] if len(self._reference) else np.full(self._features, np.nan)
        are_quiet = (self._recent[-self.confirm :, scales] - usual < QUIET).all(axis=1)
        return bool(are_quiet.mean() >= 0.5)

    def _names(self) -> tuple[str, ...]:
        """The statistics (S + 1), in order."""
        columns = [f" of column {column + 1}" for column in range(self._features)] if self._features > 1 else [""]
        return (*(kind + column for kind in ("level", "scale", "season") for column in columns), ERROR, ALARM, ADWIN_ERROR)

    def state(self) -> State:
        """Reference, newest blocks and what ADWIN was given; empty before the first block."""
        if not self._features:
            return {}
        return {
            "features": self._features,
            "reference": self._reference.statistics.copy(),
            "figures": self._recent.copy(),
            "risen": np.array(self._risen, np.int64),
            "errors": np.array(self._errors),
        }

    def load(self, state: State) -> None:
        """Restore ``state``."""
        self.reset()
        if not state:
            return
        saved = Reader(state, "the drift monitor")
        width = 3 * saved.integer("features", 1, 10_000) + 2
        self._begin(np.empty((0, width)))
        self._reference = _Reference(saved.array("reference", (None, width), finite=False))
        self._recent = saved.array("figures", (None, width), finite=False)
        self._risen = saved.integers("risen", (len(self._recent),)).tolist()
        for error in saved.array("errors", (None,)).tolist():  # ADWIN's own memory follows from these
            self._feed(error)


def _statistics(values: Array, errors: Array, anomalies: Bools, previous: Array | None) -> Array:
    """Statistics (S,) of a block (B, F), (B,), (B,) after ``previous`` (B, F), S = 3 F + 2; NaN where unknown.

    These are level, log scale and log season of each column, log error and share of anomalies.
    """
    with np.errstate(divide="ignore"):
        ordered = np.sort(values, axis=0)
        level, scale = _quantile(ordered, 0.5), np.log(_quantile(ordered, 0.9) - _quantile(ordered, 0.1))
        # distance from the block before: a season of one window cancels out, another one does not
        apart = None if previous is None else np.sort(np.abs(values - previous), axis=0)
        season = np.full_like(level, np.nan) if apart is None else np.log(_quantile(apart, 0.5))
        known = np.sort(errors[~np.isnan(errors)])
        error = np.log(_quantile(known, 0.5)) if len(known) else np.nan
    statistics = np.concatenate([level, scale, season, [error, np.count_nonzero(anomalies) / len(anomalies)]])
    return np.where(np.isinf(statistics), -50.0, statistics)  # a constant block has a scale of next to nothing


def _run_length(deviates: Bools) -> int:
    """Blocks (K,) for which a statistic has deviated: back to the first of two that did not."""
    normal = np.flatnonzero(~deviates[:-1] & ~deviates[1:])
    since = deviates[int(normal[-1]) + 2 if len(normal) else 0 :]
    return len(since) - int(np.argmax(since)) if since.any() else 0


def _settled_blocks(distances: Array) -> int:
    """Blocks for which values at distances (K, 3 F) from the reference have been what they are now; 0 while they change."""
    padded = np.concatenate([np.repeat(distances[:1], SMOOTHED_BLOCKS - 1, axis=0), distances])
    smooth: Array = np.median(np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED_BLOCKS, axis=0), axis=-1)  # (K, 3 F)
    apart = _are_apart(smooth, smooth[-1])
    changes = np.flatnonzero(apart.any(axis=1))
    if not len(changes):
        return len(distances)
    changed = apart[changes[-1]]  # (3 F,)
    first = max(0, int(changes[-1]) + 1 - SMOOTHED_BLOCKS // 2)  # the median is late
    same = np.asarray(~_are_apart(distances[first:], smooth[-1])[:, changed].any(axis=1))
    if not same[-1]:
        return 0
    of_two = changed[2 * len(changed) // 3 :].any()  # a season is told from two blocks: one of them may be from before
    return len(same) - int(np.argmax(same)) - int(of_two)


def _are_apart(distances: Array, now: Array) -> Bools:
    """Which distances (K, 3 F) differ from those of now (3 F,): far off, and by more than half the way to the reference."""
    apart: Bools = np.abs(distances - now) > np.maximum(DRIFT_Z, np.maximum(np.abs(distances), np.abs(now)) / 2)
    return apart


def _quantile(ordered: Array, share: float) -> Array:
    """Quantile (...) of ordered values (N, ...), a fraction of the time of ``np.quantile``."""
    place = share * (len(ordered) - 1)
    low = ordered[int(place)]
    return np.asarray(low + (ordered[math.ceil(place)] - low) * (place % 1.0))


def _median(rows: Array) -> Array:
    """Median (S,) of the known values in rows (R, S), many times as fast as ``np.nanmedian``; NaN for none."""
    ordered, known = np.sort(rows, axis=0), np.count_nonzero(~np.isnan(rows), axis=0)  # NaN comes last
    columns = np.arange(rows.shape[1])
    low, high = ordered[(known - 1) // 2, columns], ordered[np.minimum(known // 2, len(rows) - 1), columns]
    return np.asarray(np.where(known > 0, (low + high) / 2.0, np.nan))
