"""Interrupts: Ctrl-C, SIGTERM and a terminal that is closed end a run in the same way, and never halfway through a row."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminated(KeyboardInterrupt):
    """The program was asked to stop, by SIGTERM."""


class SignalGuard:
    """While it is entered, SIGINT and SIGHUP raise KeyboardInterrupt, SIGTERM ``Terminated``; within ``critical`` they wait for its end.

    A signal that is ignored stays so (a job in the background ignores SIGINT, one under nohup SIGHUP). Outside the main thread nothing
    is changed: signals are then the business of whoever owns that thread.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._depth = 0
        self._due: type[KeyboardInterrupt] | None = None
        self._raised: type[KeyboardInterrupt] | None = None

    def __enter__(self) -> Self:
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                try:
                    self._before[number] = signal.signal(number, self._interrupt)
                except ValueError:  # not the main thread
                    break
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        # an import or a compilation that is torn apart may end with an error of its own (SystemError, AttributeError, ...)
        if self._raised and isinstance(error, Exception) and not hasattr(error, "exit_code"):
            raise self._raised from error

    @contextmanager
    def critical(self) -> Iterator[None]:
        """What runs inside is not torn apart."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if not self._depth:
            self.raise_due()

    def raise_due(self) -> None:
        """Raise what waits, if something does: what would take long to wait for may be torn apart after all."""
        if self._due:
            self._raised, self._due = self._due, None
            raise self._raised

    def ignore(self) -> None:
        """The work is done but for what belongs together and takes no time: from here on a signal changes nothing."""
        self._depth += 1

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if self._depth or (frame and frame.f_code.co_filename.startswith("<frozen importlib") and frame.f_code.co_name == "cb"):
            # or the import system drops a lock, in a callback that swallows what is raised
            self._due = kind
        else:
            self._raised = kind
            raise kind


def ignore_signals() -> None:
    """From here to the end of the process they change nothing."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
