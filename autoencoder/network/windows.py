"""Sliding windows: how long a window is, how it is cut from the stream and how it is scaled for the network.

A window is ``steps`` steps of ``stride`` points each; a step is the mean of its points. It ends at the newest point, so every point has
a window of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoencoder.core.errors import ModelFileError, TrainingError
from autoencoder.core.state import Reader, State
from autoencoder.core.types import Array, Bools, Integers
from autoencoder.network.period import first_period

MIN_STEPS = 4  # of a window
MAX_STEPS = 1 << 14
MAX_WINDOW = 1 << 20  # points
MIN_WINDOWS = 64  # below that there is nothing to train on and nothing to validate with
OUTLIER_VARIANCES = 1e4  # times it, beyond which a value in it is no reading, such as -9999; bursts are less
OUTLIER_STRETCHES = 3  # of windows with such a value, at most
OUTLYING = 7.0  # distances of the median from the lowest decile, 4.5 normal deviations, above which an error is no chance
JUMP_VARIANCES = 9.0  # times the usual variance within a window, beyond which there is a jump in it


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Shape of a window: ``steps`` (T) steps of ``stride`` points."""

    steps: int
    stride: int

    @property
    def points(self) -> int:
        """Points a window covers."""
        return self.steps * self.stride

    def state(self) -> State:
        """See ``load``."""
        return {"steps": self.steps, "stride": self.stride}

    @staticmethod
    def load(saved: Reader) -> WindowSpec:
        """What is saved as steps and stride; ModelFileError where it is damaged, or no window that a program makes."""
        spec = WindowSpec(saved.integer("steps", MIN_STEPS, MAX_STEPS), saved.integer("stride", 1, MAX_STEPS))
        if spec.points > MAX_WINDOW:
            raise ModelFileError(f"the saved window covers {spec.points:,} points; at most {MAX_WINDOW:,} are let through")
        return spec


