"""Interrupts: Ctrl-C and SIGTERM end a run in the same way, and wait where they must."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from autoencoder.core.errors import RunError
from autoencoder.interrupts import SignalGuard, Terminated


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_an_interrupt_waits_while_it_is_held_and_handlers_are_put_back(number: int, kind: type[BaseException]) -> None:
    before = signal.getsignal(number)
    done: list[str] = []

    def work() -> Iterator[str]:
        with SignalGuard() as signals:
            with signals.critical():
                with signals.critical():
                    signal.raise_signal(number)
                    yield "inner"
                yield "outer"
            yield "after"

    with pytest.raises(kind):
        for step in work():
            done.append(step)
    assert done == ["inner", "outer"]
    assert signal.getsignal(number) is before


def test_once_the_work_is_over_an_interrupt_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with SignalGuard() as signals:
        with signals.critical():
            pass
        signals.ignore()
        signal.raise_signal(signal.SIGTERM)
        with signals.critical():
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with SignalGuard():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("error", "expected"),
    [(SystemError("AST constructor recursion depth mismatch"), KeyboardInterrupt), (RunError("the disk is full"), RunError)],
)
def test_what_an_interrupted_import_ends_with_is_the_interrupt(error: Exception, expected: type[BaseException]) -> None:
    with pytest.raises(expected), SignalGuard():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as interrupt:
            raise error from interrupt


def test_what_takes_long_lets_an_interrupt_through() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), SignalGuard() as signals, signals.critical():
        signals.raise_due()
        signal.raise_signal(signal.SIGINT)
        done.append("waits")
        signals.raise_due()
        done.append("goes on")
    assert done == ["waits"]
