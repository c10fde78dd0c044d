"""Interrupts: Ctrl-C and SIGTERM end a run in the same way, and never halfway through a row."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self


class Interrupts:
    """While it is entered, SIGINT and SIGTERM raise KeyboardInterrupt; within ``held`` they wait until that is left.

    A signal that is ignored stays so (a job in the background ignores SIGINT). Outside the main thread nothing is changed: signals
    are then the business of whoever owns that thread.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._depth = 0
        self._is_due = False

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                try:
                    self._before[number] = signal.signal(number, self._interrupt)
                except ValueError:  # not the main thread
                    break
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What runs inside is not torn apart."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._is_due and not self._depth:
            self._is_due = False
            raise KeyboardInterrupt

    def _interrupt(self, *_: object) -> None:
        if self._depth:
            self._is_due = True
        else:
            raise KeyboardInterrupt
