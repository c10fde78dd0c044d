"""Candidates: which are better, what is learnt, and what a threshold is calibrated by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adaptation.helpers import wave
from autoencoder.adaptation.cleaning import outlier_rows, rescale
from autoencoder.adaptation.drift import Drift
from autoencoder.adaptation.retraining import BacktestResult, SavedScorer, ScorerSpec, TrainingJob, retrain
from autoencoder.adaptation.schedule import AdaptationConfig, Schedule
from autoencoder.core.types import Array


def test_rejected_candidate_says_why() -> None:
    random = np.random.default_rng(0)
    spec = ScorerSpec("windowed_gaussian", {"window": 100})
    scorer = spec.create()
    scorer.fit(random.normal(size=(300, 1)))
    current = SavedScorer(spec, scorer.state(), {}, scorer.calibration_errors)
    holdout = random.normal(size=(200, 1))
    job = TrainingJob(current, spec, 40 + random.normal(size=(300, 1)), holdout, np.ones(200, bool), 48)
    assert "its loss on held-back points" in retrain(job).rejection
    too_short = retrain(replace(job, training=np.zeros((5, 1))))
    assert too_short.rejection and not too_short.scorer


def test_a_model_that_fits_stays_where_that_is_asked_for() -> None:
    random = np.random.default_rng(0)
    spec = ScorerSpec("windowed_gaussian", {"window": 100})
    scorer = spec.create()
    scorer.fit(random.normal(size=(1000, 1)))
    current = SavedScorer(spec, scorer.state(), {}, scorer.calibration_errors)
    job = TrainingJob(
        current, spec, random.normal(size=(300, 1)), random.normal(size=(200, 1)), np.ones(200, bool), 48, only_if_unfit=True
    )
    found = retrain(job)
    assert found.is_needless and found.rejection.startswith("the present model still fits")
    elsewhere = retrain(replace(job, training=40 + job.training, holdout=40 + job.holdout))
    assert not elsewhere.is_needless


def test_a_needless_candidate_makes_the_present_the_reference() -> None:
    schedule = Schedule(AdaptationConfig())
    schedule.update(1000, 48, Drift(("level",), 11), is_baseline=False)
    schedule.start(1000)
    assert schedule.drop(was_tried=True, is_needless=True)
    assert not schedule.update(9000, 48, None, is_baseline=False) and not schedule.reason  # nor are more points waited for


@pytest.mark.parametrize(
    ("loss", "alarms", "candidate_alarms", "recall", "accepted"),
    [
        (0.97, 0.0, 0.0, 1.0, True),
        (0.99, 0.0, 0.0, 1.0, False),  # no gain to speak of
        (1.01, 0.1, 0.0, 1.0, True),  # as good, and calmer
        (1.08, 1.0, 0.0, 1.0, True),  # the current model alarms all the time
        (1.08, 0.1, 0.0, 1.0, False),
        (1.08, 1.0, 0.9, 1.0, False),
        (1.12, 1.0, 0.0, 1.0, False),
        (0.5, 1.0, 0.0, 0.9, False),  # it misses too much
    ],
)
def test_better_candidate(loss: float, alarms: float, candidate_alarms: float, recall: float, accepted: bool) -> None:
    assert (BacktestResult(1.0, loss, alarms, candidate_alarms, 1.0, recall).rejection == "") is accepted


def test_rescaled_errors_keep_their_tail() -> None:
    random = np.random.default_rng(0)
    errors, like = random.exponential(size=2001), 5 + 3 * random.exponential(size=300)
    rescaled = rescale(errors, like)
    assert np.median(rescaled) == pytest.approx(np.median(like))
    assert np.quantile(rescaled, 0.1) == pytest.approx(np.quantile(like, 0.1))
    np.testing.assert_array_equal(np.argsort(rescaled), np.argsort(errors))


@pytest.mark.parametrize(
    ("stretched", "expected"),  # the upper half of the few errors beside the lower one -> that of the rescaled ones
    [(0.1, 0.25), (0.8, 1.0), (2.0, 2.0), (20.0, 3.0)],
)
def test_upper_half_counts_as_far_as_confirmed(stretched: float, expected: float) -> None:
    errors = np.abs(np.random.default_rng(0).normal(size=2001))
    middle = float(np.median(errors))
    like = np.where(errors > middle, middle + stretched * (errors - middle), errors)
    np.testing.assert_allclose(rescale(errors, like)[errors > middle] - middle, expected * (errors[errors > middle] - middle))


def test_outlier_rows() -> None:
    values = wave(1000, 48, noise=0.3)
    values[300], values[500:530] = 20, values[500:530] + 6
    outliers = outlier_rows(values)
    assert outliers[300] and outliers[500:530].all()
    assert outliers.mean() < 0.08


@pytest.mark.parametrize(
    "values",
    [np.ones((200, 1)), np.arange(200.0)[:, None], np.empty((0, 1)), np.random.default_rng(0).normal(size=(200, 2))],
)
def test_few_outliers_without_season(values: Array) -> None:
    assert outlier_rows(values).sum() <= 0.05 * len(values)
