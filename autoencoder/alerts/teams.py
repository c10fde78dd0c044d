"""Teams: alerts for a channel there, as Adaptive Cards that a workflow posts.

The workflow is "Send webhook alerts to a channel" (https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors).
"""

from __future__ import annotations

import re
from typing import Any

from autoencoder.alerts.http import HttpChannel
from autoencoder.alerts.message import facts, headline
from autoencoder.alerts.outbox import Alert

COLOURS = {"critical": "attention", "high": "attention", "medium": "warning", "low": "accent"}
CARD = "application/vnd.microsoft.card.adaptive"


class Teams(HttpChannel):
    """Posts an alert as a card with a title, the particulars and a button for the link.

    Examples:
        >>> Teams(url="https://prod-1.westeurope.logic.azure.com/workflows/x", timeout=1).name
        'teams'
    """

    name = "teams"

    def body(self, key: str, alert: Alert) -> object:
        """See ``HttpChannel``."""
        colour = "good" if alert["event"] == "closed" else COLOURS[alert["incident"]["severity_level"]]
        title = {"type": "TextBlock", "text": plain(headline(alert)), "weight": "bolder", "size": "medium", "wrap": True}
        listed = [{"title": name, "value": plain(value)} for name, value in facts(alert).items()]
        card: dict[str, Any] = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": [{**title, "color": colour}, {"type": "FactSet", "facts": listed}],
        }
        if alert["link"]:
            card["actions"] = [{"type": "Action.OpenUrl", "title": "Look", "url": alert["link"]}]
        return {"type": "message", "attachments": [{"contentType": CARD, "contentUrl": None, "content": card}]}


def plain(text: str) -> str:
    r"""A text whose characters mean nothing to the markup of a card.

    >>> print(plain("web_1 *up* [x](http://y)"))
    web\_1 \*up\* \[x\](http://y)
    """
    return re.sub(r"([\\`*_\[\]])", r"\\\1", text)
