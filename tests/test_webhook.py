"""The webhook's parts: a queue on disk that loses nothing, and a courier that gets alerts through to a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from autoencoder.reports.alerts import as_json
from hypothesis import given, settings
from hypothesis import strategies as st
from program import count_lines, wait_until
from webhook_server import (
    Behaviour,
    Say,
    WebhookServer,
    broken_headers,
    closed_port,
    endless_body,
    garbage,
    hang_up,
    isolate,
    silence,
    trickle,
)

from autoencoder.core.errors import ModelError, RunError
from autoencoder.reports.outbox import Spool
from autoencoder.reports.webhook import Courier, HttpPost, is_web_address, judged

quick = settings(deadline=None, max_examples=50, derandomize=True)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the sending depends on beside its arguments."""
    isolate(monkeypatch, tmp_path / "home")


# --- the queue on disk ---


def queued(spool: Spool) -> list[str]:
    """What waits, in order; the spool is finished and emptied for that."""
    spool.finish()
    found = []
    while head := spool.head():
        found.append(head[0])
        spool.settle(head[0], "delivered")
    return found


@quick
@given(st.lists(st.tuples(st.sampled_from(["put", "deliver", "refuse", "reopen", "kill"]), st.integers(0, 12)), max_size=40))
def test_whatever_happens_to_it_the_queue_loses_nothing_but_the_oldest_when_it_is_full(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "alerts.jsonl"
    spool, capacity = Spool(path, 4), 4
    run, waiting, seen, counts = spool.run, list[str](), set[str](), {"delivered": 0, "refused": 0, "dropped": 0}
    for step, number in steps:
        key = f"key {number}"
        if step == "put":
            has_room = spool.put(key, {"number": number})
            if key in waiting or (key in seen and has_room and spool.counts()["waiting"] == len(waiting)):
                continue  # known: remembered from before
            seen.add(key)
            waiting.append(key)
            assert has_room == (len(waiting) <= capacity)
            if not has_room:
                waiting.pop(0)
                counts["dropped"] += 1
        elif step in ("deliver", "refuse") and waiting:
            head = spool.head()
            assert head and head[0] == waiting.pop(0) and head[1] == {"number": int(head[0][4:])}
            outcome = "delivered" if step == "deliver" else "refused"
            spool.settle(head[0], outcome)  # type: ignore[arg-type]  # one of the two
            counts[outcome] += 1
        elif step == "reopen":
            spool.close()
            spool = Spool(path, capacity)
        elif step == "kill":  # nothing is closed, and the last line was only begun
            with path.open("ab") as file:
                file.write(b'{"key": "half a li')
            spool = Spool(path, capacity)
        assert spool.counts() == {**counts, "waiting": len(waiting)}
        assert spool.run == run
    assert queued(spool) == waiting
    spool.close()


def test_wherever_a_power_cut_ends_the_journal_what_stands_before_counts(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    spool = Spool(path, 10)
    first = path.stat().st_size
    spool.put("a", {"text": "one"})
    spool.put("b", {"text": "two"})
    assert spool.head()
    spool.settle("a", "delivered")
    spool.close()
    whole = path.read_bytes()
    for size in range(first, len(whole) + 1):
        path.write_bytes(whole[:size])
        lines = whole[:size].count(b"\n") + (whole[size : size + 1] == b"\n")  # a line is whole without its end
        assert queued(Spool(path, 10)) == [[], ["a"], ["a", "b"], ["b"]][lines - 1]


def test_the_journal_of_a_queue_stays_small_and_what_was_seen_is_not_queued_again(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    spool = Spool(path, 10)
    for number in range(1000):
        spool.put(str(number), {"text": "x" * 50})
        assert count_lines(path) <= 4 * 10 + 2
    assert spool.counts() == {"delivered": 0, "refused": 0, "dropped": 990, "waiting": 10}
    spool.close()
    again = Spool(path, 10)
    again.put("995", {})  # waits
    again.put("985", {})  # was dropped
    assert queued(again) == [str(number) for number in range(990, 1000)]
    again.put("995", {})  # is delivered
    assert again.counts()["waiting"] == 0


def test_an_alert_on_its_way_is_not_the_one_that_is_dropped(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "alerts.jsonl", 2)
    for key in ("a", "b"):
        assert spool.put(key, {})
    assert spool.head() == ("a", {})
    assert not spool.put("c", {})
    spool.release()
    assert queued(spool) == ["a", "c"]


def test_fewer_may_wait_after_a_restart_with_a_smaller_queue(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    spool = Spool(path, 5)
    for key in "abcde":
        spool.put(key, {})
    spool.close()
    smaller = Spool(path, 2)
    assert smaller.counts()["dropped"] == 3
    assert queued(smaller) == ["d", "e"]


@pytest.mark.parametrize("content", ["", "\n", "[]", "{}", '{"spool": 9}', '{"spool": 1, "run": "x"}', "\x00\x01", "[" * 5000])
def test_a_file_that_is_no_queue_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text(content)
    with pytest.raises(ModelError, match=r"alerts\.jsonl is damaged.*move it away"):
        Spool(path, 5)
    assert path.read_text() == content


def test_a_queue_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"alerts\.jsonl cannot be written \(.+\); free space"):
        Spool(tmp_path / "nowhere" / "alerts.jsonl", 5)


# --- addresses and answers ---


@quick
@given(st.text(st.characters(), max_size=30), st.sampled_from(["", "http://", "https://", "http://h:", "http://[", "//"]))
def test_any_text_is_an_address_or_not(text: str, scheme: str) -> None:
    if is_web_address(scheme + text):
        assert (scheme + text).isprintable() and (scheme + text).lower().startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("3", 3.0),
        (" 0 ", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00", 0.0),
        *((text, None) for text in ("", "soon", "-1", "1e9", "9" * 5000, "٣", "Wed, 99 Oct 2015 07:28:00 GMT", None)),
    ],
)
def test_the_time_a_receiver_asks_for_is_read_where_it_is_one(header: str | None, wait: float | None) -> None:
    assert judged(503, header).wait == wait
    later = judged(429, "Wed, 21 Oct 2999 07:28:00 GMT").wait
    assert later and later > 1e9


# --- the courier and a real server ---


class Sending:
    """A spool, a courier and what they said."""

    def __init__(self, folder: Path, url: str, *, token: str | None = None, deadline: float = 60.0, **options: float) -> None:
        self._lines: list[str] = []
        self.spool = Spool(folder / "alerts.jsonl", 100)
        post = HttpPost(url, token, as_json, options.pop("timeout", 20.0))
        times = {"retry": 0.01, "longest_retry": 0.02, **options}
        self.courier = Courier(post, self._lines.append, deadline=deadline, **times)

    @property
    def said(self) -> list[str]:
        """What was said, but for the line that a slow machine adds."""
        return [line for line in self._lines if not line.endswith(" more for them")]

    def send(self, *keys: str) -> dict[str, int]:
        """Queue and deliver alerts; how many were."""
        self.courier.start(self.spool)
        for key in keys:
            self.spool.put(key, {"event": "opened", "about": key})
        self.courier.stop()
        return {name: count for name, count in self.spool.counts().items() if count}


def keys_of(server: WebhookServer) -> list[str]:
    return [request.key for request in server.delivered]


def test_alerts_arrive_once_and_in_order_with_their_keys(tmp_path: Path) -> None:
    with WebhookServer() as server:
        sending = Sending(tmp_path, server.url("/hook?x=1"), token="t0ken")
        assert sending.send("a", "b", "c") == {"delivered": 3}
    assert [(request.key, request.body, request.path) for request in server.requests] == [
        (key, {"key": key, "event": "opened", "about": key}, "/hook?x=1") for key in "abc"
    ]
    headers = server.requests[0].headers
    assert (headers["Content-Type"], headers["Authorization"]) == ("application/json", "Bearer t0ken")
    assert sending.said == []


@pytest.mark.parametrize("fault", [500, 503, 408, 425, 429, hang_up, garbage, broken_headers, 302], ids=str)
def test_an_alert_that_fails_is_tried_again_with_the_same_key_until_it_gets_through(
    tmp_path: Path, fault: Behaviour | int
) -> None:
    with WebhookServer(first=[fault] * 3) as server:
        sending = Sending(tmp_path, server.url())
        assert sending.send("a", "b") == {"delivered": 2}
    assert [request.key for request in server.requests] == ["a"] * 4 + ["b"]
    assert len(sending.said) == 2
    assert sending.said[0].startswith("webhook: ") and "alerts wait in" in sending.said[0]
    assert sending.said[1] == "webhook: it answers again"


def test_an_alert_that_gets_no_answer_in_time_is_tried_again(tmp_path: Path) -> None:
    with WebhookServer(first=[silence]) as server:
        sending = Sending(tmp_path, server.url(), timeout=0.2)
        assert sending.send("a") == {"delivered": 1}
    assert [request.key for request in server.requests] == ["a", "a"]
    assert sending.said[0].startswith("webhook: no answer within 0.2 s")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_an_alert_that_is_refused_is_counted_and_not_sent_again(tmp_path: Path, status: int) -> None:
    with WebhookServer(first=[status, status]) as server:
        sending = Sending(tmp_path, server.url())
        assert sending.send("a", "b", "c") == {"delivered": 1, "refused": 2}
    assert [request.key for request in server.requests] == ["a", "b", "c"]
    assert sending.said == [
        f"webhook: it answered {status}; an alert that is refused is not sent again; check the address and the token"
    ]


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with WebhookServer() as elsewhere, WebhookServer(then=Say(307, {"Location": elsewhere.url()})) as server:
        sending = Sending(tmp_path, server.url(), token="t0ken", deadline=0.2)
        assert sending.send("a") == {"waiting": 1}
        assert elsewhere.requests == []
    assert "307, a redirect, which is not followed" in sending.said[0]


def test_what_was_not_delivered_waits_for_the_next_courier_and_has_the_same_key(tmp_path: Path) -> None:
    gone = Sending(tmp_path, f"http://127.0.0.1:{closed_port()}/", deadline=0.1)
    assert gone.send("a", "b") == {"waiting": 2}
    with WebhookServer() as server:
        assert Sending(tmp_path, server.url()).send("b", "c") == {"delivered": 3}
    assert keys_of(server) == ["a", "b", "c"]


def test_a_receiver_that_asks_for_time_is_left_alone_and_the_end_does_not_wait_for_it(tmp_path: Path) -> None:
    with WebhookServer(then=Say(429, {"Retry-After": "3600"})) as server:
        sending = Sending(tmp_path, server.url(), longest_retry=7200, deadline=600)  # a test that waited would time out
        sending.courier.start(sending.spool)
        sending.spool.put("a", {})
        server.wait_for(1)
        sending.courier.stop()
        assert sending.spool.counts()["waiting"] == 1
    assert len(server.requests) == 1


def test_the_time_a_receiver_asks_for_is_bounded(tmp_path: Path) -> None:
    with WebhookServer(first=[Say(503, {"Retry-After": "999999"})]) as server:
        assert Sending(tmp_path, server.url(), longest_retry=0.05).send("a") == {"delivered": 1}


def test_the_end_cuts_a_long_pause_short_for_one_more_try(tmp_path: Path) -> None:
    with WebhookServer(first=[500]) as server:
        sending = Sending(tmp_path, server.url(), retry=3000, longest_retry=3000)
        sending.courier.start(sending.spool)
        sending.spool.put("a", {})
        server.wait_for(1)
        sending.courier.stop()
        assert sending.spool.counts()["delivered"] == 1


@pytest.mark.parametrize("fault", [silence, trickle], ids=str)
def test_a_receiver_that_never_comes_to_the_point_is_left_behind(tmp_path: Path, fault: Behaviour) -> None:
    with WebhookServer(then=fault) as server:
        sending = Sending(tmp_path, server.url(), deadline=0.3)
        assert sending.send("a", "b") == {"waiting": 2}
        assert len(server.requests) == 1


def test_an_answer_without_end_is_taken_for_what_its_status_says(tmp_path: Path) -> None:
    with WebhookServer(then=endless_body) as server:
        assert Sending(tmp_path, server.url()).send("a", "b") == {"delivered": 2}


def test_nothing_is_taken_from_netrc_and_an_address_may_hold_a_user(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("machine 127.0.0.1 login someone password else\n")
    with WebhookServer() as server:
        for number, (url, token) in enumerate(
            [
                (server.url(), "t0ken"),
                (server.url(), None),
                (server.url().replace("//", "//user:w%20rd@"), None),
            ]
        ):
            folder = tmp_path / str(number)
            folder.mkdir()
            Sending(folder, url, token=token).send("a")
    assert [request.headers.get("Authorization") for request in server.requests] == [
        "Bearer t0ken",
        None,
        "Basic dXNlcjp3IHJk",
    ]


def test_a_post_that_breaks_down_does_not_end_the_courier(tmp_path: Path) -> None:
    with WebhookServer() as server:
        sending = Sending(tmp_path, "http://" + "a" * 100 + ".example/")  # too long for a name
        sending.courier.start(sending.spool)
        sending.spool.put("a", {})
        wait_until(lambda: bool(sending.said))
        sending.courier._post = HttpPost(server.url(), None, as_json, 20.0)
        sending.courier.stop()
    assert keys_of(server) == ["a"]


def test_stopping_twice_or_without_having_begun_does_no_harm(tmp_path: Path) -> None:
    with WebhookServer() as server:
        sending = Sending(tmp_path, server.url())
        sending.courier.stop()
        assert sending.send("a") == {"delivered": 1}
        sending.courier.stop()
