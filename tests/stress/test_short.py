"""A short form of every group of ``make torture``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from helpers.cli import Run

from stress import faults, fuzz, hostile, kills, serving, soak
from stress.harness import Count

GROUPS: dict[str, Callable[[Path, Path], Sequence[Count]]] = {
    "kills": lambda folder, model: kills.kill(folder, 11, 8),
    "signals": lambda folder, model: [kills.interrupt(folder, 11, 3)],
    "serve": lambda folder, model: serving.kill(folder, 11, 5),
    "faults": lambda folder, model: faults.suffer(folder, 11, 1),
    "fuzz": lambda folder, model: fuzz.shake(folder, 11, 500),
    "soak": lambda folder, model: soak.soak(folder, 11, 30_000),
    "hostile": lambda folder, model: hostile.attack(folder, 3, model),
}
pytestmark = [
    pytest.mark.stress,
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="watches processes through /proc"),
]


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_is_lost(tmp_path: Path, lstm_run: Run, group: str) -> None:
    for count in GROUPS[group](tmp_path, lstm_run[0]):
        assert count.is_clean, f"{count.group}: {count.complaints}"
