"""Metrics: where every series of a run stands now, as Prometheus scrapes it: counts, and the newest point with its detection."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from autoencoder.core.errors import ConfigError
from autoencoder.core.types import Detections
from autoencoder.reports.incidents import Incident
from autoencoder.reports.sinks import Batch
from autoencoder.reports.statistics import RunStatistics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

PREFIX = "autoencoder_"
GAUGES = {  # of the newest point of a series
    "value": "What was seen.",
    "expected": "What was predicted, in the same unit.",
    "error": "How unlike normal the point is.",
    "threshold": "The error above which the point is flagged.",
    "score": "Calibrated abnormality from 0 to 1, the same on any series.",
    "anomaly": "1 where the point is flagged.",
    "last_time_seconds": "Its time, in seconds since 1970; a time without a zone is taken as UTC.",
    "lag_seconds": "Seconds from its time until now.",
    "open_incidents": "Incidents that go on.",
    "open_alarms": "Of them, those that are worth an alert.",
}
COUNTERS = {
    "points": "Points so far.",
    "judged_points": "Of them, those with a threshold.",
    "flagged_points": "Of those, the anomalous ones.",
    "allowed_points": "Normal points among the judged ones that the budget lets be flagged.",
    "incidents": "Incidents that began.",
    "alarms": "Of them, those that were worth an alert.",
}
_COLUMNED = ("value", "expected")  # one sample a column
_FIELDS = ("time", "values", "predictions", "errors", "thresholds", "scores", "anomalies")  # of detections, as in ``_Newest``
_PAIR = r'((?!__)[a-zA-Z_][a-zA-Z0-9_]*)=("(?:[^"\\]|\\.)*")'
_LABELLED = re.compile(rf"[^{{}}]*\{{{_PAIR}(?:,{_PAIR})*\}}")


class _Newest(NamedTuple):
    """The newest point of a series."""

    time: int  # nanoseconds since 1970, or a count
    values: list[float]  # (F,)
    predictions: list[float]  # (F,)
    error: float
    threshold: float
    score: float
    anomaly: bool


@dataclass(eq=False)
class RunMetrics:
    """Looks on, and tells whoever scrapes ``registry``; a number that is not known has no sample.

    Examples:
        >>> labels_of('up{instance="a:9100",series="x"}')
        {'series': 'up{instance="a:9100",series="x"}', 'instance': 'a:9100', 'exported_series': 'x'}
    """

    statistics: RunStatistics  # counts of the run, which it reads
    share: Callable[[str | None], float]  # name of a series -> share of its normal points that may be flagged
    _: KW_ONLY
    columns: Sequence[str] = ("value",)  # names of the F columns; several become the label ``column``
    max_series: int = 10_000  # series that are shown one by one: those with an open incident, and else the first ones
    info: dict[str, str] = field(default_factory=dict)  # labels of the metric ``autoencoder_run_info``, such as the source's name
    open: Sequence[Incident] = ()  # incidents that go on, at first those of a run that is resumed
    clock: Callable[[], float] = time.time  # the present, in seconds since 1970

    def __post_init__(self) -> None:
        from prometheus_client import CollectorRegistry

        self._newest: dict[str | None, _Newest] = {}
        self._only: Detections | None = None  # the newest of a run without series, whose last point is read when it is asked for
        self._labels: dict[str | None, dict[str, str]] = {}
        self._is_dated = False
        self.registry: CollectorRegistry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def on_batch(self, batch: Batch) -> None:
        """Remember the newest point of each series in a batch."""
        detections, count = batch.detections, len(batch.detections)
        self.open, self._is_dated = batch.open, detections.time.dtype.kind == "M"
        if batch.series is None:
            self._only = detections if count else self._only
        else:
            rows = dict(zip(batch.series, range(count), strict=True))
            self._newest.update(zip(rows, _points(detections, list(rows.values())), strict=True))

    def collect(self) -> Iterator[Metric]:
        """The metrics of now, as ``prometheus_client`` asks for them; it may come from another thread."""
        from prometheus_client.core import Metric

        names, now = self._shown(), self.clock()
        if self._only:
            self._newest[None] = next(_points(self._only, [-1]))
        kinds = dict.fromkeys(GAUGES, "gauge") | dict.fromkeys(COUNTERS, "counter")
        families = {key: Metric(PREFIX + key, text, kinds[key]) for key, text in (GAUGES | COUNTERS).items()}
        ongoing: dict[str | None, list[Incident]] = {}
        for incident in self.open:
            ongoing.setdefault(incident.series, []).append(incident)
        for name in names:
            labels = self._labels.get(name) or self._labels.setdefault(name, labels_of(name))
            for key, value in self._numbers(name, ongoing.get(name, []), now):
                suffix = "_total" if kinds[key] == "counter" else ""
                families[key].add_sample(PREFIX + key + suffix, labels, value)
            for key, label, value in self._cells(name):
                families[key].add_sample(PREFIX + key, labels | label, value)
        yield from families.values()
        total, info = len(self.statistics.series), Metric(f"{PREFIX}run", "What runs.", "info")
        info.add_sample(f"{PREFIX}run_info", self.info, 1)
        yield info
        for key, text, value in (
            ("series", "Series of the run.", total),
            ("hidden_series", "Of them, those that metrics.max_series keeps from being shown one by one.", total - len(names)),
        ):
            family = Metric(PREFIX + key, text, "gauge")
            family.add_sample(PREFIX + key, {}, value)
            yield family

    def _shown(self) -> list[str | None]:
        """The names of the series that are shown."""
        names = list(self.statistics.series)  # a copy: the run may add one meanwhile
        if len(names) <= self.max_series:
            return names
        first = dict.fromkeys(incident.series for incident in self.open)
        return [*dict.fromkeys([*first, *names])][: self.max_series]

    def _numbers(self, name: str | None, ongoing: Sequence[Incident], now: float) -> Iterator[tuple[str, float]]:
        """The numbers of a series that are known."""
        counts = self.statistics.series[name]
        marks = list(counts.marks)
        known = {first for first, *_ in marks[-2:]}
        ongoing = [each for each in ongoing if each.first_row not in known]  # else it is over, and counted already
        opened, alarms = len(ongoing), sum(each.alarm for each in ongoing)
        yield from (("points", counts.points), ("judged_points", counts.judged), ("flagged_points", counts.flagged))
        yield from (("open_incidents", opened), ("incidents", len(marks) + opened))
        yield from (("open_alarms", alarms), ("alarms", sum(rung for _, _, rung, _ in marks) + alarms))
        if counts.judged:
            yield "allowed_points", self.share(name) * counts.judged
        if newest := self._newest.get(name):
            if self._is_dated:
                yield from (("last_time_seconds", newest.time / 1e9), ("lag_seconds", now - newest.time / 1e9))
            numbers = {key: getattr(newest, key) for key in ("error", "threshold", "score", "anomaly")}
            yield from ((key, value) for key, value in numbers.items() if math.isfinite(value))

    def _cells(self, name: str | None) -> Iterator[tuple[str, dict[str, str], float]]:
        """What is known of each column of the newest point, with the label of the column where there are several."""
        newest = self._newest.get(name)
        for key, cells in zip(_COLUMNED, (newest.values, newest.predictions) if newest else (), strict=False):
            for column, value in zip(self.columns, cells, strict=True):
                if math.isfinite(value):
                    yield key, {"column": column} if len(self.columns) > 1 else {}, value


def _points(detections: Detections, rows: Sequence[int]) -> Iterator[_Newest]:
    """Some points of many."""
    fields = (getattr(detections, name)[rows] for name in _FIELDS)
    return map(_Newest, *((array.view("int64") if array.dtype.kind == "M" else array).tolist() for array in fields))


def labels_of(name: str | None) -> dict[str, str]:
    """The labels of a series: its name, and those that the name itself holds, as the Prometheus source writes them."""
    if name is None:
        return {}
    held = re.findall(_PAIR, name) if _LABELLED.fullmatch(name) else []
    labels = {"series": name}
    with suppress(ValueError):  # no JSON strings after all
        labels |= {f"exported_{key}" if key in ("series", "column") else key: json.loads(text) for key, text in held}
    return labels


@contextmanager
def exposed(registry: CollectorRegistry, host: str, port: int) -> Iterator[str]:
    """Serve ``/metrics`` in a thread, and give its address; port 0 is any free one. Raises ConfigError: the port cannot be had."""
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"metrics.port is {port} on {host}, which cannot be listened on ({reason}); choose another") from None
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
