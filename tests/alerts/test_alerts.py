"""Alerts of whole runs: every alarm is told of, whatever the receiver does and however the run ends, and no secret with it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from helpers import cli
from helpers import webhook_server as receiver
from helpers.cli import Outcome, Program, count_lines, finish, incidents, kill_again_and_again, metrics, start, wait_until
from helpers.webhook_server import VARIABLE, WebhookServer, closed_port, isolate

environment = pytest.fixture(autouse=True)(isolate)
DETECTION = (*cli.GAUSSIAN, "--set", "training.points=500", "--set", "incidents.cooldown=20")
POINTS = 2000


def webhook(**settings: object) -> tuple[str, ...]:
    """Options that switch the webhook on, with these settings."""
    chosen = {"enabled": "true", "drain_seconds": 30, "backoff": 0.01, "max_backoff": 0.05, **settings}
    own = ("enabled", "url_env", "token_env", "format")
    return settings_of({f"webhook.{name}" if name in own else name: value for name, value in chosen.items()})


def settings_of(alerts: Mapping[str, object]) -> tuple[str, ...]:
    """Options that change these settings of the alerts."""
    return tuple(text for name, value in alerts.items() for text in ("--set", f"alerts.{name}={value}"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A wave with a spike now and then, each higher than the last, or they would be a habit: alarms, and incidents that are none."""
    values = cli.wave(POINTS)
    for number, row in enumerate(range(600, POINTS, 150)):
        values[row] += 40 * 1.4**number
    return cli.write_csv(tmp_path / "load.csv", range(POINTS), values)


def score(program: Program, table: Path, *options: str) -> Outcome:
    """A run over the file; into the folder o, if no other is given."""
    return program("--source", "csv", "--path", table, *DETECTION, "--out", "o", *options)


def told(folder: Path, *, alarms_only: bool = True) -> list[tuple[int, str]]:
    """Every event of which a run's incidents ask to be told, in order."""
    found = [incident["id"] for incident in incidents(folder) if incident["alarm"] or not alarms_only]
    assert len(found) >= 10
    return [(number, event) for number in found for event in ("opened", "closed")]


def events(server: WebhookServer) -> list[tuple[int, str]]:
    """The events that a server was told of and took, in order; a key stands for one event, and an event has one key."""
    sent = {(each.key, each.body["run"], each.body["incident"]["id"], each.body["event"]) for each in list(server.requests)}
    assert len({each[0] for each in sent}) == len({each[1:] for each in sent}) == len(sent)
    assert all(each.key == each.body["key"] for each in list(server.requests))
    return [(each.body["incident"]["id"], each.body["event"]) for each in server.delivered]


