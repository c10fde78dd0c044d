"""Detector of the public API, with the habits of scikit-learn, PyOD and river."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from autoencoder.api.detections import Detections
from autoencoder.api.points import Points, to_points
from autoencoder.api.stream import Stream, without_flags
from autoencoder.config import dump
from autoencoder.config import load as load_config
from autoencoder.core import types
from autoencoder.core.errors import AutoencoderError, ConfigError, NotFittedError
from autoencoder.core.events import AdaptationEvent
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Array, Integers
from autoencoder.models import SavedModel, save_model
from autoencoder.reports.incidents import Incident
from autoencoder.reports.run_folder import CONFIG, STATE, RunFolder, has, read_file, read_model_files, require_inside


class Detector:
    """Finds anomalies in a stream that comes in chunks of any size, one point at a time included.

    The first points train and get no detection; from then on each point is judged by a threshold that has not seen it. Cutting the
    stream into other chunks changes nothing. How many points train: ``training_points``, or all that ``fit`` is given. Where neither
    says, a first chunk of at least 200 points is taken for the whole series, of which the first quarter trains (``training.fraction``, as
    for a file on the command line), and a shorter one for the beginning of a stream, of which the first 1,000 points train.

    Every default is that of config.yaml. So the model is replaced when the stream has changed for good, unless ``adaptation.enabled`` is
    false; the stream waits for that training unless ``adaptation.synchronous`` is false.

    Args:
        detector: "lstm_autoencoder" (default), "isolation_forest", "isolation_forest_sliding", "half_space_trees" or
            "windowed_gaussian".
        budget: share of normal points that may be flagged, or text such as "1 per day".
        seed: everything random follows from it.
        training_points: the first so many points train.
        config: further settings of config.yaml, nested or with dotted keys.
        model: folder of a run, of ``train`` or of ``save``, whose model is used, so that nothing is trained: the stream goes on where
            that one stood. A DataFrame's columns are matched by their names.

    Attributes:
        labels_: (N,) 0 or 1 for each point that ``fit`` was given, judged once more by what was learnt from them.
        decision_scores_: (N,) their scores; NaN where unknown.

    Raises:
        ConfigError: a setting is unknown, of the wrong type or out of range.
        ModelFileError: the model is missing, damaged, or of another kind of detector.

    Examples:
        >>> wave = np.sin(np.arange(1200) / 5) + np.random.default_rng(0).normal(scale=0.1, size=1200)
        >>> wave[1000] += 5
        >>> detector = Detector("windowed_gaussian", training_points=600)
        >>> detections = detector.process(wave)
        >>> int(np.nanargmax(detections.scores))
        1000
        >>> worst = max(detector.incidents, key=lambda incident: incident.severity)
        >>> worst.first_row, worst.last_row
        (1000, 1000)
        >>> detector.predict([0.5, 8.0]).tolist()
        [0, 1]
    """

    labels_: Integers
    decision_scores_: Array

    def __init__(
        self,
        detector: str | None = None,
        *,
        budget: float | str | None = None,
        seed: int | None = None,
        training_points: int | None = None,
        config: Mapping[str, Any] | None = None,
        model: str | Path | None = None,
    ) -> None:
        self.detector, self.budget, self.seed = detector, budget, seed
        self.training_points, self.config, self.model = training_points, config, model
        self._configure()

    def _configure(self) -> None:
        if not isinstance(self.config, Mapping | None):
            raise ConfigError(f"config is {self.config!r:.60}; give a mapping of settings, e.g. {{'threshold.kind': 'sigma'}}")
        given = {"detector": self.detector, "threshold.budget": self.budget, "seed": self.seed}
        given["training.points"] = self.training_points
        changes = {str(key): value for key, value in (self.config or {}).items()}
        changes |= {key: value for key, value in given.items() if value is not None}
        with without_flags():
            saved = None if self.model is None else require_inside(Path(self.model), CONFIG)
            self._config = load_config(None, changes, saved=saved, where="the arguments")
            self._model = None if self.model is None else SavedModel.read(Path(self.model), self._config.detector)
        self._stream: Stream | None = None  # begins with the first points

    # --- streaming ---

    def process(self, data: Any) -> Detections:
        """Judge the next points of the stream.

        Args:
            data: a pandas Series or DataFrame, an array (N,) or (N, F), or a pair (time, values). Rows without times are counted.

        Raises:
            InputError: the data cannot be used; nothing has changed then.
            TrainingError: the training part cannot be learnt; the stream begins anew then.
            ConfigError: the budget is a rate in time and the points carry none.
            MissingPackageError: training needs a package that is not installed.
        """
        return self._process(self._points(data))

    def _process(self, points: Points) -> Detections:
        stream = self._stream = self._stream or Stream(self._config, self._model, points)
        try:
            return stream.process(points)
        except AutoencoderError:
            if not stream.panel.has_model:
                self._stream = None
            raise

    @property
    def is_fitted(self) -> bool:
        """Whether points are judged: the training part is over."""
        return self._stream.panel.is_fitted if self._stream else self._model is not None

    @property
    def incidents(self) -> list[Incident]:
        """All incidents so far, in order; the one that goes on is the last."""
        return self._stream.incidents if self._stream else []

    @property
    def adaptations(self) -> Sequence[AdaptationEvent]:
        """What was done about the model so far."""
        return self._stream.panel.adaptations if self._stream else ()

    def info(self) -> dict[str, object]:
        """What there is to know about the training: its points, and what the detector measured in them."""
        return self._stream.panel.info() if self._stream else {}

    def learn_one(self, x: Any, time: Any = None) -> None:
        """Take the next point: a number, or a mapping of column names to numbers, and its time where the stream has times."""
        self._process(self._one(x, time))

    def score_one(self, x: Any, time: Any = None) -> float:
        """Score in [0, 1] that a point would get if it came next; nothing is remembered of it. NaN where unknown."""
        return float(self._peek(self._one(x, time)).scores[0]) if self.is_fitted else float("nan")

    # --- batches ---

    def fit(self, x: Any, y: Any = None) -> Self:
        """Train on all of a history; the stream begins anew and goes on after it. ``y`` is not used.

        Raises:
            InputError, TrainingError, ConfigError, MissingPackageError: as ``process``.
        """
        points = self._in_order(to_points(x, 0)).after(None)
        self._stream = None
        stream = self._stream = Stream(self._config, self._model, points, len(points.time))
        self._process(points)
        again = stream.judge(points, anew=True)
        self.labels_, self.decision_scores_ = again.anomalies.astype(np.int64), again.scores
        return self

    def predict(self, x: Any) -> Integers:
        """1 for each anomaly among points (N,) that would come next, 0 for the others; nothing is remembered of them."""
        return self._peek(self._points(x)).anomalies.astype(np.int64)

    def decision_function(self, x: Any) -> Array:
        """Scores (N,) in [0, 1], higher is more abnormal, of points that would come next; nothing is remembered of them."""
        return self._peek(self._points(x)).scores

    def fit_predict(self, x: Any, y: Any = None) -> Integers:
        """``labels_`` of a history that is trained on."""
        return self.fit(x).labels_

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change arguments of the constructor; what was learnt is forgotten."""
        if unknown := sorted(set(params) - set(self.get_params())):
            raise ValueError(f"{unknown[0]!r} is no parameter of Detector; they are {', '.join(self.get_params())}")
        vars(self).update(params)
        self._configure()
        return self

    def __repr__(self) -> str:
        given = (f"{name}={value!r}" for name, value in self.get_params().items() if value is not None)
        return f"Detector({', '.join(given)})"

    # --- points and files ---

    @property
    def _newest(self) -> Points | None:
        return self._stream.newest if self._stream else None

    def _points(self, data: Any, names: tuple[str, ...] = ()) -> Points:
        """Points that come next; ``names`` of their columns, where the data has none."""
        points = self._in_order(to_points(data, self._stream.rows if self._stream else 0))
        return (replace(points, columns=names, is_named=True) if names else points).after(self._newest)

    def _in_order(self, points: Points) -> Points:
        return points.in_order_of(self._model.columns) if self._model else points

    def _one(self, x: Any, time: Any) -> Points:
        """One point: a number, F of them, or a mapping of column names to numbers."""
        names: tuple[str, ...] = ()
        if isinstance(x, Mapping):
            cells = {str(name): cell for name, cell in x.items()}
            known = self._newest.columns if self._newest else ()
            names = known if {*known} == {*cells} else tuple(cells)
            x = [cells[name] for name in names]
        return self._points([x] if time is None else ([time], [x]), names)

    def _peek(self, points: Points) -> types.Detections:
        if not self.is_fitted:
            seen = self._stream.rows if self._stream else 0
            raise NotFittedError(f"the detector is not trained ({seen:,} points have come); call fit with a history first")
        return (self._stream or Stream(self._config, self._model, points)).judge(points)

    def save(self, path: str | Path) -> None:
        """Write to a folder what ``load`` goes on with; once trained, the folder serves ``--model`` on the command line, too.

        Raises:
            NotFittedError: no point has come yet.
            OutputError: the folder holds something else or cannot be written.
            RunError: the disk is full.
        """
        if self._stream is None or self._newest is None:
            raise NotFittedError("no point has come yet, so there is nothing to save; call fit or process first")
        with without_flags(), closing(RunFolder(Path(path), resume=has(Path(path), STATE))) as folder:
            save_model(folder, self._config.detector, self._stream.panel, self._model)
            folder.write(CONFIG, dump(self._config))
            folder.write(STATE, pack(self._stream.state()))


def load(path: str | Path) -> Detector:
    """The detector that was saved in a folder, or one with the model of a run folder, as ``--model``; both go on where that one stood.

    Reading builds nothing but arrays, numbers and text, and imports no TensorFlow.

    Raises:
        ModelFileError: missing or damaged.
    """
    folder = Path(path)
    if not has(folder, STATE):
        return Detector(model=folder)
    settings = load_config(None, saved=require_inside(folder, CONFIG), whole=True)
    detector = Detector(config=settings.model_dump())
    state = unpack(read_file(folder / STATE), str(folder / STATE))
    detector._stream = Stream.restore(detector._config, state, read_model_files(folder), folder / STATE)
    return detector
