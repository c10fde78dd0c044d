"""ADWIN (Bifet and Gavaldà 2007, doi 10.1137/1.9781611972771.42): tells when the mean of a stream of numbers has changed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

SETTINGS: dict[str, Any] = {"delta": 0.002, "clock": 1, "max_buckets": 5, "min_window_length": 3, "grace_period": 5}


class Adwin:
    """A window over the newest numbers that begins anew behind a change.

    Examples:
        >>> adwin = Adwin()
        >>> [number for number in range(300) if adwin.update(float(number >= 200))]
        [210]
    """

    def __init__(self) -> None:
        self._window = _window()
        self._has_changed = False

    @property
    def mean(self) -> float:
        """Of the numbers in the window; 0 without any."""
        width = self._window.get_width()
        return float(self._window.get_total() / width) if width else 0.0

    def update(self, number: float) -> bool:
        """Take the next number; returns whether the mean has changed."""
        if self._has_changed:
            self._window = _window()
        self._has_changed = bool(self._window.update(number))
        return self._has_changed


def _window() -> Any:
    """Its compiled part alone: the rest of river brings pandas and scikit-learn along, more than a second and 130 MB."""
    with suppress(ImportError):
        from river._river_rust.drift import AdaptiveWindowing

        return AdaptiveWindowing(**SETTINGS)
    from river.drift import adwin  # an older one

    return adwin.AdaptiveWindowing(**SETTINGS)
