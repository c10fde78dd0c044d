"""Lens: how a window is centred and scaled before the network and the memory look at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoencoder.network.windows import Geometry

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lens:
    """Centres and scales windows; a window's result does not depend on the others in the call.

    The scale is halfway (in squares) between the window's own deviation and the ``spread`` of the training part: amplitude that slowly
    grows is followed, amplitude that is suddenly gone is still seen.

    Attributes:
        geometry: of the windows.
        seen: oldest steps of a window that the encoder sees; centre and scale are theirs.
    """

    geometry: Geometry
    seen: int

    def scaled(self, windows: Array, spread: Array) -> tuple[npt.NDArray[np.float32], Array, Array]:
        """Windows (N, T, F) and spread (F,) or (N, F) -> scaled windows (N, T, F), centre (N, F), scale (N, F), or () of one number."""
        rows, centre, scale = _centred(windows, self.seen, spread)
        return _as_windows(rows / _along_steps(scale), windows).astype(np.float32), centre, scale

    def shapes(self, windows: Array, spread: Array) -> Array:
        """Newest half of windows (N, T, F), centred and scaled by itself -> (N, T // 2 * F)."""
        half = windows[:, -(self.geometry.steps // 2) :]
        rows, _, scale = _centred(half, half.shape[1], spread)
        return _as_windows(rows / _along_steps(scale), half).reshape(len(half), -1)


def _centred(windows: Array, seen: int, spread: Array) -> tuple[Array, Array, Array]:
    """Windows (N, T, F) less the mean of their ``seen`` oldest steps -> rows (N, F, T), that mean and the scale (N, F).

    A single window of one column is a row (T,) with numbers () instead: NumPy takes twice as long for the same with axes of length 1.
    """
    if windows.shape[0] == windows.shape[2] == 1:
        rows, spread = windows[0, :, 0], spread.reshape(())
    else:
        rows = np.ascontiguousarray(windows.transpose(0, 2, 1))  # a sum along the last axis is the same for any N
    centre = np.add.reduce(rows[..., :seen], axis=-1) / seen  # as mean does, in a fraction of its time for one window
    rows = rows - _along_steps(centre)
    variance = np.add.reduce(np.square(rows[..., :seen]), axis=-1) / seen
    return rows, centre, np.sqrt((variance + np.square(spread)) / 2)


def _along_steps(numbers: Array) -> Array:
    """Numbers (N, F) or (), so that they go with rows (N, F, T) or (T,)."""
    return numbers[..., None] if numbers.ndim else numbers


def _as_windows(rows: Array, windows: Array) -> Array:
    """Rows (N, F, T) or (T,) in the shape of the windows (N, T, F) that they came from."""
    return np.ascontiguousarray(rows.transpose(0, 2, 1)) if rows.ndim == 3 else rows.reshape(windows.shape)
