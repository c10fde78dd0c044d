"""LSTM autoencoders of many series that share one network, trained on the windows of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autoencoder.core.errors import TrainingError
from autoencoder.scorers.base import Array, Progress
from autoencoder.scorers.lstm import LstmAutoencoderScorer

MOST_WINDOWS = 20_000  # that the network is trained on; more of them only take memory


def fit_together(
    scorers: Sequence[LstmAutoencoderScorer], parts: Sequence[Array], progress: Progress | None = None
) -> dict[int, TrainingError]:
    """Train one network for the training parts (N, F) of S series and hand it to their scorers, whose ``fit`` then trains none.

    A window has the same number of steps in all series, and in each covers that series' own period. The number is the smallest that any
    series has room for, those left aside that have room for less than half of what the middle one has: one short series shall not blunt
    the network of a thousand.

    Returns:
        Why a series is left out, by its position.
    """
    faults: dict[int, TrainingError] = {}
    steps: dict[int, int] = {}
    for position, (scorer, values) in enumerate(zip(scorers, parts, strict=True)):
        try:
            steps[position] = scorer.prepare(values)[0].shape[1]
        except TrainingError as fault:
            faults[position] = fault
    if not steps:
        return faults
    enough = np.median(list(steps.values())) / 2
    common = min(count for count in steps.values() if count >= enough)
    every = -(-sum(map(len, parts)) // MOST_WINDOWS)
    trained, pool, ages = [], [], []
    for position in steps:
        scorer = scorers[position]
        try:
            scorer.cut_into(common)
            windows = scorer.prepare(parts[position])[0][::every]  # (M, T, F)
            _require_steps(windows, common)
        except TrainingError as fault:
            faults[position] = fault
            continue
        trained.append(scorer)
        pool.append(scorer.lens.scaled(windows, scorer.spread)[0])
        ages.append(np.arange(len(windows)) / len(windows))
    if not trained:
        return faults
    # by age, so that the newest windows of every series, not all of the last series, are held back for validation
    trained[0].learn(np.concatenate(pool)[np.argsort(np.concatenate(ages), kind="stable")], progress)
    for scorer in trained:
        scorer.take_network(trained[0])
    return faults


def _require_steps(windows: Array, common: int) -> None:
    if windows.shape[1] != common:
        raise TrainingError(
            f"the training part has room for windows of {windows.shape[1]} steps, and the network of all series takes {common}; "
            "give a longer series, or raise training.points or training.fraction"
        )
