"""Subject: the default model, trained once, and the stream that everybody judges with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoencoder.assembly import make_detector, open_source, training_points
from autoencoder.config import Config, dump
from autoencoder.core.state import Reader, State
from autoencoder.detector import StreamDetector
from autoencoder.network.model import Architecture
from autoencoder.network.windows import WindowSpec, sliding_windows
from autoencoder.onlookers import Announcer, Bar
from autoencoder.pipeline import Stream
from autoencoder.reports.anomaly_log import AnomalyLog
from autoencoder.reports.console import Console
from autoencoder.reports.incidents import IncidentTracker, time_text
from autoencoder.reports.runs import CONFIG, RunFolder
from autoencoder.reports.tally import Tally
from autoencoder.scorers.base import Array, Progress
from data.series import Source

Windows = npt.NDArray[np.float32]

HEADER = b"timestamp,value\n"
TRAINING_STREAM = 6000  # points of the stream whose first part trains
OTHER_SEED = 1  # added to the run's seed: a stream of the same kind as the one trained on, and not the same


@dataclass(frozen=True, slots=True)
class Model:
    """A trained detector, as it is saved."""

    state: State
    files: Mapping[str, bytes]
    config: Config

    def detector(self) -> StreamDetector:
        """One that is ready for a new stream."""
        detector = make_detector(self.config, 0)
        detector.adopt(self.state, dict(self.files))
        return detector

    def stream(self, detector: StreamDetector, source: Source, out: Path) -> Stream:
        """A run as ``--model`` starts it: rows and incidents are written to a new folder, and told to nobody outside."""
        folder = RunFolder(out)
        incidents = self.config.incidents
        tracker = IncidentTracker(detector.scorer.window, "Z", hysteresis=incidents.hysteresis, refractory=incidents.refractory)
        folder.open_rows(source.columns, "Z")
        stream = Stream(
            source=source,
            detector=detector,
            tracker=tracker,
            tally=Tally(),
            folder=folder,
            settings=dump(self.config),
            checkpoint_every=self.config.checkpoint.every,
            tellers=(AnomalyLog(folder),),
            replays=source.points is not None,
            reads_ahead=source.points is not None,
        )
        nowhere = Console(StringIO())
        stream.watchers = (Bar(nowhere, stream), Announcer(nowhere, stream))
        return stream

    def save(self, folder: Path) -> Path:
        """Leave a folder for ``--model``."""
        run = RunFolder(folder)
        run.write(CONFIG, dump(self.config))
        run.write_model({"detector": self.config.detector, **self.state}, self.files)
        return folder


def synthetic(config: Config, points: int = TRAINING_STREAM, seed: int = 0) -> Source:
    """The synthetic stream of the configuration, so many points long; ``seed`` is added to the run's."""
    stream = config.synthetic.model_copy(update={"points": points, "pace": 0.0})
    chosen = config.model_copy(update={"source": "synthetic", "seed": config.seed + seed, "synthetic": stream})
    return open_source(chosen, _warn_nobody)


def train_model(config: Config, name: str = "lstm_autoencoder", progress: Progress | None = None) -> Model:
    """Train a detector on the training part of the synthetic stream."""
    chosen = config.model_copy(update={"detector": name})
    source = synthetic(chosen)
    detector = make_detector(chosen, training_points(chosen, source.points), progress)
    for chunk in source.chunks():
        detector.process(chunk.time, chunk.values)
        if detector.trained:
            break
    return Model(detector.state(), detector.scorer.artifacts(), chosen)


def training_values(config: Config) -> Array:
    """Values (N,) of the training part of the synthetic stream."""
    source = synthetic(config)
    values = np.concatenate([chunk.values[:, 0] for chunk in source.chunks()])
    return values[: training_points(config, source.points)]


def stream_lines(config: Config, points: int) -> tuple[Array, list[bytes]]:
    """Values (N,) of another synthetic stream, and its N lines as a producer would write them."""
    chunks = list(synthetic(config, points, OTHER_SEED).chunks())
    values = np.concatenate([chunk.values[:, 0] for chunk in chunks])
    times = [text for chunk in chunks for text in time_text(chunk.time, "Z")]
    return values, [f"{time},{value!r}\n".encode() for time, value in zip(times, values.tolist(), strict=True)]


def write_lines(path: Path, lines: Sequence[bytes]) -> Path:
    """A csv file of these lines under a header."""
    path.write_bytes(HEADER + b"".join(lines))
    return path


def network_windows(values: Array, architecture: Architecture) -> Windows:
    """Windows (N, T, 1) of values, each about its own mean and in units of their common deviation: what a network is given."""
    windows = sliding_windows(values[:, None], WindowSpec(architecture.steps, 1))  # (N, T, 1)
    centred = windows - windows.mean(axis=1, keepdims=True)
    return np.ascontiguousarray(centred / centred.std(), dtype=np.float32)


def architecture_of(model: Model) -> Architecture:
    """Shape of the network that was trained."""
    network = model.config.network
    steps = Reader(Reader(model.state, "the detector").state("scorer"), "the scorer").integer("steps", 1)
    return Architecture(steps, 1, network.hidden, network.latent, network.dropout, network.hide)


def _warn_nobody(sentence: str) -> None:
    """A synthetic stream has nothing to warn of."""
