"""The webhook: what is queued, and in which words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from helpers.detections import INCIDENT, scored

from autoencoder.reports.delivery import DeliveryResult, WebhookSender
from autoencoder.reports.outbox import Alert, Outbox
from autoencoder.reports.run_folder import RunFolder
from autoencoder.reports.sinks import Batch
from autoencoder.reports.webhook import Webhook, as_slack


def test_slack_gets_a_sentence_without_links_or_calls() -> None:
    alert = {"event": "opened", "source": "<!channel> & co.csv", "incident": json.loads(INCIDENT.to_json("open"))}
    assert as_slack("key", alert)["text"] == (
        "Anomaly in &lt;!channel&gt; &amp; co.csv since 2025-01-02T00:00:00Z: seen 7.5, expected 1.25 (up), severity critical (0.90)"
    )
    over = {**alert, "event": "closed", "incident": json.loads(INCIDENT.to_json())}
    assert as_slack("key", over)["text"] == (
        "Over (values are back): anomaly in &lt;!channel&gt; &amp; co.csv, 2025-01-02T00:00:00Z to 2025-01-02T03:00:00Z, 4 points in 3 h; "
        "at its peak seen 7.5, expected 1.25 (up), severity critical (0.90)"
    )


def test_incidents_open_in_several_series_are_told_apart(tmp_path: Path) -> None:
    sent: list[tuple[str, str, str]] = []

    def post(key: str, alert: Alert) -> DeliveryResult:
        sent.append((key, alert["event"], alert["incident"]["series"]))
        return DeliveryResult("delivered")

    def deliver(outbox: Outbox) -> WebhookSender:
        return WebhookSender(outbox, post, print, backoff=0.01, max_backoff=0.01, drain_seconds=30)

    folder, nothing = RunFolder(tmp_path / "o"), scored([])
    one, two, quiet = (replace(INCIDENT, series=name, alarm=name != "quiet") for name in ("one", "two", "quiet"))
    for resumable in (True, False):  # a run that is cut off, and its second part
        webhook = Webhook(deliver, capacity=9, alarms_only=True, warn=print)
        webhook.start(folder, "x.csv", ["value"])
        webhook.write(Batch(nothing, [], [one, two, quiet]))
        webhook.write(Batch(nothing, [two], [replace(one, n_points=5), replace(quiet)]))
        webhook.flush()
        webhook.close([one, quiet], resumable=resumable)
        webhook.stop()
    assert [each[1:] for each in sent] == [("opened", "one"), ("opened", "two"), ("closed", "two"), ("closed", "one")]
    assert len({key for key, *_ in sent}) == 4
