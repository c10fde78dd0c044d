"""The LSTM autoencoder on training parts that are not as one would wish."""

from __future__ import annotations

import numpy as np
from helpers.series import series

from autoencoder.core.types import Array
from autoencoder.scorers.lstm import LstmAutoencoderScorer


def fitted(values: Array) -> LstmAutoencoderScorer:
    return LstmAutoencoderScorer(sequence_length=12, units=(8,), latent_dim=4, max_steps=150).fit(values)


def test_a_constant_training_part_is_learnt_as_constant() -> None:
    scorer = fitted(np.full((400, 1), 3.0))
    stream = np.full((200, 1), 3.0)
    stream[100:105] = 10
    errors, _ = scorer.process(stream)
    assert errors[100:105].min() > 1000 * errors[:100].max()
    assert errors[150:].max() == errors[:100].max()


def test_an_outlier_in_the_training_part_hides_no_later_one() -> None:
    values = series(800, seed=1)
    values[200] = -9999
    stream = series(300, seed=2)
    stream[150] += 15
    errors, _ = fitted(values).process(stream)
    assert errors[150] > 2 * np.delete(errors, range(150, 165)).max()


def test_a_stream_that_climbs_is_judged_as_before() -> None:
    scorer = fitted(series(2000, seed=1))
    stream = series(8000, seed=2) + np.linspace(0, 50, 8000)[:, None]
    stream[7900] += 15
    errors, _ = scorer.process(stream)
    assert np.median(errors[4000:]) < 30 * np.median(scorer.calibration_errors)
    assert errors[7900] > 5 * errors[7800:7900].max()


def test_a_network_of_other_series_finds_the_stream_as_usual_as_its_training_part() -> None:
    network, above = fitted(series(800, seed=1)).network, []
    assert network
    for seed in range(4):  # a season of 31 points, and a window of 36
        values = 30 * np.sin(2 * np.pi * np.arange(1700) / 31)[:, None] + np.random.default_rng(seed).normal(size=(1700, 1))
        scorer = LstmAutoencoderScorer(sequence_length=12, units=(8,), latent_dim=4)
        scorer.share_network(network)
        scorer.fit(values[:700])
        errors, _ = scorer.process(values[700:])
        above.append(np.mean(errors > np.quantile(scorer.calibration_errors, 0.99)))
    assert np.mean(above) < 0.02


def test_scorers_that_begin_together_score_as_if_alone() -> None:
    scorer = fitted(series(800, seed=1))
    together, alone = ([scorer.clone() for _ in range(5)] for _ in range(2))
    streams = np.stack([series(120, seed=10 + place) for place in range(5)])  # (5, N, 1)
    streams[0, 60] += 15.0
    streams[3, 40] = np.nan
    for tick in range(streams.shape[1]):
        points = streams[:, tick : tick + 1]
        finishes = [each.begin(own) for each, own in zip(together, points, strict=True)]
        for finish, other, own in zip(finishes, alone, points, strict=True):
            for found, expected in zip(finish(), other.score(own), strict=True):
                np.testing.assert_array_equal(found, expected)
