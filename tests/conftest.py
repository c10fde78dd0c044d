"""What every test shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Set before anything imports a library that reads them: quiet TensorFlow, no GPU probing, a figure backend without a display.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def root() -> Path:
    """The project's top folder."""
    return ROOT
