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
        scaled, centre, scale = _scaled(windows, self.seen, spread)
        return scaled.astype(np.float32), centre, scale

    def shapes(self, windows: Array, spread: Array) -> Array:
        """Newest half of windows (N, T, F), centred and scaled by itself -> (N, T // 2 * F)."""
        steps = self.geometry.steps // 2
        return _scaled(windows[:, -steps:], steps, spread)[0].reshape(len(windows), -1)


def _scaled(windows: Array, seen: int, spread: Array) -> tuple[Array, Array, Array]:
    """Windows (N, T, F), centred and scaled by their ``seen`` oldest steps -> the same (N, T, F), centre and scale (N, F).

    A single window of one column is a row (T,), with a centre and a scale (): NumPy takes twice as long for axes of length 1.
    """
    is_single = windows.shape[0] == windows.shape[2] == 1
    if is_single:
        rows, spread = windows[0, :, 0], spread.reshape(())
    else:
        rows = np.ascontiguousarray(windows.transpose(0, 2, 1))  # (N, F, T): a sum along the last axis is the same for any N
    centre = np.add.reduce(rows[..., :seen], axis=-1) / seen  # as mean does, in a fraction of its time for one window
    rows = rows - (centre if is_single else centre[..., None])
    variance = np.add.reduce(np.square(rows[..., :seen]), axis=-1) / seen
    scale = np.sqrt((variance + np.square(spread)) / 2)
    rows /= scale if is_single else scale[..., None]
    return rows.reshape(windows.shape) if is_single else np.ascontiguousarray(rows.transpose(0, 2, 1)), centre, scale
