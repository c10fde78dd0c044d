"""Alertmanager, the real one: incidents appear there, are grouped, survive its restart and resolve."""

from __future__ import annotations

import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from helpers import cli
from helpers.alertmanager import BINARY, AlertmanagerServer
from helpers.cli import finish, start, wait_until
from helpers.webhook_server import WebhookServer, isolate

from autoencoder.alerts.http import Alertmanager

environment = pytest.fixture(autouse=True)(isolate)
SERIES = ('cpu{instance="a:9100",job="node"}', 'cpu{instance="b:9100",job="node"}')

BOTH = {"a:9100", "b:9100"}


def rows(values: list[float], first: int, level: float) -> str:
    """Lines of both series, from that row on."""
    times = [f"2025-03-01T{row // 60 % 24:02}:{row % 60:02}:00Z" for row in range(first, first + len(values))]
    field = [name.replace('"', '""') for name in SERIES]
    return "".join(f'{time},{value + level},"{name}"\n' for time, value in zip(times, values, strict=True) for name in field)


def told(server: WebhookServer, status: str) -> set[str]:
    """The instances of which Alertmanager said that."""
    return {
        each["labels"]["instance"] for request in server.requests for each in request.body["alerts"] if each["status"] == status
    }


@pytest.mark.skipif(BINARY is None, reason="Alertmanager is not installed: apt install prometheus-alertmanager")
def test_incidents_appear_survive_a_restart_and_resolve(tmp_path: Path) -> None:
    table, wave = tmp_path / "load.csv", cli.wave(700)
    table.write_text("time,value,series\n" + rows(wave[:600], 0, 0.0))
    options = {"alertmanager.enabled": "true", "alertmanager.repeat_seconds": 1, "backoff": 0.05, "max_backoff": 0.2}
    with WebhookServer() as receiver, AlertmanagerServer(tmp_path / "alertmanager", receiver.url()) as server:
        options["alertmanager.url"] = server.url
        process = start(
            *("--source", "csv", "--path", table, "--series-column", "series", "--follow", "--out", "o", *cli.GAUSSIAN),
            *cli.settings("training.points=500", "csv.poll_seconds=0.01", "incidents.merge_gap=5"),
            *cli.settings(*(f"alerts.{name}={value}" for name, value in options.items())),
            folder=tmp_path,
        )
        cli.wait_for_rows(tmp_path / "o", 1200, process)
        with table.open("a") as file:
            file.write(rows(wave[600:603], 600, 60.0))
        wait_until(lambda: len(server.get("alerts")) == 2, process)
        expect_firing(server)
        wait_until(lambda: told(receiver, "firing") == BOTH, process)
        server.kill()
        receiver.requests.clear()
        server.start()
        wait_until(lambda: told(receiver, "firing") == BOTH, process)  # it knew nothing: they were sent again
        wait_until(lambda: server.notified() >= len(BOTH), process)
        time.sleep(0.5)  # until it has noted of whom it told
        server.stop()
        with table.open("a") as file:
            file.write(rows(wave[603:640], 603, 0.0))
        cli.wait_for_rows(tmp_path / "o", 1280, process)
        assert [each["status"] for each in cli.incidents(tmp_path / "o")] == ["closed", "closed"]
        server.start()
        wait_until(lambda: told(receiver, "resolved") == BOTH, process)  # the two that ended while it was away
        assert server.get("alerts") == []
        process.send_signal(signal.SIGTERM)
        outcome = finish(process)
    assert outcome.code == 0 and "alertmanager: 4 alerts delivered" in outcome.err, outcome.err
    assert "alertmanager: no connection, or it broke off" in outcome.err and "alertmanager: it answers again" in outcome.err


def expect_firing(server: AlertmanagerServer) -> None:
    """Both incidents are there as alerts, in one group."""
    (group,) = (group for group in server.get("alerts/groups") if len(group["alerts"]) > 1)
    assert group["labels"] == {"alertname": "Anomaly", "source": "load.csv"}
    alerts = {alert["labels"]["series"]: alert for alert in group["alerts"]}
    assert tuple(sorted(alerts)) == SERIES
    for alert in alerts.values():
        labels = dict(alert["labels"])
        assert labels.pop("series") == f'cpu{{instance="{labels.pop("instance")}",job="{labels.pop("job")}"}}'
        assert labels.pop("severity") in ("low", "medium", "high", "critical") and set(labels) == {"alertname", "source"}
        assert "Anomaly in load.csv, series" in alert["annotations"]["summary"]
        assert datetime.fromisoformat(alert["startsAt"]) == datetime.fromisoformat("2025-03-01T10:00:00Z")


def entries(event: str, levels: list[str], **times: Any) -> list[tuple[str, str]]:
    """Severity and whether it is over, of what is posted for an incident with these levels so far."""
    incident = {"id": 1, "start": "10", "end": "12", "peak_time": "11", "peak_value": 61.3, "expected": 56.2, "severity": 0.82}
    incident |= {"n_points": 2, "first_row": 10, "last_row": 12, "alarm": True, **times}
    alert = {"event": event, "source": "x", "incident": incident, "incident_key": "k", "run": "r", "levels": levels, "link": None}
    alert["at"] = "2025-01-01T00:00:00+00:00"
    posted: Any = Alertmanager(url="http://h", timeout=1, repeat_seconds=60).body("", alert)
    assert all(datetime.fromisoformat(each["startsAt"]) <= datetime.fromisoformat(each["endsAt"]) for each in posted)
    return [(each["labels"]["severity"], "over" if each["endsAt"] <= alert["at"] else "fires") for each in posted]


@pytest.mark.parametrize(
    "times", [{}, {"start": "2024-01-01", "end": "2024-01-02"}, {"start": "2999-01-01", "end": "2999-01-02"}]
)
def test_an_incident_that_gets_worse_ends_its_lesser_alert(times: dict[str, str]) -> None:
    assert entries("opened", ["medium"], **times) == [("medium", "fires")]
    assert entries("opened", ["medium", "high"], **times) == [("medium", "over"), ("high", "fires")]
    assert entries("closed", ["medium", "high"], **times) == [("medium", "over"), ("high", "over")]
