"""The command ``alert-test``: each channel that is switched on is sent an alert now, so that no anomaly has to be waited for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from autoencoder.alerts import Channel
from autoencoder.alerts.outbox import Alert
from autoencoder.alerts.picture import draw_incident
from autoencoder.alerts.sender import Waits
from autoencoder.alerts.sink import Alerts
from autoencoder.config import load
from autoencoder.console import Console
from autoencoder.core.errors import ConfigError
from autoencoder.core.types import Detections
from autoencoder.factory.runs import make_channels
from autoencoder.reports.run_folder import RunFolder
from autoencoder.reports.scores_csv import ResultWriter
from autoencoder.reports.sinks import Batch
from autoencoder.reports.tracker import IncidentTracker

DESCRIPTION = (
    "Sends each channel that is switched on an incident that opens, and closes at once. Exit code 1: one did not take it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``alert-test``."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="yaml file with settings (default: config.yaml)")
    help_ = "change one setting, e.g. alerts.slack.enabled=true"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=help_)


def main(arguments: argparse.Namespace, console: Console) -> int:
    """Send the test alerts; returns the exit code. Raises ConfigError: no channel is on, or a variable or a setting is missing."""
    config = load(arguments.config, texts=arguments.set, warn=console.print)
    channels = make_channels(config)
    if not channels:
        raise ConfigError("alert-test: no channel is switched on; switch one on, e.g. --set alerts.slack.enabled=true")
    with TemporaryDirectory() as path, closing(RunFolder(Path(path) / "alert-test")) as folder:
        return 0 if _send(channels, config.alerts.link, folder, console) else 1


def _send(channels: Sequence[Channel], link: str | None, folder: RunFolder, console: Console) -> bool:
    """Whether all channels take an incident that opens and closes."""
    detections = _detections()
    results = ResultWriter(folder.path, ("value",), "Z")
    results.write(Batch(detections))
    results.close()
    (incident,) = IncidentTracker("Z").process(detections)
    sink = Alerts((), Waits(0.0, 0.0, 0.0), capacity=2, alarms_only=True, warn=console.print, link=link)
    sink.start(folder, "alert-test", ["value"])
    alerts = [sink.alert("opened", replace(incident, close_reason=None)), sink.alert("closed", incident)]
    return all([_try(channel, alerts, folder.path, console) for channel in channels])


def _try(channel: Channel, alerts: Sequence[Alert], folder: Path, console: Console) -> bool:
    for alert in alerts:
        result = channel.send(f"{alert['incident_key']}-{alert['event']}", alert, partial(draw_incident, folder, alert))
        if result.reason:
            console.print(f"{channel.name}: {result.reason}")
        if result.outcome != "delivered":
            return False
    console.print(f"{channel.name}: delivered")
    return True


def _detections() -> Detections:
    """A wave up to now, with ten points in it that lie above it."""
    now, rows = np.datetime64(datetime.now(UTC).replace(tzinfo=None, microsecond=0), "ns"), np.arange(200)
    predictions = 10 + 3 * np.sin(rows / 8)
    values = predictions + 0.3 * np.sin(rows * 2.7)
    values[150:160] += 9.0
    errors, limits = np.abs(values - predictions), np.full(len(rows), 1.0)
    time = now - rows[::-1] * np.timedelta64(60, "s")
    return Detections(time, values[:, None], predictions[:, None], errors, limits, np.clip(errors / 10, 0, 1), errors > limits)