def choose_spec(values: Array, missing: int, window: int | None, steps: int, periods: float, day: int = 0) -> WindowSpec:
    """Spec that was asked for, or that fits the dominant period; shortened where the values are too few for it.

    Args:
        values: (N, F) of the training part, without gaps.
        missing: points of it that were left out.
        window: points to cover; None takes ``periods`` dominant periods.
        steps: most steps of a window; as many as that of one that follows the period, where there is room.
        periods: that a window covers.
        day: points of a day; see ``dominant_period``.

    Raises:
        TrainingError: too few values.
    """
    longest = (len(values) - MIN_WINDOWS + 1) // (1 if window else 2)  # points of a window that leaves enough windows
    if window is None:
        stride = min(max(1, round(periods * first_period(values, day) / steps)), longest // steps)
        spec = WindowSpec(steps if stride else longest, max(1, stride))
    else:
        stride = -(-window // steps)
        spec = WindowSpec(window // stride, stride)
    if spec.steps < MIN_STEPS or spec.points > longest:
        # without a window that was asked for, twice the shortest must fit beside the windows
        needed = MIN_WINDOWS - 1 + (window or 2 * MIN_STEPS)
        raise TrainingError(
            f"the training part has {len(values):,} usable points"
            + (f" ({missing:,} are missing)" if missing else "")
            + f"; a window of {window or f'at least {MIN_STEPS}'} points needs {needed:,} or more: "
            "give a longer series, raise training.points or training.fraction, or set a smaller network.window"
        )
    return spec


def sliding_windows(values: Array, spec: WindowSpec) -> Array:
    """All windows of values (M, F) -> (M - points + 1, T, F), none where M is too small; window i ends at point i + points - 1.

    The result is a view where a step is one point.
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    points, features = spec.points, values.shape[1]
    row, column = values.strides
    # what numpy's sliding_window_view makes, without its checks, which cost more than all else that is done for a single point
    shape = (max(0, len(values) - points + 1), features, points)
    view = np.ndarray(shape, np.float64, values, strides=(row, column, row))  # (N, F, points), no copy
    return downsample(view, spec)


def downsample(stretches: Array, spec: WindowSpec) -> Array:
    """Stretches of points, (N, F, points) -> windows (N, T, F) of them."""
    if spec.stride == 1:
        return stretches.transpose(0, 2, 1)
    parts = stretches.reshape(*stretches.shape[:2], spec.steps, spec.stride)  # (N, F, T, stride)
    return np.asarray(np.add.reduce(parts, axis=-1) / spec.stride).transpose(0, 2, 1)


def clean_windows(values: Array, spec: WindowSpec) -> tuple[Array, Integers]:
    """Windows (M, T, F) of values (N, F) without a gap or a jump in them, and the rows (M,) that they end at.

    Raises:
        TrainingError: too few are without a gap.
    """
    windows = sliding_windows(values, spec)
    variance = windows.var(axis=1)  # (N - points + 1, F), NaN where a window has a gap
    clean = ~np.isnan(variance).any(axis=1)
    require_windows(clean, "a gap")
    clean &= (variance <= JUMP_VARIANCES * np.median(variance[clean], axis=0)).all(axis=1)
    return windows[clean], np.flatnonzero(clean) + spec.points - 1


def without_outlying(values: Array, spec: WindowSpec, ends: Integers, errors: Array) -> tuple[Array, Bools]:
    """Values (N, F) without those at ``ends`` (M,) of windows whose errors (M,) are no chance, and which of these windows (M,) are whole.

    Raises:
        TrainingError: too few are.
    """
    low, middle = np.quantile(errors, [0.1, 0.5])
    values = values.copy()
    values[ends[errors > middle + OUTLYING * (middle - low)]] = np.nan
    whole = ~np.isnan(sliding_windows(values, spec)[ends - spec.points + 1].sum(axis=(1, 2)))
    require_windows(whole, "an anomaly")
    return values, whole


def require_windows(usable: Bools, without: str) -> None:
    """Raise a TrainingError where too few windows (M,) are usable."""
    if (count := int(np.count_nonzero(usable))) < MIN_WINDOWS:
        raise TrainingError(f"{count:,} windows without {without} are left to learn from; there must be {MIN_WINDOWS}")


def without_outlier(windows: Array) -> Bools:
    """Which of consecutive windows (N, T, F) hold no value that is no reading, such as -9999 for a sensor that is off -> (N,).

    What happens more than ``OUTLIER_STRETCHES`` times is a habit of the stream, however large it is: then all windows count, as where
    too few would be left.
    """
    ordinary = np.asarray(_ordinary(windows.var(axis=1)).all(axis=1))
    stretches = np.count_nonzero(np.diff(ordinary.astype(np.int8), prepend=1) < 0)
    is_enough = stretches <= OUTLIER_STRETCHES and np.count_nonzero(ordinary) >= MIN_WINDOWS
    return ordinary if is_enough else np.ones(len(ordinary), dtype=bool)


def _ordinary(variance: Array) -> Bools:
    """Which of the variances of windows (N, F) come from readings; all where most windows are constant."""
    usual = np.median(variance, axis=0)
    return np.asarray((variance <= OUTLIER_VARIANCES * usual) | (usual == 0))


@dataclass(frozen=True, slots=True)
class WindowScaler:
    """Centres and scales windows; a window's result does not depend on the others in the call.

    The scale is halfway (in squares) between the window's own deviation and the ``spread`` of the training part: amplitude that slowly
    grows is followed, amplitude that is suddenly gone is still seen.
    """

    spec: WindowSpec  # of the windows
    visible: int  # oldest steps of a window that the encoder sees; centre and scale are theirs
    # (F,) root mean variance of the training part's windows, but for those with an outlier; (N, F) where each window belongs to a stream
    # of its own
    spread: Array

    @staticmethod
    def fit(windows: Array, spec: WindowSpec, visible: int) -> WindowScaler:
        """Scaler for windows like these (N, T, F), some of which may hold an anomaly; 1 is the spread of a column that never moves."""
        variance = windows[:, :visible].var(axis=1)  # (N, F)
        spread = np.sqrt(np.mean(variance, axis=0, where=_ordinary(variance)))
        return WindowScaler(spec, visible, np.where(spread > 0, spread, 1.0))

    def scale(self, windows: Array) -> tuple[npt.NDArray[np.float32], Array, Array]:
        """Windows (N, T, F) -> scaled windows (N, T, F), centre (N, F), scale (N, F), or () of one number."""
        scaled, centre, scale = self._scale(windows, self.visible)
        return scaled.astype(np.float32), centre, scale

    def half_windows(self, windows: Array) -> Array:
        """Newest half of windows (N, T, F), centred and scaled by itself -> (N, T // 2 * F)."""
        steps = self.spec.steps // 2
        return self._scale(windows[:, -steps:], steps)[0].reshape(len(windows), -1)

    def _scale(self, windows: Array, visible: int) -> tuple[Array, Array, Array]:
        """Windows (N, T, F), centred and scaled by their ``visible`` oldest steps -> the same (N, T, F), centre and scale (N, F).

        A single window of one column is a row (T,), with a centre and a scale (): NumPy takes twice as long for axes of length 1.
        """
        is_single, spread = windows.shape[0] == windows.shape[2] == 1, self.spread
        if is_single:
            rows, spread = windows[0, :, 0], self.spread.reshape(())[()]
        else:
            rows = np.ascontiguousarray(windows.transpose(0, 2, 1))  # (N, F, T): a sum along the last axis is the same for any N
        centre = np.add.reduce(rows[..., :visible], axis=-1) / visible  # as mean does, in a fraction of its time for one window
        rows = rows - (centre if is_single else centre[..., None])
        variance = np.add.reduce(np.square(rows[..., :visible]), axis=-1) / visible
        scale = np.sqrt((variance + spread * spread) / 2)
        rows /= scale if is_single else scale[..., None]
        return rows.reshape(windows.shape) if is_single else np.ascontiguousarray(rows.transpose(0, 2, 1)), centre, scale
