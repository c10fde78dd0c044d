"""Sender: the thread of one channel, which sends its alerts until they get through."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from autoencoder.alerts.channel import Channel, DeliveryResult
from autoencoder.alerts.outbox import Alert, Outbox
from autoencoder.core.errors import RunError

QUIET_SECONDS = 0.5  # of waiting at the end of a run before that is announced


class Waits(NamedTuple):
    """How long a sender waits, in seconds."""

    backoff: float  # before the second try; doubled with every failure
    max_backoff: float  # at most, whatever the receiver asks for
    drain: float  # at the end of the run, at most


class Sender(threading.Thread):
    """Takes the alerts of a channel from the outbox, in order, and sends each until it gets through or is refused; begins at once.

    ``warn`` is given a sentence when the receiver fails, when it is back, and when it refuses the first alert. A pause after a failure is
    shortened by a random part of up to a half, so that many senders do not come back all at once. While nothing waits, a channel that
    repeats is given the alerts of ``still_open`` every ``repeat_seconds``. ``draw`` makes the picture of an alert.
    """

    def __init__(
        self,
        channel: Channel,
        outbox: Outbox,
        warn: Callable[[str], None],
        waits: Waits,
        *,
        still_open: Callable[[], Sequence[Alert]] = tuple,
        draw: Callable[[Alert], bytes] = lambda alert: b"",
    ) -> None:
        super().__init__(name=channel.name, daemon=True)  # never keeps the process alive
        self._channel, self._outbox, self._warn, self._waits = channel, outbox, warn, waits
        self._still_open, self._draw = still_open, draw
        self._random = random.Random()  # its own: training draws from the common one, and must stay reproducible
        self._arrived = outbox.arrived[channel.name]
        self._is_silent = self._has_refused = False
        self._failures = 0  # in a row
        self._repeat_due = time.monotonic()
        self._ends = 0.0  # when the time to drain is over
        self._closing = threading.Event()
        self.start()

    def ask_to_stop(self, *, wait: bool = True) -> None:
        """Begin the end: what waits is sent within ``waits.drain``, and without ``wait`` not at all."""
        self._ends = time.monotonic() + (self._waits.drain if wait else 0.0)
        self._closing.set()
        self._arrived.set()

    def stop(self, *, wait: bool = True) -> None:
        """Wait until all alerts are dealt with, or the time to drain is over.

        Raises:
            KeyboardInterrupt: the wait was interrupted.
        """
        if not self._closing.is_set():
            self.ask_to_stop(wait=wait)
        self.join(min(QUIET_SECONDS, max(0.0, self._ends - time.monotonic())))
        if wait and self.is_alive():
            waiting = self._outbox.counts()[self.name]["waiting"]
            self._say(f"{waiting:,} alerts wait; at most {self._waits.drain:g} s more for them")
            self.join(max(0.0, self._ends - time.monotonic()))

    def silence(self) -> None:
        """Say no more, whatever the thread is still at."""
        self._is_silent = True

    def run(self) -> None:
        """Send until no more alerts will come, or the time to drain is over."""
        try:
            is_last_look = False
            while (heads := self._outbox.heads(self.name, self._channel.batch_size)) or not is_last_look:
                is_last_look = self._closing.is_set()
                result = self._send(heads) if heads else None if is_last_look else self._repeat()
                if result:
                    self._report(result)
                    self._failures = self._failures + 1 if result.outcome == "failed" else 0
                    is_over = self._closing.is_set() and time.monotonic() >= self._ends
                    if is_over or (self._failures and not self._pause(result.wait)):
                        return
                elif not is_last_look:
                    self._arrived.wait(max(0.0, self._repeat_due - time.monotonic()) if self._channel.repeat_seconds else None)
                    self._arrived.clear()
        except RunError as error:
            self._say(f"{error}; no more alerts are sent")

    def _send(self, heads: Sequence[tuple[str, Alert]]) -> DeliveryResult:
        if self._channel.batch_size > 1:
            result = self._channel.send_batch([alert for _, alert in heads])
        else:
            ((key, alert),) = heads
            result = self._channel.send(key, alert, partial(self._draw, alert))
        if result.outcome != "failed":
            for key, _ in heads:
                self._outbox.settle(self.name, key, result.outcome)
        return result

    def _repeat(self) -> DeliveryResult | None:
        """Send again what is still open, where that is due; after a failure it stays due."""
        every = self._channel.repeat_seconds
        if not every or time.monotonic() < self._repeat_due:
            return None
        alerts = self._still_open()
        result = self._channel.send_batch(alerts) if alerts else None
        if result is None or result.outcome != "failed":
            self._repeat_due = time.monotonic() + every
        return result

    def _pause(self, asked: float) -> bool:
        """Rest after a failure; returns whether to go on. The end of the run cuts a rest short, if the receiver did not ask for it."""
        most = self._waits.max_backoff
        backoff = min(most, self._waits.backoff * 2.0 ** min(self._failures - 1, 30)) * self._random.uniform(0.5, 1.0)
        pause = max(backoff, min(asked, most))
        until = time.monotonic() + pause
        if not self._closing.is_set() and (not self._closing.wait(pause) or not asked):
            return True
        if until >= self._ends:  # nothing can come of waiting any longer
            return False
        time.sleep(max(0.0, until - time.monotonic()))
        return True

    def _report(self, result: DeliveryResult) -> None:
        if result.outcome == "failed" and not self._failures:
            self._say(f"{result.reason}; alerts wait in {self._outbox.path} and are sent as soon as it answers")
        elif result.outcome != "failed" and self._failures:
            self._repeat_due = time.monotonic()  # it may have lost what it knew
            self._say("it answers again")
        if result.outcome != "failed" and result.reason and not self._has_refused:
            self._has_refused = True
            advice = "an alert that is refused is not sent again; check the address and the token"
            self._say(f"{result.reason}; {advice}" if result.outcome == "refused" else result.reason)

    def _say(self, sentence: str) -> None:
        if not self._is_silent:
            self._warn(f"{self.name}: {sentence}")
