"""Training beside the stream: in one process at a time, which ends with its run and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import ROOT, wait_until

from adaptation.helpers import wave
from autoencoder.adaptation.retraining import SavedScorer, ScorerSpec, TrainingJob, TrainingResult, retrain
from autoencoder.adaptation.trainer import ProcessLimit, SubprocessTrainer, SyncTrainer

GAUSSIAN = ScorerSpec("windowed_gaussian", {"window": 100})
LSTM = ScorerSpec("lstm_autoencoder", {"sequence_length": 16, "units": (8,), "max_steps": 60})


def gaussian_job(spec: ScorerSpec = GAUSSIAN) -> TrainingJob:
    scorer = GAUSSIAN.create()
    scorer.fit(wave(300, 24))
    current = SavedScorer(GAUSSIAN, scorer.state(), {}, scorer.calibration_errors)
    return TrainingJob(current, spec, 3 * wave(400, 24), 3 * wave(200, 24), np.ones(200, bool), 48)


def result_of(trainer: SubprocessTrainer) -> TrainingResult:
    assert trainer._process
    trainer._process.wait(timeout=120)
    result = trainer.poll()
    assert result and trainer.poll() is None
    return result


@pytest.mark.slow
def test_process_refits_the_autoencoder() -> None:
    scorer = LSTM.create()
    scorer.fit(wave(400, 24))
    training = 3 * wave(400, 24, seed=1)
    training[100:110] = np.nan
    current = SavedScorer(LSTM, scorer.state(), scorer.artifacts(), scorer.calibration_errors)
    trainer = SubprocessTrainer()
    trainer.submit(TrainingJob(current, LSTM, training, 3 * wave(200, 24, seed=2), np.ones(200, bool), 16))
    result = result_of(trainer)
    assert result.figures and result.scorer, result
    assert np.isfinite(result.scorer.load().process(3 * wave(100, 24, seed=3))[0]).all()


def test_process_finds_what_a_training_in_step_finds() -> None:
    trainer = SubprocessTrainer()
    trainer.submit(gaussian_job())
    assert result_of(trainer).figures == retrain(gaussian_job()).figures


def test_failed_process() -> None:
    trainer = SubprocessTrainer()
    trainer.submit(gaussian_job(ScorerSpec("windowed_gaussian", {"windows": 1})))
    rejection = result_of(trainer).rejection
    assert rejection.startswith("its training failed with code 1: ") and "'windows'" in rejection
    assert trainer.is_free
    trainer.submit(gaussian_job())
    trainer.stop()
    assert trainer.is_free and trainer.poll() is None


def test_process_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("autoencoder.adaptation.trainer.subprocess.Popen", full)
    trainer = SubprocessTrainer()
    trainer.submit(gaussian_job())
    result = trainer.poll()
    assert result and result.rejection.endswith("No space left on device") and trainer.is_free


def test_one_process_for_many_trainers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    limit = ProcessLimit(1)
    trainers = [SubprocessTrainer(limit) for _ in range(1000)]
    assert all(trainer.is_free and not trainer._process for trainer in trainers) and not limit.is_reached
    trainers[0].submit(gaussian_job())
    assert not any(trainer.is_free for trainer in trainers)
    result_of(trainers[0])
    assert all(trainer.is_free for trainer in trainers)
    trainers[1].submit(gaussian_job())
    trainers[1].stop()  # a series that ends gives its place back
    assert all(trainer.is_free for trainer in trainers)
    assert not list(tmp_path.iterdir())


ORPHAN = """
import time
import numpy as np
from autoencoder.adaptation.retraining import BASELINE_SPEC, SavedScorer, ScorerSpec, TrainingJob
from autoencoder.adaptation.trainer import SubprocessTrainer

lstm = ScorerSpec("lstm_autoencoder", {"sequence_length": 16, "units": (8,), "max_steps": 100_000})
values = np.sin(np.arange(600) / 4)[:, None] + np.random.default_rng(0).normal(0, 0.1, (600, 1))
trainer = SubprocessTrainer()
trainer.submit(TrainingJob(SavedScorer(BASELINE_SPEC, {}, {}, np.ones(50)), lstm, values, values, np.ones(600, bool), 16))
print(trainer._process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_process_ends_with_its_run(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, env=env) as run:
        assert run.stdout
        stat = Path(f"/proc/{int(run.stdout.readline())}/stat")
        run.kill()
    wait_until(lambda: not stat.exists() or " Z " in stat.read_text())
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_a_training_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    trainer = SyncTrainer()
    trainer.submit(replace(gaussian_job(LSTM), is_anew=True))
    result = trainer.poll()
    assert result and result.rejection.startswith("its training could not start: tensorflow is not installed")
