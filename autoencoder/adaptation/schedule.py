"""Schedule: when a candidate is trained, for what reason, and since which point of the stream."""

from __future__ import annotations

from dataclasses import dataclass

from autoencoder.adaptation.drift import Drift
from autoencoder.core.state import Reader, State

TRIES = 2  # candidates that may fail before what holds now is taken for the reference
DOUBLED = 6  # times that the pause between two failures is doubled, at most

FIRST, DRIFT, MORE, TIME = "first training", "drift", "more data", "schedule"


@dataclass(frozen=True, slots=True)
class Policy:
    """When to adapt.

    Attributes:
        patience: windows for which a change must stay before it is no anomaly.
        every: points after which a candidate is trained without any drift; None for never.
        history: newest points that are remembered and that candidates are trained on.
        first: points after which the first model is trained where a baseline began.
    """

    patience: int = 10
    every: int | None = None
    history: int = 4000
    first: int = 1000


class Schedule:
    """Keeps count of reasons and tries. Places in the stream are counted in points seen since its beginning.

    Attributes:
        reason: for which a candidate is wanted or under way; empty for none.
        since: first of the points that it shall learn.
        promoted: points seen when the present model took over.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.reason = ""
        self.since = 0
        self.promoted = 0
        self._known = 0  # points since the change when the newest model was trained; 0: it has seen enough of them
        self._failed = 0  # candidates in a row
        self._last_try = 0

    def look(self, seen: int, block: int, drift: Drift | None, *, is_baseline: bool) -> bool:
        """See whether there is a reason after so many points, in blocks of ``block``; returns whether it is a drift that was not known."""
        if self.reason:
            return False
        policy = self._policy
        if is_baseline:
            if seen >= max(policy.first, self._last_try + policy.first // 2 if self._last_try else 0):
                self.reason, self.since = FIRST, 0
        elif drift and seen >= self._last_try + self._pause(block):
            self.reason = DRIFT
            # the first block holds the change itself, and something of what was before
            self.since = seen - (drift.blocks - 1) * block
            return True
        elif self._known and seen - self.since >= 2 * self._known:
            self.reason = MORE
        elif policy.every and seen - self._last_try >= policy.every:
            self.reason, self.since = TIME, 0
        return False

    def _pause(self, block: int) -> int:
        """Points to wait after a failure; twice as many after every further one."""
        return (self._policy.patience * block // 2) << min(self._failed - 1, DOUBLED) if self._failed else 0

    def begin(self, seen: int) -> None:
        """Training begins; what is learnt from few points will be learnt again when there are twice as many."""
        self._last_try = seen
        if self.reason in (DRIFT, MORE):
            known = seen - self.since
            self._known = known if 2 * known <= self._policy.history else 0

    def promote(self, seen: int) -> None:
        """The candidate has taken over."""
        self.reason, self._failed, self.promoted = "", 0, seen

    def drop(self, *, tried: bool) -> bool:
        """The candidate was not good enough, or could not even be ``tried``; returns whether what holds now has to be put up with."""
        self.reason = ""
        self._failed += 1
        if self._failed < TRIES or not tried:
            return False
        self._failed = 0
        return True

    def state(self) -> State:
        """All of it."""
        return {
            "reason": self.reason,
            "since": self.since,
            "promoted": self.promoted,
            "known": self._known,
            "failed": self._failed,
            "last_try": self._last_try,
        }

    def load(self, state: State) -> None:
        """Take back what ``state`` gave."""
        saved = Reader(state, "the schedule of trainings")
        self.reason = saved.text("reason")
        self.since, self.promoted = saved.integer("since", 0), saved.integer("promoted", 0)
        self._known, self._failed, self._last_try = (saved.integer(key, 0) for key in ("known", "failed", "last_try"))
