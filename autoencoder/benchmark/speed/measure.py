"""Measure: medians of repeated rounds with their spread, and the machine they were taken on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

LIBRARIES = ("numpy", "onnxruntime", "tensorflow", "keras", "torch", "river")


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, lowest and highest of the rounds; NaN where nothing could be measured."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(rounds: Iterable[float]) -> Spread:
        """Of one number a round; unknown ones are left out.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.0, high=3.0)
        """
        known = [value for value in rounds if value == value]
        if not known:
            return Spread(float("nan"), float("nan"), float("nan"))
        return Spread(float(np.median(known)), float(min(known)), float(max(known)))

    @property
    def known(self) -> bool:
        """Whether there is a median."""
        return self.median == self.median

    def under(self, above: float) -> Spread:
        """Of ``above`` divided by each round, as a time becomes a rate."""
        return Spread(above / self.median, above / self.high, above / self.low)

    def extent(self) -> str:
        """Lowest to highest, as text."""
        return f"{number(self.low)} to {number(self.high)}" if self.known else ""

    def __str__(self) -> str:
        return number(self.median) if self.known else "-"


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Of two contestants that ran in the same rounds: a round's load falls on both, so the rounds are compared one by one."""
    return Spread.of([first / second for first, second in zip(above, below, strict=True)])


def number(value: float) -> str:
    """Three digits, or all digits before the point.

    >>> [number(value) for value in (0.012345, 12.345, 1234.5)]
    ['0.0123', '12.3', '1,234']
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """Processor, cores, memory, load, Python and the libraries, as far as they can be told."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "system": platform.platform(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "threads": {name: os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name in os.environ},
    }


def machine_line(facts: dict[str, Any]) -> str:
    """The machine in one line."""
    libraries = ", ".join(f"{name} {found}" for name, found in facts["libraries"].items())
    load = "" if facts["load"] is None else f", load {facts['load']:.1f} at the start"
    memory = f", {facts['memory']}" if facts["memory"] else ""
    return f"{facts['processor']}, {facts['cores']} cores{memory}{load}; Python {facts['python']}, {libraries}"


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:  # another system
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
