"""Folders that the tests of the command share."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.folders import values, write_nab, write_ucr


@pytest.fixture
def nab(tmp_path: Path) -> Path:
    return write_nab(tmp_path / "nab", one=values(), two=values(1))


@pytest.fixture
def ucr(tmp_path: Path) -> Path:
    return write_ucr(tmp_path / "ucr", one=values(), two=values(1))
