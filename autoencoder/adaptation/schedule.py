"""Schedule: when a candidate is trained, for what reason, and since which point of the stream."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from autoencoder.adaptation.buffer import Confirmed
from autoencoder.adaptation.drift import Drift
from autoencoder.core.events import DRIFT
from autoencoder.core.state import Stateful, integer, text
from autoencoder.network.period import day_of

MAX_FAILURES = 2  # candidates in a row, after which the current distribution becomes the reference
MAX_DOUBLINGS = 6  # of the pause after a failure

FIRST, SEASON, MORE, TIME = "first training", "season", "more data", "schedule"  # reasons for a training, beside DRIFT


@dataclass(frozen=True, slots=True)
class AdaptationConfig:
    """When to adapt."""

    confirm_windows: int = 10  # for which a change must stay before it is no anomaly
    confirm_days: int = 0  # and so many days, where points lie minutes apart
    retrain_every: int | None = None  # points after which a candidate is trained without any drift; None for never
    buffer_points: int = 4000  # newest points that are remembered and that candidates are trained on
    training_points: int = 1000  # that train the first model
    cold_start_points: int | None = None  # after which a baseline detects until then; None for no baseline
    finds_seasons: bool = True  # a model is replaced once a season may be found that it had no room for
    confirmed: Confirmed = tuple  # anomalies that people have confirmed

    def confirm_blocks(self, interval: float, size: int) -> int:
        """Blocks of ``size`` points, ``interval`` seconds apart, for which a change must stay: ten windows of minutes are only a night."""
        return max(self.confirm_windows, math.ceil(self.confirm_days * day_of(interval) / size))


class Schedule(Stateful):
    """Keeps count of reasons and failures. Places in the stream are counted in points seen since its beginning."""

    name = "the schedule of trainings"
    STATE: ClassVar = {
        "reason": text("reason"),
        "since": integer("since"),
        "promoted": integer("promoted"),
        "_known": integer("known"),
        "_failures": integer("failed"),
        "_last_try": integer("last_try"),
    }

    def __init__(self, config: AdaptationConfig) -> None:
        self._config = config
        self.reason = ""  # for which a candidate is wanted or in training; empty for none
        self.since = 0  # first of the points to learn
        self.promoted = 0  # points seen when the current model was promoted
        self._known = 0  # points since the change when the newest model was trained; 0: it has seen enough of them
        self._failures = 0  # in a row
        self._last_try = 0

    def update(self, seen: int, block: int, drift: Drift | None, *, is_baseline: bool, finds_season: bool = False) -> bool:
        """Look for a reason after so many points, in blocks of ``block``; returns True where a new drift is one.

        A baseline is replaced, and so is a model where a season may be found (``finds_season``) that it had no room for.
        """
        if self.reason:
            return False
        first, every = self._config.training_points, self._config.retrain_every
        if is_baseline:
            if seen >= max(first, self._last_try + first // 2 if self._last_try else 0):
                self.reason, self.since = FIRST, 0
        elif drift and seen >= self._last_try + self._pause(block):
            self.reason = DRIFT
            # the first block holds the change itself, and something of what was before
            self.since = seen - (drift.blocks - 1) * block
            return True
        elif finds_season:
            self.reason, self.since = SEASON, 0
        elif self._known and seen - self.since >= 2 * self._known:
            self.reason = MORE
        elif every and seen - self._last_try >= every:
            self.reason, self.since = TIME, 0
        return False

    def _pause(self, block: int) -> int:
        """Points to wait after a failure; doubled by every further one."""
        return (self._config.confirm_windows * block // 2) << min(self._failures - 1, MAX_DOUBLINGS) if self._failures else 0

    def wait(self) -> None:
        """There is too little to train on; a change that is known stays a reason, any other one may give way to a change."""
        if self.reason in (MORE, SEASON, TIME):
            self.reason = ""

    def start(self, seen: int) -> None:
        """Training starts; what is learnt from few points is learnt again from twice as many."""
        self._last_try = seen
        if self.reason in (DRIFT, MORE):
            known = seen - self.since
            self._known = known if 2 * known <= self._config.buffer_points else 0

    def promote(self, seen: int) -> None:
        """The candidate is the current model."""
        self.reason, self._failures, self.promoted = "", 0, seen

    def roll_back(self) -> None:
        """The current model is no more: nothing of what it learnt is learnt again from more points."""
        self._known = 0

    def drop(self, *, was_tried: bool, is_needless: bool = False) -> bool:
        """The candidate is dropped; returns True when the current distribution becomes the new reference.

        It does at once where the candidate is needless, as the present model still fits: there is nothing to learn from more points then.
        """
        self.reason = ""
        if is_needless:
            self._failures = self._known = 0
            return True
        self._failures += 1
        if self._failures < MAX_FAILURES or not was_tried:
            return False
        self._failures = 0
        return True
