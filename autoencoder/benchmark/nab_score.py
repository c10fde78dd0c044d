"""The score of the Numenta Anomaly Benchmark (NAB) v1.1.

A detector gives every point of every file a score; one threshold over the whole corpus turns scores into alarms. The first alarm
in a labelled window earns the more the earlier it comes, a window without an alarm costs, and so does each alarm outside a
window, the more the further it lies behind the last one. Three profiles weigh these differently. The result is scaled so that 0
is a detector without alarms and 100 one that meets every window at its first point and nothing else.

Source: Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark", ICMLA 2015,
doi 10.1109/ICMLA.2015.141; the details follow release 1.1 of the benchmark's own scorer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import InputError
from autoencoder.core.types import Array, Integers
from autoencoder.reports.evaluation import Span

Times = npt.NDArray[Any]  # datetime64[ns]
Window: TypeAlias = tuple[np.datetime64, np.datetime64]

OUTSIDE = -1  # the window number of a point in no window
FULL_COST_WIDTHS = 3.0  # so many widths behind a window, as before any window, a false alarm costs in full
STEEPNESS = 2.5  # tanh(2.5) = 0.987 is what an alarm at a window's first point earns before scaling
# what a false alarm and a missed window cost; a window that is found at once earns 1
PROFILES = {"standard": (0.11, 1.0), "reward_low_FP_rate": (0.22, 1.0), "reward_low_FN_rate": (0.11, 2.0)}


class FileResult(NamedTuple):
    """A detector's scores of one file beside the file's labels."""

    timestamps: Times  # (N,) in the order of the file
    anomaly_scores: Array  # (N,) the higher, the more abnormal; NaN counts as 0
    windows: Sequence[Window]  # the labelled windows in order, each (first, last) with both ends inside


class Score(NamedTuple):
    """A corpus' score under one profile, at the best threshold."""

    score: float  # 0 for silence, 100 for perfection, NaN where no file has a window to find
    threshold: float  # points that score as high are alarms; infinite where silence does best


class FileCounts(NamedTuple):
    """One file at one threshold: windows found, windows missed, and alarms outside windows."""

    found: int
    missed: int
    false_alarms: int


class _Points(NamedTuple):
    """The M points that are scored: those after probation."""

    scores: Array  # (M,)
    worth: Array  # (M,) an alarm's value before the profile's weight: (0, 1] in a window, [-1, 0) outside
    window: Integers  # (M,) number of the point's window, counted from 0 up to ``windows``, or OUTSIDE
    windows: int


def nab_scores(results: Mapping[str, FileResult]) -> dict[str, Score]:
    """Score a corpus, given by file name, under each profile, at the one threshold over all files that suits the profile best.

    Raises:
        InputError: a window holds no point of its file.
    """
    points = _by_falling_score([_scorable(name, result) for name, result in results.items()])
    return {name: _best(points, *costs) for name, costs in PROFILES.items()}


def nab_counts(results: Mapping[str, FileResult], threshold: float) -> dict[str, FileCounts]:
    """Count found and missed windows and false alarms (points) of each file where scores of at least ``threshold`` are alarms."""
    counts = {}
    for name, result in results.items():
        points = _scorable(name, result)
        alarms = points.window[points.scores >= threshold]  # (A,)
        found = len(np.unique(alarms[alarms != OUTSIDE]))
        counts[name] = FileCounts(found, points.windows - found, int(np.count_nonzero(alarms == OUTSIDE)))
    return counts


def probation_points(points: int) -> int:
    """How many points at the start of a file of ``points`` are not judged; detectors may learn from them."""
    return min(math.floor(0.15 * points), 750)


