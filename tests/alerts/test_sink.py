"""The sink of alerts: what is queued, and in which words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from helpers.detections import INCIDENT, scored

from autoencoder.alerts.channel import Channel, DeliveryResult, Draw
from autoencoder.alerts.http import Slack
from autoencoder.alerts.outbox import Alert
from autoencoder.alerts.sender import Waits
from autoencoder.alerts.sink import Alerts
from autoencoder.reports.run_folder import RunFolder
from autoencoder.reports.sinks import Batch


def test_slack_gets_a_sentence_without_links_or_calls() -> None:
    slack = Slack(url="https://slack.invalid", timeout=1)
    alert: Alert = {"event": "opened", "source": "<!channel> & co.csv", "incident": json.loads(INCIDENT.to_json("open"))}
    assert slack.body("", alert)["text"] == (
        "Anomaly in &lt;!channel&gt; &amp; co.csv since 2025-01-02T00:00:00Z: seen 7.5, expected 1.25 (up), severity critical (0.90)"
    )
    over = {**alert, "event": "closed", "incident": json.loads(INCIDENT.to_json())}
    assert slack.body("", over)["text"] == (
        "Over (values are back): anomaly in &lt;!channel&gt; &amp; co.csv, 2025-01-02T00:00:00Z to 2025-01-02T03:00:00Z, 4 points in 3 h; "
        "at its peak seen 7.5, expected 1.25 (up), severity critical (0.90)"
    )


def test_incidents_open_in_several_series_are_told_apart(tmp_path: Path) -> None:
    sent: list[tuple[str, str, str]] = []

    class Recorder(Channel):
        name = "recorder"

        def send(self, key: str, alert: Alert, draw: Draw) -> DeliveryResult:
            sent.append((key, alert["event"], alert["incident"]["series"]))
            return DeliveryResult("delivered")

    folder, nothing = RunFolder(tmp_path / "o"), scored([])
    one, two, quiet = (replace(INCIDENT, series=name, alarm=name != "quiet") for name in ("one", "two", "quiet"))
    for resumable in (True, False):  # a run that is cut off, and its second part
        alerts = Alerts([Recorder()], Waits(0.01, 0.01, 30.0), capacity=9, alarms_only=True, warn=print)
        alerts.start(folder, "x.csv", ["value"])
        alerts.write(Batch(nothing, [], [one, two, quiet]))
        alerts.write(Batch(nothing, [two], [replace(one, n_points=5), replace(quiet)]))
        alerts.flush()
        alerts.close([one, quiet], resumable=resumable)
        alerts.stop()
    assert [each[1:] for each in sent] == [("opened", "one"), ("opened", "two"), ("closed", "two"), ("closed", "one")]
    assert len({key for key, *_ in sent}) == 4
