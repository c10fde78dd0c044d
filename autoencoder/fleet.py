"""Fleet: detectors of many streams that share one trained model, fed a tick at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from autoencoder.core.types import Detections
from autoencoder.detector import StreamDetector, Time, to_detections
from autoencoder.scorers.base import Array
from autoencoder.scorers.lstm import LstmAutoencoderScorer
from autoencoder.scorers.panel import LstmPanel
from autoencoder.thresholds.panel import PeaksOverThresholdPanel
from autoencoder.thresholds.peaks_over_threshold import PeaksOverThreshold


class Fleet(Protocol):
    """Judges one point of each of S streams a call; every stream has a state of its own."""

    def process(self, time: Time, values: Array) -> Detections:
        """Points (S,), (S, F) -> their detections, a row a stream; a stream without a point has NaN, and stays as it was."""
        ...

    def write_back(self) -> None:
        """Bring the detectors to where the fleet stands, so that they can be saved or go on by themselves."""
        ...


def make_fleet(detector: StreamDetector, streams: int) -> Fleet:
    """Detectors for S streams with all that a trained detector has learnt; they begin anew, each with a threshold of its own.

    The detections are those that S single detectors would give.

    Args:
        detector: trained; it is left as it is.
        streams: S.
    """
    return join([detector.clone() for _ in range(streams)])


def join(detectors: Sequence[StreamDetector]) -> Fleet:
    """Fleet of trained detectors, each wherever its stream stands; until ``write_back`` they must not go on by themselves.

    What shares one network and has tail thresholds is judged in one call; the detections are the same in any case.
    """
    scorers = [one.scorer for one in detectors if isinstance(one.scorer, LstmAutoencoderScorer)]
    thresholds = [one.threshold for one in detectors if isinstance(one.threshold, PeaksOverThreshold)]
    networks = {id(scorer.network) for scorer in scorers}
    if len(scorers) == len(thresholds) == len(detectors) and len(networks) == 1:
        return _Together(scorers, thresholds)
    return _OneByOne(detectors)


class _Together:
    """LSTM autoencoders with tail thresholds: all streams in one call of everything that can be called for many."""

    def __init__(self, scorers: Sequence[LstmAutoencoderScorer], thresholds: Sequence[PeaksOverThreshold]) -> None:
        self._scorers = LstmPanel(scorers)
        self._thresholds = PeaksOverThresholdPanel(thresholds)

    def process(self, time: Time, values: Array) -> Detections:
        errors, predictions = self._scorers.process(values)
        return to_detections(time, values, predictions, errors, *self._thresholds.judge(errors))

    def write_back(self) -> None:
        self._scorers.write_back()
        self._thresholds.write_back()


class _OneByOne:
    """Any detectors."""

    def __init__(self, detectors: Sequence[StreamDetector]) -> None:
        self._detectors = detectors

    def process(self, time: Time, values: Array) -> Detections:
        rows = [slice(row, row + 1) for row in range(len(values))]
        return Detections.concatenate(
            [detector.process(time[row], values[row]) for detector, row in zip(self._detectors, rows, strict=True)]
        )

    def write_back(self) -> None:
        """They stand there already."""
