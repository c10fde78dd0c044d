"""Outcome: what a run leaves once its stream is over: metrics.json, the picture and the closing lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autoencoder.config import Config
from autoencoder.console import Stopwatch
from autoencoder.core.events import DECLARED, PROMOTED, ROLLED_BACK
from autoencoder.pipeline import Stream
from autoencoder.reports.adaptation_log import event_time
from autoencoder.reports.run_folder import PLOT, RESULTS, RunFolder, has
from autoencoder.reports.scores_csv import read_scores
from autoencoder.reports.statistics import summary
from autoencoder.reports.webhook import Webhook
from data.series import Source
from data.synthetic import SyntheticSource, kinds_of


def draw_picture(config: Config, stream: Stream, watch: Stopwatch) -> None:
    """Draw plot.png, if that is wanted.

    Raises:
        RunError: the run folder cannot be written.
    """
    if config.plot.kind != "none":
        with watch.part("picture"):
            _draw(stream)


def write_report(
    config: Config, stream: Stream, fault: BaseException | None, watch: Stopwatch, webhook: Webhook | None
) -> list[str]:
    """Write metrics.json; returns the names of the files a reader may look for.

    Raises:
        RunError: the run folder cannot be written.
    """
    found = {
        "counts": stream.tally.counts(stream.detector.share),
        "training": stream.detector.training_report(),
        "quality": _quality(stream),
        **({"adaptation": adaptation} if (adaptation := stream.detector.adaptation_report()) else {}),
    }
    return write_metrics(config, stream.source, stream.folder, fault, found, watch, webhook)


def write_metrics(
    config: Config,
    source: Source,
    folder: RunFolder,
    fault: BaseException | None,
    found: Mapping[str, Any],
    watch: Stopwatch,
    webhook: Webhook | None,
) -> list[str]:
    """Write metrics.json with what was found; returns the names of the files a reader may look for.

    Raises:
        RunError: the run folder cannot be written.
    """
    metrics = {
        "status": _status(fault),
        "source": {"kind": config.source, "name": source.name, "columns": source.columns, "timezone": source.timezone},
        "detector": config.detector,
        "threshold": config.threshold.kind,
        **found,
        "alerts": webhook.counts() if webhook else None,
        "seconds": watch.report(),
    }
    folder.write_metrics(metrics)
    return [name for name in RESULTS if has(folder.path, name)]


def closing_lines(stream: Stream, files: Sequence[str]) -> list[str]:
    """What a person is told at the end."""
    counts, worst = stream.tally.counts(stream.detector.share), stream.tally.worst
    return summary(stream.source.name, counts, stream.training_points, _quality(stream), worst, stream.folder.path, files)


def _status(fault: BaseException | None) -> str:
    if fault is None:
        return "done"
    return "interrupted" if isinstance(fault, KeyboardInterrupt) else f"failed: {fault}"


def _quality(stream: Stream) -> dict[str, Any] | None:
    events = None
    if isinstance(stream.source, SyntheticSource):
        found = kinds_of(stream.source, stream.rows)
        events = {kind: [(event.start, event.end) for event in group] for kind, group in found.items()}
    return stream.tally.quality({None: stream.training_points}, events)


def _events(stream: Stream, first: npt.NDArray[np.generic]) -> list[tuple[Any, str]]:
    """What was done about the model, for the picture: of what lies in the part that it shows."""
    marked = [each for each in stream.detector.adaptations if each.event in (DECLARED, PROMOTED, ROLLED_BACK)]
    return [(event_time(each), each.event) for each in marked if len(first) and event_time(each) >= first[0]]


def _draw(stream: Stream) -> None:
    from autoencoder.reports.plot import draw, save

    source, tally = stream.source, stream.tally
    detections = read_scores(stream.folder.path)
    left_out = stream.rows - len(detections)
    labels = tally.labels()
    spans = tally.series[None].spans if tally.series else []
    figure = draw(
        detections,
        title=source.name + (f", newest of {stream.rows:,}" if left_out else ""),
        columns=source.columns,
        training_points=max(0, stream.training_points - left_out),
        labels=None if labels is None or len(labels) < stream.rows else labels[left_out:],
        timezone=source.timezone,
        events=_events(stream, detections.time[:1]),
        spans=[(max(0, first - left_out), last - left_out) for first, last in spans if last >= left_out],
    )
    save(figure, stream.folder.path / PLOT)
