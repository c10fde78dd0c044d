"""Fleet: running LSTM autoencoders with tail thresholds that share one network, judged a tick at a time."""

from __future__ import annotations

from collections.abc import Sequence

from autoencoder.core.types import Array, Detections
from autoencoder.detector import StreamDetector, Time
from autoencoder.scorers.base import to_detections
from autoencoder.scorers.lstm import LstmAutoencoderScorer
from autoencoder.scorers.panel import LstmPanel
from autoencoder.thresholds.panel import PeaksOverThresholdPanel
from autoencoder.thresholds.peaks_over_threshold import PeaksOverThreshold


class Fleet:
    """Judges one point of each of S streams in one call of everything that can be called for many.

    The detections are those that the detectors would give one by one; until ``write_back`` they must not go on by themselves.

    Args:
        detectors: S trained LSTM autoencoders of one network with tail thresholds that fill no gaps, each wherever its stream stands.
    """

    def __init__(self, detectors: Sequence[StreamDetector]) -> None:
        self._scorers = LstmPanel([one.scorer for one in detectors if isinstance(one.scorer, LstmAutoencoderScorer)])
        self._detectors = detectors
        self._newest: Time | None = None  # times of the newest points
        self._thresholds = PeaksOverThresholdPanel(
            [one.threshold for one in detectors if isinstance(one.threshold, PeaksOverThreshold)]
        )

    def process(self, time: Time, values: Array) -> Detections:
        """Points (S,), (S, F) -> their detections, a row a stream; a stream without a point has NaN, and only its time moves on."""
        self._newest = time
        scored = self._scorers.score(values)
        return to_detections(time, values, scored, *self._thresholds.judge(scored.own_errors))

    def write_back(self) -> None:
        """Bring the detectors to where the fleet stands, so that they can be saved or go on by themselves."""
        self._scorers.write_back()
        self._thresholds.write_back()
        if self._newest is not None:
            for row, detector in enumerate(self._detectors):
                detector.position.advance(self._newest[row : row + 1])
