"""A short form of every group of ``make torture``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from helpers.cli import Run

from stress import faults, fuzz, hostile, kills, soak
from stress.harness import Count

GROUPS: dict[str, Callable[[Path], Sequence[Count]]] = {
    "kills": lambda folder: kills.kill(folder, 11, 8),
    "signals": lambda folder: [kills.interrupt(folder, 11, 3)],
    "faults": lambda folder: faults.suffer(folder, 11, 1),
    "fuzz": lambda folder: fuzz.shake(folder, 11, 500),
    "soak": lambda folder: soak.soak(folder, 11, 30_000),
}
pytestmark = [
    pytest.mark.stress,
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="watches processes through /proc"),
]


def assert_clean(counts: Sequence[Count]) -> None:
    for count in counts:
        assert count.is_clean, f"{count.group}: {count.complaints}"


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_is_lost(tmp_path: Path, group: str) -> None:
    assert_clean(GROUPS[group](tmp_path))


def test_hostile_files_do_no_harm(tmp_path: Path, lstm_run: Run) -> None:
    assert_clean(hostile.attack(tmp_path, 3, lstm_run[0]))
