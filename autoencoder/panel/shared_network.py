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
from autoencoder.scorers.panel import fit_panel


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
