"""Shared network: one network that the LSTM autoencoders of many series are trained on together, and that later series use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter

import numpy as np

from autoencoder.core.errors import TrainingError
from autoencoder.core.types import Array, Progress
from autoencoder.detector import Detector, StreamDetector
from autoencoder.network.runtime import TrainedNetwork
from autoencoder.panel.series import Series
from autoencoder.scorers.lstm import LstmAutoencoderScorer

MAX_PANEL_WINDOWS = 20_000  # that the network is trained on; more of them only take memory


class SharedNetwork:
    """The network of a panel's series; each measures its scale, its usual evidence and its normal windows itself."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._network: TrainedNetwork | None = None
        self.seconds = 0.0  # that the training took
        self.info: dict[str, object] = {}  # empty before the training, and where none was needed

    @property
    def is_trained(self) -> bool:
        """Whether there is a network to share."""
        return self._network is not None

    def fit(self, series: Iterable[Series], parts: Mapping[str | None, Sequence[Array]]) -> dict[str | None, TrainingError]:
        """Train on what there is of the training part of each untrained LSTM autoencoder, in pieces (N, F) by name of its series.

        Returns which series have no part in the network, and why. A single series is left to train when its training part is complete.
        """
        untrained = {one.name: scorer for one in series if one.name is not None and (scorer := _untrained_lstm(one.detector))}
        names = sorted(name for name in untrained if any(map(len, parts.get(name, ()))))
        if len(names) < 2:
            return {}
        began = perf_counter()
        scorers = [untrained[name] for name in names]
        faults = fit_panel(scorers, [np.concatenate(parts[name]) for name in names], self._progress)
        self.seconds += perf_counter() - began
        if fitted := next((scorer for place, scorer in enumerate(scorers) if place not in faults), None):
            self._network = fitted.network
            self.info = {key: value for key, value in fitted.info().items() if key in ("steps", "validation_loss")}
        return {names[place]: fault for place, fault in faults.items()}

    def offer(self, detector: Detector) -> None:
        """Remember the network of a trained detector for those that come, if there is none yet."""
        if self._network is None and isinstance(detector.current.scorer, LstmAutoencoderScorer):
            self._network = detector.current.scorer.network

    def give_to(self, detector: Detector) -> None:
        """Let an untrained LSTM autoencoder use the network, if there is one."""
        if self._network and (scorer := _untrained_lstm(detector)) and scorer.network is None:
            scorer.share_network(self._network)


def _untrained_lstm(detector: Detector) -> LstmAutoencoderScorer | None:
    """The scorer of a detector, if it is an LSTM autoencoder that is to be trained, and stays as it is then."""
    if not isinstance(detector, StreamDetector) or detector.trained:
        return None
    return detector.scorer if isinstance(detector.scorer, LstmAutoencoderScorer) else None


def fit_panel(
    scorers: Sequence[LstmAutoencoderScorer], parts: Sequence[Array], progress: Progress | None = None
) -> dict[int, TrainingError]:
    """Train one network for the training parts (N, F) of S series and hand it to their scorers, whose ``fit`` then trains none.

    A window has the same number of steps in all series, and in each covers that series' own period. The number is the smallest that any
    series has room for, those left aside that have room for less than half of what the middle one has, so that one short series does not
    shorten the windows of all others. Returns why a series is left out, by its position.
    """
    faults: dict[int, TrainingError] = {}

    def prepare(position: int, steps: int | None = None) -> Array | None:
        """Windows (M, T, F) of a series, unless it is left out."""
        try:
            return scorers[position].prepare(parts[position], steps)[0]
        except TrainingError as fault:
            faults[position] = fault
            return None

    steps = {position: windows.shape[1] for position in range(len(parts)) if (windows := prepare(position)) is not None}
    enough = np.median(list(steps.values())) / 2 if steps else 0
    common = min((count for count in steps.values() if count >= enough), default=None)
    every = -(-sum(map(len, parts)) // MAX_PANEL_WINDOWS)
    trained, pool, ages = [], [], []
    for position in steps:
        if (windows := prepare(position, common)) is not None:
            trained.append(scorers[position])
            pool.append(scorers[position].scaler.scale(windows[::every])[0])
            ages.append(np.arange(len(pool[-1])) / len(pool[-1]))
    if not trained:
        return faults
    # by age, so that the newest windows of every series, not all of the last series, are held back for validation
    trained[0].train_network(np.concatenate(pool)[np.argsort(np.concatenate(ages), kind="stable")], progress)
    for scorer in trained:
        assert trained[0].network
        scorer.share_network(trained[0].network)
    return faults
