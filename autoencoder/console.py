"""Console: what a person reads while a run goes on, all on stderr; and silence for the libraries that talk too much."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

NOISY = ("tensorflow", "absl", "yfinance", "matplotlib", "peewee", "urllib3")


@contextmanager
def quiet_libraries() -> Iterator[TextIO]:
    """Keep TensorFlow's, absl's and yfinance's lines from the user inside; gives the stream that still reaches them.

    TensorFlow's C++ parts write to file descriptor 2 before any setting is read, so that descriptor is turned away and Python's
    ``sys.stderr`` goes to a copy of it. Both are put back at the end.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # no search for drivers that are not there
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _occupy_standard_descriptors()
    before = sys.stderr
    copy = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    try:
        with warnings.catch_warnings(), Path(os.devnull).open("wb") as nowhere:
            warnings.simplefilter("ignore")
            os.dup2(nowhere.fileno(), 2)
            sys.stderr = copy
            yield copy
    finally:
        sys.stderr = before
        os.dup2(copy.fileno(), 2)
        copy.close()


def _occupy_standard_descriptors() -> None:
    """Lead closed standard descriptors nowhere; the next file opened would get their number, and every C library's messages."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


class Console:
    """Lines, and progress bars, which appear only where the stream is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self.is_terminal = self._stream.isatty()
        self.bar: Any = None

    def print(self, sentence: str) -> None:
        """One line."""
        try:
            if self.bar:
                self.bar.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
            else:
                self._stream.write(sentence + "\n")
                self._stream.flush()
        except OSError:  # the reader of the pipe is gone or the disk is full: the run is worth more than its messages
            with Path(os.devnull).open("wb") as nowhere:  # takes what the stream still holds back, too
                os.dup2(nowhere.fileno(), self._stream.fileno())

    @contextmanager
    def bars(self) -> Iterator[None]:
        """Progress bars may be shown inside."""
        if not self.is_terminal:
            yield
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), "{task.fields[note]}")
        with Progress(*columns, console=RichConsole(file=self._stream), transient=True) as self.bar:
            try:
                yield
            finally:
                self.bar = None

    def progress(self, what: str) -> Task:
        """A bar called ``what``; call it with (done, total, note)."""
        return Task(self, what)


class Task:
    """One progress bar; call it with what is done, out of how much, and a note. Without a terminal it shows nothing."""

    def __init__(self, console: Console, what: str) -> None:
        self._console, self._what = console, what
        self._task: Any = None

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """So much is done."""
        if bar := self._console.bar:
            if self._task is None:
                self._task = bar.add_task(self._what, total=total, note=note)
            bar.update(self._task, completed=done, total=total, note=note)

    def __deepcopy__(self, memo: dict[int, object]) -> Task:
        return self  # a copied detector shows its trainings at the same place

    def finish(self) -> None:
        """Take the bar away."""
        if self._console.bar and self._task is not None:
            self._console.bar.remove_task(self._task)
            self._task = None


class Stopwatch:
    """Seconds by part of a run, whose process ``began`` at that ``time.perf_counter()``."""

    def __init__(self, began: float) -> None:
        self._began = began
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs inside counts as ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def report(self) -> dict[str, float]:
        """Seconds by part, and in total."""
        return {**self.seconds, "total": time.perf_counter() - self._began}
