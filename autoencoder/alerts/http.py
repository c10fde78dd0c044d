"""HTTP: alerts as requests, in the form that each receiver takes, and what its answer means.

``urllib3.util.Retry`` reads the receiver's Retry-After and does no more: its own loop sleeps where the end of the run cannot wake it, says
nothing of a receiver that fails until it succeeds, and reads the body of every failed answer, which may be endless.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from abc import abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from autoencoder.alerts.channel import Channel, DeliveryResult, Draw, facts, headline, sentence, what_of
from autoencoder.alerts.outbox import Alert
from autoencoder.core.http import LATER, retry_after, send
from autoencoder.reports.metrics import labels_of

SLACK_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # Slack's < starts links and calls such as <!channel>
PAGERDUTY_SEVERITIES = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
PAGERDUTY_SUMMARY = 1024  # most characters
TEAMS_COLOURS = {"critical": "attention", "high": "attention", "medium": "warning", "low": "accent"}
FORGOTTEN_AFTER = 4  # repeats that may fail before an alert counts as resolved, as Prometheus has it


class HttpChannel(Channel):
    """Posts what ``body`` makes of an alert to an address.

    The address and the token are secrets. Without a token, what the address itself may hold (``https://user:word@host``) is sent.
    ``timeout`` is in seconds, to wait for a connection, and again for an answer.
    """

    def __init__(self, *, url: str, timeout: float, token: str | None = None) -> None:
        self._url, self._timeout, self._token = url, timeout, token

    @abstractmethod
    def body(self, key: str, alert: Alert) -> object:
        """The content of the request, fit for JSON."""

    def send(self, key: str, alert: Alert, draw: Draw) -> DeliveryResult:
        """Post one alert, without a picture."""
        return self._post(self.body(key, alert), key)

    def _post(self, content: object, key: str) -> DeliveryResult:
        """Post content as JSON; whatever goes wrong is a result, whose words do not hold the address."""
        from requests import exceptions
        from requests.utils import get_auth_from_url

        # its log lines hold the address; with --verbose a warning among them would reach the console
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        user, word = get_auth_from_url(self._url)
        content, headers = json.dumps(content).encode(), {"Content-Type": "application/json", "Idempotency-Key": key}
        access: dict[str, Any] = {"token": self._token, "login": (user, word) if user else None, "timeout": self._timeout}
        try:
            with send("POST", self._url, data=content, headers=headers, **access) as response:
                return read_answer(response.status_code, response.headers.get("Retry-After"))
        except exceptions.Timeout:
            return DeliveryResult("failed", f"no answer within {self._timeout:g} s")
        except exceptions.SSLError:
            return DeliveryResult("failed", "its certificate is not trusted")
        except exceptions.ConnectionError:
            return DeliveryResult("failed", "no connection, or it broke off")
        except Exception as error:  # the thread must outlive whatever a library raises
            return DeliveryResult("failed", type(error).__name__)


def read_answer(status: int, header: str | None) -> DeliveryResult:
    """What a status code and a Retry-After header mean.

    >>> [read_answer(status, None).outcome for status in (204, 302, 404, 429, 503)]
    ['delivered', 'failed', 'refused', 'failed', 'failed']
    >>> read_answer(429, "7")
    DeliveryResult(outcome='failed', reason='it answered 429', wait=7.0)
    """
    if 200 <= status < 300:
        return DeliveryResult("delivered")
    if 300 <= status < 400:
        return DeliveryResult("failed", f"it answered {status}, a redirect, which is not followed")
    is_final = 400 <= status < 500 and status not in LATER
    return DeliveryResult("refused" if is_final else "failed", f"it answered {status}", 0.0 if is_final else retry_after(header))


class Slack(HttpChannel):
    """Posts an alert in one sentence, with the link behind it.

    https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks

    Examples:
        >>> incident = {"id": 1, "start": "10", "end": "12", "peak_time": "11", "peak_value": 61.3, "expected": 56.2, "severity": 0.82,
        ...             "n_points": 2, "first_row": 10, "last_row": 12, "alarm": True, "direction": "up"}
        >>> alert = {"event": "opened", "source": "<load>.csv", "incident": incident, "link": "https://example.org/"}
        >>> Slack(url="https://hooks.slack.com/services/T/B/x", timeout=1).body("", alert)["text"]
        'Anomaly in &lt;load&gt;.csv since 10: seen 61.3, expected 56.2 (up), severity high (0.82) <https://example.org/|look>'
    """

    name = "slack"

    def body(self, key: str, alert: Alert) -> dict[str, Any]:
        """See ``HttpChannel``."""
        escapes = str.maketrans(SLACK_ESCAPES)
        link = f" <{alert['link'].translate(escapes)}|look>" if alert.get("link") else ""
        return {"text": sentence(alert).translate(escapes) + link}


class Webhook(Slack):
    """Posts an alert as it is, for programs, or in a sentence to what understands Slack's ``{"text": ...}``.

    Examples:
        >>> Webhook(url="https://example.org", timeout=1).body("7c", {"event": "opened"})
        {'key': '7c', 'event': 'opened'}
    """

    name = "webhook"

    def __init__(self, *, url: str, timeout: float, token: str | None = None, format: Literal["json", "slack"] = "json") -> None:
        super().__init__(url=url, timeout=timeout, token=token)
        self._is_slack = format == "slack"

    def body(self, key: str, alert: Alert) -> dict[str, Any]:
        """See ``HttpChannel``."""
        if self._is_slack:
            return super().body(key, alert)
        return {"key": key, **alert}


class PagerDuty(HttpChannel):
    """Triggers an alert when an incident opens, and resolves it, by the same ``dedup_key``, when that closes.

    The Events API v2: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/

    Examples:
        >>> channel = PagerDuty(key="r0", url="https://events.pagerduty.com/v2/enqueue", timeout=1)
        >>> channel.body("", {"event": "closed", "incident_key": "7c"})
        {'routing_key': 'r0', 'event_action': 'resolve', 'dedup_key': '7c'}
    """

    name = "pagerduty"

    def __init__(self, *, key: str, url: str, timeout: float) -> None:
        super().__init__(url=url, timeout=timeout)
        self._routing_key = key

    def body(self, key: str, alert: Alert) -> dict[str, Any]:
        """See ``HttpChannel``."""
        action = "resolve" if alert["event"] == "closed" else "trigger"
        event = {"routing_key": self._routing_key, "event_action": action, "dedup_key": alert["incident_key"]}
        if action == "resolve":
            return event
        incident = alert["incident"]
        payload = {
            "summary": sentence(alert)[:PAGERDUTY_SUMMARY],
            "source": alert["source"],
            "severity": PAGERDUTY_SEVERITIES[incident["severity_level"]],
            "timestamp": alert["at"],
            "component": incident.get("series") or ", ".join(alert["columns"]),
            "class": "anomaly",
            "custom_details": {**facts(alert), "run": alert["run"]},
        }
        links = {"links": [{"href": alert["link"], "text": "look"}]} if alert["link"] else {}
        return {**event, "payload": payload, **links}


class Teams(HttpChannel):
    r"""Posts an alert as an Adaptive Card with a title, the particulars and a button for the link.

    The address is that of the workflow "Send webhook alerts to a channel":
    https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors

    Examples:
        >>> print(Teams.plain("web_1 *up* [x](http://y)"))
        web\_1 \*up\* \[x\](http://y)
    """

    name = "teams"

    def body(self, key: str, alert: Alert) -> dict[str, Any]:
        """See ``HttpChannel``."""
        colour = "good" if alert["event"] == "closed" else TEAMS_COLOURS[alert["incident"]["severity_level"]]
        title = {"type": "TextBlock", "text": self.plain(headline(alert)), "weight": "bolder", "size": "medium", "wrap": True}
        listed = [{"title": name, "value": self.plain(value)} for name, value in facts(alert).items()]
        actions = {"actions": [{"type": "Action.OpenUrl", "title": "Look", "url": alert["link"]}]} if alert["link"] else {}
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": [{**title, "color": colour}, {"type": "FactSet", "facts": listed}],
            **actions,
        }
        kind = "application/vnd.microsoft.card.adaptive"
        return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}

    @staticmethod
    def plain(text: str) -> str:
        """A text whose characters mean nothing to the markup of a card."""
        return re.sub(r"([\\`*_\[\]])", r"\\\1", text)


class Alertmanager(HttpChannel):
    """Fires an alert while an incident is open, and repeats it, so that it does not expire and a restart of the receiver forgets nothing.

    The API v2: https://prometheus.io/docs/alerting/latest/clients/

    The labels are the same for every incident of a series, so that silences hold; they name its severity, which may rise: the alert of the
    level before ends then.

    Examples:
        >>> labels({"source": "prometheus", "incident": {"series": 'up{job="node"}'}}, "high")
        {'series': 'up{job="node"}', 'job': 'node', 'alertname': 'Anomaly', 'source': 'prometheus', 'severity': 'high'}
    """

    name = "alertmanager"
    batch_size = 1000

    def __init__(self, *, url: str, timeout: float, repeat_seconds: float, token: str | None = None) -> None:
        super().__init__(url=url.rstrip("/") + "/api/v2/alerts", timeout=timeout, token=token)
        self.repeat_seconds = repeat_seconds

    def body(self, key: str, alert: Alert) -> list[dict[str, object]]:
        """See ``HttpChannel``: an alert for each level of severity that the incident had, of which the newest fires while it is open."""
        at, incident = datetime.fromisoformat(alert["at"]), alert["incident"]
        start = min(instant(incident["start"]) or at, at)
        end = max(start, min(instant(incident["end"]) or at, at))
        expires = datetime.now(UTC) + timedelta(seconds=FORGOTTEN_AFTER * self.repeat_seconds)
        firing = alert["levels"][-1] if alert["event"] == "opened" else None
        annotations = {
            "summary": sentence(alert),
            **{name.lower().replace(" ", "_"): value for name, value in facts(alert).items()},
        }
        return [
            {
                "labels": labels(alert, level),
                "annotations": {**annotations, "incident_key": alert["incident_key"], "run": alert["run"]},
                "startsAt": start.isoformat(),
                "endsAt": (expires if level == firing else end).isoformat(),
                **({"generatorURL": alert["link"]} if alert["link"] else {}),
            }
            for level in alert["levels"]
        ]

    def send_batch(self, alerts: Sequence[Alert]) -> DeliveryResult:
        """See ``Channel``: what ended together is told together, which a receiver that was away needs to tell of all of it."""
        return self._post([entry for alert in alerts for entry in self.body("", alert)], str(uuid.uuid4()))


def labels(alert: Alert, level: str) -> dict[str, str]:
    """The labels of an alert: those of its series, as /metrics has them, and ours."""
    name = what_of(alert).title().replace(" ", "")
    return {**labels_of(alert["incident"].get("series")), "alertname": name, "source": alert["source"], "severity": level}


def instant(text: str) -> datetime | None:
    """The moment that a time of a stream is, in UTC where it has no zone; None where it is a count.

    >>> instant("2025-02-15T10:00:00.123456789Z"), instant("41")
    (datetime.datetime(2025, 2, 15, 10, 0, 0, 123456, tzinfo=datetime.timezone.utc), None)
    """
    try:
        moment = datetime.fromisoformat(text) if "-" in text[1:] else None
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None
