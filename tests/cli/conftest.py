"""A file that tests of the command line read, and what becomes of it when nothing goes wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.cli import wave, write_csv


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A csv file of 400 hourly values."""
    times = np.datetime64("2024-01-01T00:00:00") + np.arange(400) * np.timedelta64(1, "h")
    return write_csv(tmp_path / "wave.csv", [f"{time}Z" for time in times], wave(400))
