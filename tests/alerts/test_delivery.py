"""Delivery: the sender gets alerts through to a real server, whatever that does."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import webhook_server as receiver
from helpers.cli import wait_until
from helpers.webhook_server import Behaviour, Say, WebhookServer, isolate

from autoencoder.alerts.http import Webhook, read_answer
from autoencoder.alerts.outbox import Outbox
from autoencoder.alerts.sender import Sender, Waits


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        *(("3", 3.0), ("Wed, 21 Oct 2999 07:28:00 GMT", 1e9), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("9" * 5000, 0.0)),
        *((text, 0.0) for text in (" 0 ", "", "soon", "-1", "1e9", "٣", "Wed, 99 Oct 2015 07:28:00 GMT", None)),
    ],
)
def test_retry_after_is_read_where_it_is_one(header: str | None, wait: float) -> None:
    assert read_answer(503, header).wait == wait


environment = pytest.fixture(autouse=True)(isolate)


class Sending:
    """An outbox, a sender and what they said."""

    def __init__(self, folder: Path, url: str, *, token: str | None = None, timeout: float = 20.0, **waits: float) -> None:
        self._lines: list[str] = []
        self.outbox = Outbox(folder / "alerts.sqlite", 100)
        self._waits = Waits(**{"backoff": 0.01, "max_backoff": 0.02, "drain": 60.0, **waits})
        self._channel = Webhook(url=url, token=token, timeout=timeout)

    @property
    def said(self) -> list[str]:
        """What was said, but for the line that a slow machine adds."""
        return [line for line in self._lines if not line.endswith(" more for them")]

    def begin(self, *keys: str) -> None:
        """Start, and queue alerts."""
        self.sender = Sender(self._channel, self.outbox, self._lines.append, self._waits)
        for key in keys:
            self.outbox.put("webhook", key, {"event": "opened", "about": key})

    def send(self, *keys: str) -> dict[str, int]:
        """Queue and deliver alerts; how many were."""
        self.begin(*keys)
        return self.stop()

    def stop(self) -> dict[str, int]:
        """End it; how many alerts ended how."""
        self.sender.stop()
        self.sender.silence()
        self.outbox.close()
        return {name: count for name, count in self.outbox.counts()["webhook"].items() if count}


def keys_of(server: WebhookServer) -> str:
    return "".join(request.key for request in server.requests)


def test_alerts_arrive_once_in_order_with_their_keys(tmp_path: Path) -> None:
    with WebhookServer() as server:
        sending = Sending(tmp_path, server.url("/hook?x=1"), token="t0ken")
        assert sending.send("a", "b", "c") == {"delivered": 3}
    assert [(request.key, request.body, request.path) for request in server.requests] == [
        (key, {"key": key, "event": "opened", "about": key}, "/hook?x=1") for key in "abc"
    ]
    headers = server.requests[0].headers
    assert (headers["Content-Type"], headers["Authorization"]) == ("application/json", "Bearer t0ken")
    assert sending.said == []


@pytest.mark.parametrize(
    "fault",
    [500, 503, 408, 425, 429, 302, receiver.hang_up, receiver.garbage, receiver.broken_headers, receiver.silence],
    ids=lambda fault: getattr(fault, "__name__", str(fault)),
)
def test_an_alert_is_tried_until_it_gets_through(tmp_path: Path, fault: Behaviour | int) -> None:
    with WebhookServer(first=[fault] * 3) as server:
        sending = Sending(tmp_path, server.url(), timeout=0.3 if fault is receiver.silence else 20.0)
        assert sending.send("a", "b") == {"delivered": 2}
    assert keys_of(server) == "aaaab"
    assert sending.said[0].startswith("webhook: ") and "alerts wait in" in sending.said[0]
    assert sending.said[1:] == ["webhook: it answers again"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_a_refused_alert_is_not_sent_again(tmp_path: Path, status: int) -> None:
    with WebhookServer(first=[status, status]) as server:
        sending = Sending(tmp_path, server.url())
        assert sending.send("a", "b", "c") == {"delivered": 1, "refused": 2}
    assert keys_of(server) == "abc"
    advice = "an alert that is refused is not sent again; check the address and the token"
    assert sending.said == [f"webhook: it answered {status}; {advice}"]


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with WebhookServer() as elsewhere, WebhookServer(then=Say(307, {"Location": elsewhere.url()})) as server:
        sending = Sending(tmp_path, server.url(), token="t0ken", drain=0.2)
        assert (sending.send("a"), elsewhere.requests) == ({"waiting": 1}, [])
    assert "307, a redirect, which is not followed" in sending.said[0]


@pytest.mark.parametrize(
    ("answer", "options", "left"),
    [
        # a test that waited would time out
        (Say(429, {"Retry-After": "3600"}), {"max_backoff": 7200, "drain": 600}, {"waiting": 1}),
        (500, {"backoff": 3000, "max_backoff": 3000}, {"delivered": 1}),  # the end cuts a pause short for one more try
        (Say(503, {"Retry-After": "999999"}), {"max_backoff": 0.05}, {"delivered": 1}),  # what it may ask for is bounded
    ],
)
def test_the_end_does_not_wait_for_a_busy_receiver(
    tmp_path: Path, answer: Behaviour | int, options: dict[str, float], left: dict[str, int]
) -> None:
    with WebhookServer(first=[answer]) as server:
        sending = Sending(tmp_path, server.url(), **options)
        sending.begin("a")
        server.wait_for(1)
        wait_until(lambda: bool(sending.said))  # it has read the answer
        assert sending.stop() == left


@pytest.mark.parametrize(
    ("answer", "left", "requests"),
    [(receiver.silence, "waiting", 1), (receiver.trickle, "waiting", 1), (receiver.endless_body, "delivered", 2)],
)
def test_an_answer_without_end_holds_nothing_up(tmp_path: Path, answer: Behaviour, left: str, requests: int) -> None:
    with WebhookServer(then=answer) as server:
        assert Sending(tmp_path, server.url(), drain=0.5 if requests == 1 else 60.0).send("a", "b") == {left: 2}
        assert len(server.requests) == requests


def test_netrc_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.netrc").write_text("machine 127.0.0.1 login someone password else\n")
    with WebhookServer() as server:
        user = server.url().replace("//", "//user:w%20rd@")
        for url, token in ((server.url(), "t0ken"), (server.url(), None), (user, None)):
            Webhook(url=url, token=token, timeout=20.0).send("a", {}, bytes)
    sent = [request.headers.get("Authorization") for request in server.requests]
    assert sent == ["Bearer t0ken", None, "Basic dXNlcjp3IHJk"]


def test_a_post_that_breaks_down_does_not_end_the_sender(tmp_path: Path) -> None:
    with WebhookServer() as server:
        sending = Sending(tmp_path, "http://" + "a" * 100 + ".example/")  # too long for a name
        sending.begin("a")
        wait_until(lambda: bool(sending.said))
        sending.sender._channel = Webhook(url=server.url(), timeout=20.0)
        assert sending.stop() == {"delivered": 1}


def test_a_full_disk_ends_the_sending(tmp_path: Path) -> None:
    with WebhookServer() as server:
        sending = Sending(tmp_path, server.url())
        sending.outbox.put("webhook", "a", {"event": "opened"})
        sending.outbox._db.execute("PRAGMA query_only = 1")
        assert sending.send() == {"waiting": 1}
        assert Sending(tmp_path, server.url()).send() == {"delivered": 1}
    assert keys_of(server) == "aa"
    assert sending.said[0].endswith("go on with --resume; no more alerts are sent")
