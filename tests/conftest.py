"""What every test shares."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import curl_cffi  # noqa: F401 - some tests import TensorFlow into this process, and curl_cffi works only where it came first
import pytest
from helpers.cli import ROOT, TINY_LSTM, Outcome, finish, start

# Set before anything imports a library that reads them: quiet TensorFlow, no GPU probing, a figure backend without a display.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")
# A shell starts what runs in the background deaf to Ctrl-C, and so would every process of a test be.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Compile each network once for all workers and all processes that they start: it takes longer than its training."""
    if "TF_XLA_FLAGS" not in os.environ:
        folder = tempfile.mkdtemp(prefix="compiled-")
        os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={folder}"
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture
def root() -> Path:
    """The project's top folder."""
    return ROOT


@pytest.fixture
def program(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Calls the program in this process, from within an empty folder."""
    from autoencoder import cli

    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's way
            code = int(end.code or 0)
        return Outcome(code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def lstm_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The folder of one whole run with a tiny LSTM, which every test may read, and how it ended."""
    folder = tmp_path_factory.mktemp("lstm")
    points = ("--set", "synthetic.points=3000", "--set", "training.points=1500")
    return folder / "run", finish(start("--out", "run", *TINY_LSTM, *points, folder=folder))