def test_every_alarm_is_told_of_twice(program: Program, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with WebhookServer() as server:
        monkeypatch.setenv(VARIABLE, server.url())
        outcome = score(program, table, *webhook())
    expected = told(Path("o"))
    assert (outcome.code, events(server)) == (0, expected), outcome.err
    assert f"webhook: {len(expected)} alerts delivered" in outcome.err.splitlines()
    assert metrics(Path("o"))["alerts"] == {"delivered": len(expected), "refused": 0, "dropped": 0, "waiting": 0}
    assert not Path("o/alerts.sqlite").exists()
    closed = next(request.body for request in server.requests if request.body["event"] == "closed")
    assert closed["incident"] == next(line for line in incidents(Path("o")) if line["id"] == closed["incident"]["id"])
    assert (closed["source"], closed["columns"]) == ("load.csv", ["value"])


RARELY = ("--set", "incidents.cooldown=300")  # so that some incidents are no alarms


def test_every_incident_is_told_of_if_asked_for(program: Program, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with WebhookServer() as server:
        monkeypatch.setenv("MY_HOOK", server.url())
        assert score(program, table, *webhook(alarms_only="false", url_env="MY_HOOK", format="slack"), *RARELY).code == 0
    assert len({request.key for request in server.requests}) == len(server.requests)
    assert len(server.requests) == len(told(Path("o"), alarms_only=False))
    assert not all(incident["alarm"] for incident in incidents(Path("o")))
    assert all(set(request.body) == {"text"} and "load.csv" in request.body["text"] for request in server.requests)


def test_the_log_can_be_switched_off(program: Program, table: Path) -> None:
    assert score(program, table).code == score(program, table, "--set", "alerts.log=false", "--out", "p").code == 0
    lines = Path("o/anomalies.log").read_text().splitlines()
    assert [line.split(" ")[0] for line in lines] == [incident["start"] for incident in incidents(Path("o"))]
    assert metrics(Path("o"))["alerts"] is None
    assert not Path("p/anomalies.log").exists()


def test_a_receiver_that_is_gone_gets_the_rest_later(program: Program, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{closed_port()}/hook")
    outcome = score(program, table, *webhook(drain_seconds=0.1))
    expected = told(Path("o"))
    said = outcome.err.splitlines()
    assert "webhook: no connection, or it broke off; alerts wait in o/alerts.sqlite and are sent as soon as it answers" in said
    waiting = f"webhook: 0 alerts delivered, {len(expected)} waiting in o/alerts.sqlite; --resume sends them"
    assert outcome.code == 0 and waiting in said
    assert (metrics(Path("o"))["status"], metrics(Path("o"))["alerts"]["waiting"]) == ("done", len(expected))
    assert len(cli.rows(Path("o"))) == POINTS

    def content() -> dict[str, bytes]:
        files = (path for path in Path("o").iterdir() if not path.name.startswith(("alerts", "metrics")))
        return {path.name: path.read_bytes() for path in files}

    before = content()
    still_gone = program("--resume", "--out", "o")
    assert (still_gone.code, still_gone.err.splitlines()[-1]) == (1, waiting)
    with WebhookServer() as server:
        monkeypatch.setenv(VARIABLE, server.url())
        outcome = program("--resume", "--out", "o", "--set", "alerts.drain_seconds=30")
        assert (outcome.code, outcome.err.splitlines()[-1]) == (0, f"webhook: {len(expected)} alerts delivered")
    assert events(server) == expected
    assert metrics(Path("o"))["alerts"]["waiting"] == 0 and not Path("o/alerts.sqlite").exists()
    assert content() == before
    assert "is done" in program("--resume", "--out", "o").err


def test_a_full_queue_drops_the_oldest(program: Program, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{closed_port()}/hook")
    outcome = score(program, table, *webhook(max_queue=5, drain_seconds=0.1))
    expected = told(Path("o"))
    assert outcome.code == 0
    assert outcome.err.count("5 alerts wait, which is all there is room for; the oldest are dropped") == 1
    assert metrics(Path("o"))["alerts"] == {"delivered": 0, "refused": 0, "dropped": len(expected) - 5, "waiting": 5}
    with WebhookServer() as server:
        monkeypatch.setenv(VARIABLE, server.url())
        assert program("--resume", "--out", "o", "--set", "alerts.drain_seconds=30").code == 0
    assert events(server)[-4:] == expected[-4:] and len(events(server)) == 5  # the first may have been on its way


@pytest.mark.slow
def test_a_silent_receiver_does_not_hold_up_the_run(table: Path, tmp_path: Path) -> None:
    with WebhookServer(then=receiver.silence) as server:
        arguments = ("--source", "csv", "--path", table, *DETECTION, *webhook(), "--out", "o")
        process = start(*arguments, folder=tmp_path, env={**os.environ, VARIABLE: server.url()})
        assert process.stderr
        assert re.fullmatch(r"webhook: [1-9]\d* alerts wait; at most 30 s more for them\n", process.stderr.readline())
        assert count_lines(tmp_path / "o/scores.csv") == POINTS + 1
        assert len(server.requests) == 1 and not server.delivered
        process.send_signal(signal.SIGINT)  # the stream is over; only the receiver was waited for
        outcome = finish(process)
    assert outcome.code == 0, outcome.err
    assert "waiting in o/alerts.sqlite; --resume sends them" in outcome.err
    assert metrics(tmp_path / "o")["status"] == "done"


TOKEN = "alerts.webhook.token_env=HOOK_TOKEN"


@pytest.mark.parametrize(
    ("url", "token", "option", "words"),
    [
        (None, None, None, ["alerts.webhook.url_env", VARIABLE, "not set"]),
        ("  ", None, None, [VARIABLE, "not set"]),
        ("ftp://s3cr3t.example", None, None, [VARIABLE, "no http or https address"]),
        ("http://s3cr3t.example:x", None, None, [VARIABLE, "no http or https address"]),
        ("http://h/s3cr3t\nx", None, None, [VARIABLE, "holds characters"]),
        ("http://h", None, TOKEN, ["token_env", "HOOK_TOKEN", "not set"]),
        ("http://h", "s3cr3t\r\nX: y", TOKEN, ["HOOK_TOKEN", "holds characters"]),
        (None, None, "alerts.webhook.url_env='https://h/s3cr3t'", ["alerts.webhook.url_env", "environment variable"]),
        (None, None, "alerts.webhook.token_env=s3cr3t", ["alerts.webhook.token_env", "environment variable"]),
        (None, None, "alerts.webhook.url='https://h/s3cr3t'", ["alerts.webhook.url is not a setting"]),
    ],
)
def test_a_webhook_without_its_variables_is_refused(
    program: Program, monkeypatch: pytest.MonkeyPatch, url: str | None, token: str | None, option: str | None, words: list[str]
) -> None:
    for name, value in ((VARIABLE, url), ("HOOK_TOKEN", token)):
        if value:
            monkeypatch.setenv(name, value)
    outcome = program(*DETECTION, *webhook(), *(("--set", option) if option else ()), "--out", "o")
    assert outcome.code == 2
    assert all(word in outcome.error for word in words), outcome.error
    assert "s3cr3t" not in outcome.error
    assert not Path("o").exists()


BROKEN = [receiver.garbage, receiver.hang_up, receiver.broken_headers]
FAULTS: list[receiver.Behaviour | int] = [200, 500, 404, 301, *BROKEN, receiver.Say(503, {"Retry-After": "1"})]


@pytest.mark.parametrize("is_there", [True, False])
def test_no_secret_is_in_any_file_or_line(table: Path, tmp_path: Path, is_there: bool) -> None:
    secrets = ("t0pS3cret", "pa55w0rd", "qu3ryK3y", "b34r3r")
    with WebhookServer(first=FAULTS, then=500) as server:
        port = server.port if is_there else closed_port()
        url = f"http://user:{secrets[1]}@127.0.0.1:{port}/services/{secrets[0]}?key={secrets[2]}"
        variables = {**os.environ, VARIABLE: url, "HOOK_TOKEN": secrets[3]}
        first = ("--source", "csv", "--path", table, *DETECTION, *webhook(token_env="HOOK_TOKEN", drain_seconds=0.5))
        outcomes = [
            finish(start(*arguments, "--verbose", "--out", "o", folder=tmp_path, env=variables))
            for arguments in (first, ["--resume"])
        ]
    assert [outcome.code for outcome in outcomes] == [0, 1]
    if is_there:
        sent = server.requests[0]
        assert sent.path == f"/services/{secrets[0]}?key={secrets[2]}" and sent.headers["Authorization"] == f"Bearer {secrets[3]}"
    texts = [text.encode() for outcome in outcomes for text in (outcome.out, outcome.err)]
    files = [path for path in (tmp_path / "o").rglob("*") if path.is_file()]
    assert {"alerts.sqlite", "config.yaml", "metrics.json", "anomalies.log"} <= {path.name for path in files}
    for content in (*texts, *(path.read_bytes() for path in files)):
        assert not [secret for secret in (*secrets, f":{port}") if secret.encode() in content]


def follow(table: Path, *options: str) -> tuple[object, ...]:
    """Arguments of a run that reads a file as it grows."""
    grows = ("--follow", "--set", "csv.poll_seconds=0.005", "--out", "o")
    return ("--source", "csv", "--path", table, *DETECTION, *webhook(), *grows, *options)


def test_a_run_killed_again_and_again_tells_of_all(
    program: Program, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = ("--set", "checkpoint.every=400")
    assert score(program, table, *often, "--out", "whole").code == 0
    arguments = follow(tmp_path / "growing.csv", *often)
    with WebhookServer(first=[200, 500, receiver.hang_up] * 6) as server:
        monkeypatch.setenv(VARIABLE, server.url())
        ends = (250, 900, 1350, POINTS)  # the first is in the training part, before any checkpoint
        outcome = kill_again_and_again(table, arguments, ends, signal.SIGINT)
    assert outcome.code == 130, outcome.err
    for name in ("scores.csv", "incidents.jsonl", "anomalies.log"):
        assert (tmp_path / "o" / name).read_bytes() == Path("whole", name).read_bytes(), name
    expected = told(Path("whole"))
    assert set(events(server)) | {expected[-1]} == set(expected)  # the last one may be open where the file ends
    assert metrics(tmp_path / "o")["alerts"]["waiting"] == 0


def test_an_incident_open_at_the_cut_is_closed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = cli.wave(900)
    values[800] += 40
    table = cli.write_csv(tmp_path / "load.csv", range(801), values[:801])

    def stop_when(reached: Callable[[], bool], *arguments: object) -> None:
        process = start(*arguments, folder=tmp_path)
        wait_until(reached, process)
        process.send_signal(signal.SIGTERM)
        assert finish(process).code == 0

    with WebhookServer() as server:
        monkeypatch.setenv(VARIABLE, server.url())
        stop_when(lambda: count_lines(tmp_path / "o/scores.csv") == 802, *follow(table))
        opened = events(server)[-1]
        assert opened[1] == "opened"
        cli.write_csv(table, range(900), values)
        stop_when(lambda: (opened[0], "closed") in events(server), "--resume", "--out", "o")
    assert events(server).count(opened) == events(server).count((opened[0], "closed")) == 1
