"""False-alarm budget: what a user asks for ("0.001", "1 per day") as the share of normal points that may be flagged."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoencoder.core.durations import SECONDS, unit_of
from autoencoder.core.errors import ConfigError

STRETCH = 100  # points whose times are compared with those before them
_RATE = re.compile(r"\s*(?P<count>\d+(?:\.\d+)?)\s*(?:per|/|a|an)\s*(?P<unit>[a-z]+)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Budget:
    """A share of points, or a number of points in a stretch of time."""

    amount: float  # the share in (0, 1), or the number of points
    seconds: float | None  # the stretch of time in seconds; None for a share
    text: str  # what the user wrote

    @staticmethod
    def parse(wanted: float | str) -> Budget:
        """Budget from a share or from text such as ``"1 per day"``.

        >>> Budget.parse(0.001).share(0.0)
        0.001
        >>> Budget.parse("3 per week").amount
        3.0

        Raises:
            ConfigError: neither a share in (0, 1) nor such text.
        """
        text = wanted if isinstance(wanted, str) else f"{wanted:g}"
        try:
            share = float(wanted)
        except ValueError:
            found = _RATE.fullmatch(text)
            unit = unit_of(found["unit"]) if found else None
            if found and unit and float(found["count"]) > 0:
                return Budget(float(found["count"]), float(SECONDS[unit]), text)
        else:
            if 0.0 < share < 1.0:
                return Budget(share, None, text)
        raise ConfigError(f"threshold.budget is {text}; it must be a share in (0, 1), e.g. 0.001, or a rate such as '1 per day'")

    def share(self, interval: float) -> float:
        """Share of points that may be flagged, for points ``interval`` seconds apart (see ``interval_of``).

        Raises:
            ConfigError: a rate was asked for, but the points carry no timestamps or come too seldom.
        """
        if self.seconds is None:
            return self.amount
        if interval <= 0:
            raise ConfigError(
                f"threshold.budget is {self.text!r}, but the stream has no timestamps; give a share of points, e.g. 0.001"
            )
        share = self.amount * interval / self.seconds
        if not 0.0 < share < 0.5:
            raise ConfigError(
                f"threshold.budget is {self.text!r}, but two points lie {interval:g} seconds apart, so that would be {share:.0%} of them; "
                "ask for fewer, e.g. 0.001"
            )
        return share


def interval_of(time: npt.NDArray[np.generic]) -> float:
    """Seconds that pass from point to point at ``time`` (N,), several of which may be the same; 0 where they carry no timestamps.

    It is the median over stretches of up to ``STRETCH`` points, so that bursts count for what they are and a gap for little.
    """
    if not np.issubdtype(time.dtype, np.datetime64):
        return 0.0
    points = max(1, min(STRETCH, (len(time) - 1) // 8))
    spans = np.diff(time[::points].astype("datetime64[ns]").astype(np.int64))
    spans = spans[spans > 0]
    return float(np.median(spans)) / points / 1e9 if len(spans) else 0.0