def _scorable(name: str, result: FileResult) -> _Points:
    spans = [_span(name, result.timestamps, window) for window in result.windows]
    worth, window = _worth(len(result.timestamps), spans)
    judged = slice(probation_points(len(result.timestamps)), None)
    inside = window[judged] != OUTSIDE
    numbers = np.full(len(inside), OUTSIDE)
    # A window that probation hides altogether can neither be found nor missed: number only those of which a point is left.
    remaining, numbers[inside] = np.unique(window[judged][inside], return_inverse=True)
    return _Points(np.nan_to_num(result.anomaly_scores[judged]), worth[judged], numbers, len(remaining))


def _span(name: str, timestamps: Times, window: Window) -> Span:
    """Rows [start, end) of a window. Some files jump back in time, so the ends' own rows go before a comparison of times."""
    first, last = window
    within = np.flatnonzero((timestamps >= first) & (timestamps <= last))
    if not len(within):
        raise InputError(f"{name}: the window from {first} to {last} holds no point; it must lie within the file's timestamps")
    starts, ends = np.flatnonzero(timestamps == first), np.flatnonzero(timestamps == last)
    start = int(starts[0] if len(starts) else within[0])
    end = int(ends[0] if len(ends) else within[-1]) + 1
    if end <= start:
        raise InputError(f"{name}: the window from {first} to {last} ends in an earlier row than it starts; check the timestamps")
    return start, end


def _worth(points: int, spans: Sequence[Span]) -> tuple[Array, Integers]:
    """What an alarm at each point is worth (N,), and the number of the window that the point lies in (N,)."""
    rows = np.arange(points)
    position = np.full(points, FULL_COST_WIDTHS)  # in widths of the window: from -1 up to 0 within it, above 0 behind it
    window = np.full(points, OUTSIDE)
    for number, (start, end) in enumerate(spans):
        width = end - start
        position[start:end] = (rows[start:end] - end) / width
        window[start:end] = number
        # Up to the next window, which overwrites the rest. One point has no width to measure by: all behind it is far.
        position[end:] = (rows[end:] - end + 1) / (width - 1) if width > 1 else FULL_COST_WIDTHS
    worth = np.where(position < FULL_COST_WIDTHS, -np.tanh(STEEPNESS * position), -1.0)
    worth[window != OUTSIDE] /= np.tanh(STEEPNESS)
    return worth, window


def _by_falling_score(files: Sequence[_Points]) -> _Points:
    """Join the files' points, highest score first, with windows numbered through."""
    offsets = np.cumsum([0] + [file.windows for file in files])
    scores = np.concatenate([file.scores for file in files])
    window = np.concatenate(
        [np.where(file.window == OUTSIDE, OUTSIDE, file.window + offset) for file, offset in zip(files, offsets, strict=False)]
    )
    order = np.argsort(-scores, kind="stable")
    return _Points(scores[order], np.concatenate([file.worth for file in files])[order], window[order], int(offsets[-1]))


def _best(points: _Points, false_alarm: float, miss: float) -> Score:
    """The best score over all thresholds; of equals the highest threshold. Points come highest score first."""
    gains = np.where(points.window == OUTSIDE, false_alarm * points.worth, 0.0)  # (M,) as each in turn becomes an alarm
    for number in range(points.windows):
        rows = np.flatnonzero(points.window == number)
        # Only a window's best alarm counts; until the first one it costs as a miss.
        gains[rows] = np.diff(np.maximum.accumulate(points.worth[rows]), prepend=-miss)
    silence = -miss * points.windows
    raw = silence + np.cumsum(gains)  # (M,) with an alarm at this point and all before it
    # A threshold flags all points of one score together: only the last row of each score stands for one.
    last = np.append(np.flatnonzero(np.diff(points.scores)), len(raw) - 1) if len(raw) else np.empty(0, dtype=np.int64)
    thresholds = np.append(np.inf, points.scores[last])
    raw = np.append(silence, raw[last])
    best = int(np.argmax(raw))
    score = 100.0 * (float(raw[best]) - silence) / (points.windows - silence) if points.windows else math.nan
    return Score(score, float(thresholds[best]))
