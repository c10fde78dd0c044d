"""Channels that post: what Slack, PagerDuty and Teams are sent fits what they publish, whatever becomes of the others."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from helpers import cli
from helpers import webhook_server as receiver
from helpers.cli import Program, kill_again_and_again, metrics, settings
from helpers.webhook_server import Behaviour, Request, Say, WebhookServer, closed_port, isolate

from autoencoder.alerts import CHANNELS
from autoencoder.config.alerts import Alerts

environment = pytest.fixture(autouse=True)(isolate)
POINTS = 1200
LINK = "https://look.example/?run={out}&series={series}&from={start}"


def exactly(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The schema of an object with these members and no others."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


TEXT = {"type": "string", "minLength": 1}
ADDRESS = {"type": "string", "pattern": "^https://"}
# https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: text, in mrkdwn, at most 40,000 characters
SLACK = exactly({"text": {**TEXT, "maxLength": 40_000}})
# https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
_PAYLOAD = exactly(
    {"summary": {**TEXT, "maxLength": 1024}, "source": TEXT, "severity": {"enum": ["critical", "error", "warning", "info"]}},
    {
        "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)$"},
        **{"component": TEXT, "group": TEXT, "class": TEXT, "custom_details": {"type": "object"}},
    },
)
_EVENT = {"routing_key": {"type": "string", "pattern": "^[0-9a-z]{32}$"}}
_DEDUP = {"dedup_key": {**TEXT, "maxLength": 255}}
PAGERDUTY = {
    "oneOf": [
        exactly(
            {**_EVENT, "event_action": {"const": "trigger"}, **_DEDUP, "payload": _PAYLOAD},
            {"links": {"type": "array", "items": exactly({"href": ADDRESS}, {"text": TEXT})}},
        ),
        exactly({**_EVENT, "event_action": {"const": "resolve"}, **_DEDUP}),
    ]
}
# https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using and adaptivecards.io, 1.4
_COLOURS = ["default", "dark", "light", "accent", "good", "warning", "attention"]
_SIZES = ["default", "small", "medium", "large", "extraLarge"]
_BLOCK = exactly(
    {"type": {"const": "TextBlock"}, "text": TEXT},
    {
        "color": {"enum": _COLOURS},
        "size": {"enum": _SIZES},
        "weight": {"enum": ["default", "lighter", "bolder"]},
        "wrap": {"type": "boolean"},
    },
)
_FACT = exactly({"title": TEXT, "value": TEXT})
_FACTS = exactly({"type": {"const": "FactSet"}, "facts": {"type": "array", "items": _FACT, "minItems": 1}})
_OPEN = exactly({"type": {"const": "Action.OpenUrl"}, "url": ADDRESS}, {"title": TEXT})
_CARD = exactly(
    {
        "type": {"const": "AdaptiveCard"},
        "version": {"enum": ["1.0", "1.1", "1.2", "1.3", "1.4"]},  # Teams takes no newer one in a workflow
        "body": {"type": "array", "items": {"anyOf": [_BLOCK, _FACTS]}, "minItems": 1},
    },
    {
        "$schema": {"const": "http://adaptivecards.io/schemas/adaptive-card.json"},
        "actions": {"type": "array", "items": _OPEN},
        "msteams": exactly({"width": {"const": "Full"}}),
    },
)
_ATTACHMENT = exactly(
    {"contentType": {"const": "application/vnd.microsoft.card.adaptive"}, "content": _CARD}, {"contentUrl": {"type": "null"}}
)
_ATTACHMENTS = {"type": "array", "items": _ATTACHMENT, "minItems": 1, "maxItems": 1}
TEAMS = exactly({"type": {"const": "message"}, "attachments": _ATTACHMENTS})
SCHEMAS = {"slack": SLACK, "pagerduty": PAGERDUTY, "teams": TEAMS}
VARIABLES = {"webhook": "ANOMALY_WEBHOOK_URL", "slack": "ANOMALY_SLACK_URL", "teams": "ANOMALY_TEAMS_URL"}
ROUTING_KEY = "0123456789abcdef0123456789abcdef"


def configure(monkeypatch: pytest.MonkeyPatch, addresses: Mapping[str, str], *more: str) -> tuple[str, ...]:
    """Options that switch these channels on."""
    for name, address in addresses.items():
        if name in VARIABLES:
            monkeypatch.setenv(VARIABLES[name], address)
    monkeypatch.setenv("ANOMALY_PAGERDUTY_KEY", ROUTING_KEY)
    url = (f"pagerduty.url={addresses['pagerduty']}",) if "pagerduty" in addresses else ()
    waits = ("backoff=0.01", "max_backoff=5", f"link='{LINK}'", *more)
    chosen = (*(f"{name}.enabled=true" for name in addresses), *url, *waits)
    return settings(*(f"alerts.{each}" for each in chosen))


def write(folder: Path) -> Path:
    """A wave with a spike now and then."""
    values = cli.wave(POINTS)
    for row in range(600, POINTS, 150):
        values[row] += 40
    return cli.write_csv(folder / "my_load.csv", range(POINTS), values)


DETECTION = (*cli.GAUSSIAN, *settings("training.points=500"))


def texts(name: str, requests: Sequence[Request]) -> list[str]:
    """What of each request tells an opening from a closing, after a check against the schema."""
    for request in requests:
        jsonschema.validate(request.body, SCHEMAS[name])
    bodies = [request.body for request in requests]
    if name == "pagerduty":
        return [{"trigger": "opened", "resolve": "closed"}[body["event_action"]] for body in bodies]
    titles = [
        body["text"] if name == "slack" else body["attachments"][0]["content"]["body"][0]["text"].replace("\\", "")
        for body in bodies
    ]
    assert all("my_load.csv" in title for title in titles)
    return ["closed" if title.startswith("Over") else "opened" for title in titles]


def test_each_gets_all_in_its_own_form_and_a_dead_one_holds_up_none(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: dict[str, list[Behaviour | int]] = {
        "slack": [Say(429, {"Retry-After": "1"})],
        "pagerduty": [503, 500, 429],
        "teams": [receiver.hang_up, receiver.garbage],
    }
    with (
        WebhookServer(first=faults["slack"]) as slack,
        WebhookServer(first=faults["pagerduty"], then=202) as pagerduty,
        WebhookServer(first=faults["teams"], then=202) as teams,
    ):
        servers = {"slack": slack, "pagerduty": pagerduty, "teams": teams}
        dead = f"http://127.0.0.1:{closed_port()}/"
        addresses = {"webhook": dead, **{name: server.url() for name, server in servers.items()}}
        began = time.monotonic()
        chosen = configure(monkeypatch, addresses, "drain_seconds=2")
        outcome = program("--source", "csv", "--path", write(tmp_path), *DETECTION, *chosen, "--out", "o")
    alarms = [incident for incident in cli.incidents(Path("o")) if incident["alarm"]]
    count = 2 * len(alarms)
    assert outcome.code == 0 and len(alarms) >= 4, outcome.err
    for name, server in servers.items():
        assert texts(name, server.delivered) == ["opened", "closed"] * len(alarms), name
        assert f"{name}: {count} alerts delivered" in outcome.err.splitlines()
        assert [request.key for request in server.delivered] == [*dict.fromkeys(request.key for request in server.requests)]
    assert time.monotonic() - began >= 1.0  # Slack asked for that
    assert f"webhook: 0 alerts delivered, {count} waiting in o/alerts.sqlite; --resume sends them" in outcome.err
    assert metrics(Path("o"))["alerts"] == {"delivered": 3 * count, "refused": 0, "dropped": 0, "waiting": count}
    pairs = [request.body["dedup_key"] for request in pagerduty.delivered]
    assert pairs[::2] == pairs[1::2] and len(set(pairs)) == len(alarms)
    event = pagerduty.delivered[0].body
    assert event["links"][0]["href"] == f"https://look.example/?run=o&series=&from={alarms[0]['start']}"
    assert f"<{event['links'][0]['href'].replace('&', '&amp;')}|look>" in slack.delivered[0].body["text"]
    assert teams.delivered[0].body["attachments"][0]["content"]["actions"][0]["url"] == event["links"][0]["href"]


def test_kills_lose_nothing_and_what_comes_twice_has_the_same_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, growing = write(tmp_path), tmp_path / "growing.csv"
    with WebhookServer(first=[500, receiver.hang_up] * 3, then=202) as pagerduty, WebhookServer(first=[429, 200] * 3) as slack:
        chosen = configure(
            monkeypatch, {"pagerduty": pagerduty.url(), "slack": slack.url()}, "drain_seconds=20", "max_backoff=0.1"
        )
        grows = ("--follow", *settings("csv.poll_seconds=0.005", "checkpoint.every=100"), "--out", "o")
        arguments: tuple[object, ...] = ("--source", "csv", "--path", growing, *DETECTION, *chosen, *grows)
        outcome = kill_again_and_again(table, arguments, (760, 1000, POINTS), signal.SIGTERM)
    assert outcome.code == 0, outcome.err
    alarms = [each["id"] for each in cli.incidents(tmp_path / "o") if each["alarm"] and each["status"] == "closed"]
    assert len(alarms) >= 4
    for server in (pagerduty, slack):
        by_key = {request.key: request.body for request in server.delivered}
        assert all(request.body == by_key[request.key] for request in server.delivered)
        assert 2 * len(alarms) <= len(by_key) <= 2 * len(alarms) + 1  # the last incident may be open where the file ends
    assert metrics(tmp_path / "o")["alerts"]["waiting"] == 0


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_has_a_name_and_a_section(name: str) -> None:
    assert getattr(CHANNELS[name], "name", None) == name
    assert getattr(Alerts(), name).enabled is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["slack.enabled=true"], ["alerts.slack.url_env", "ANOMALY_SLACK_URL", "not set", "alerts.slack.enabled=false"]),
        (["teams.enabled=true"], ["ANOMALY_TEAMS_URL", "not set"]),
        (["pagerduty.enabled=true"], ["ANOMALY_PAGERDUTY_KEY", "not set"]),
        (["alertmanager.enabled=true", "alertmanager.token_env=NO_TOKEN"], ["NO_TOKEN", "not set"]),
        (
            ["alertmanager.enabled=true", "alertmanager.url=localhost:9093"],
            ["alerts.alertmanager.url", "no http or https address"],
        ),
        (["alertmanager.enabled=true", "alertmanager.url=http://u:pw@h"], ["holds a login", "token"]),
        (["alertmanager.repeat_seconds=0"], ["alerts.alertmanager.repeat_seconds"]),
        (["email.enabled=true"], ["alerts.email.host is not set"]),
        (["email.enabled=true", "email.host=h"], ["alerts.email.recipients is not set"]),
        (["email.enabled=true", "email.host=h", "email.recipients=a@b", "email.password_env=NO_WORD"], ["NO_WORD", "not set"]),
        (["email.password_env=hunter2"], ["alerts.email.password_env is no name of an environment variable"]),
        (["link=http://x/{run}"], ["alerts.link", "{out}", "{series}"]),
        (["link=http://x/{start:9999999999}"], ["alerts.link"]),
        (["link=http://x/{"], ["alerts.link"]),
    ],
)
def test_what_is_missing_is_said_before_anything_is_read(program: Program, options: list[str], words: list[str]) -> None:
    outcome = program("--out", "o", *settings(*(f"alerts.{option}" for option in options)))
    cli.assert_refused(outcome, words)
    assert "hunter2" not in outcome.error and "pw" not in outcome.error


def test_a_channel_is_tried_without_an_anomaly(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.assert_refused(program("alert-test"), ["no channel is switched on"])
    with WebhookServer(then=202) as pagerduty, WebhookServer(then=403) as slack:
        chosen = configure(monkeypatch, {"pagerduty": pagerduty.url(), "slack": slack.url()})
        outcome = program("alert-test", *chosen)
    assert (outcome.code, outcome.err.splitlines()) == (1, ["slack: it answered 403", "pagerduty: delivered"])
    jsonschema.validate([request.body for request in pagerduty.requests], {"type": "array", "items": PAGERDUTY, "minItems": 2})
    assert not list(Path.cwd().iterdir())
