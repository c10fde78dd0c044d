"""The server as its clients meet it."""

from __future__ import annotations

import gzip
import json
import re
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.cli import Program, assert_refused, finish, incidents, metrics, rows, start, wait_until, write_csv
from helpers.http import GAUSSIAN, LINES, Client, start_server

from autoencoder.config import load
from autoencoder.serve.command import listen
from serve.conftest import Served

Points = Callable[..., list[dict[str, Any]]]
COLUMNS = ("time", "value", "prediction", "error", "threshold", "score", "series")


def as_row(detection: dict[str, Any]) -> dict[str, str]:
    """A detection of an answer as a row of scores.csv."""
    numbers = {key: detection[key] for key in COLUMNS}
    return {key: "" if value is None else str(value) for key, value in numbers.items()} | {
        "anomaly": str(int(detection["anomaly"]))
    }


def test_answers_are_the_rows_of_scores_csv(served: Served, points: Points) -> None:
    found = served.client.judge([*points("one", 0, 110), *points("two", 0, 70)])
    found += served.client.judge(points("one", 110, 140, odd=130))
    found += served.client.judge(points("one", 140, 141))
    own = [row for row in rows(served.folder) if row["series"] in ("one", "two")]
    for row, detection in zip(own, found, strict=True):
        assert float(row["error"] or "nan") == pytest.approx(detection["error"] or float("nan"), nan_ok=True)
        assert {**row, **dict.fromkeys(("prediction", "error", "threshold", "score"), "")} == {
            **as_row(detection),
            **dict.fromkeys(("prediction", "error", "threshold", "score"), ""),
        }
    flagged = [detection for detection in found if detection["anomaly"]]
    assert [one["value"] for one in flagged][:1] == [900.0]
    assert not any(one["seen"] for one in found)
    assert served.client.get("/detections?series=one&limit=5")["detections"] == [{**one, "seen": True} for one in found[-5:]]
    odd = served.client.get("/detections?series=one&anomalies=true")["detections"]
    assert odd == [{**one, "seen": True} for one in flagged]
    assert served.client.get("/detections?series=two&anomalies=true")["detections"] == []
    about = served.client.get("/series?after=on&limit=1")["series"]
    assert about == [{"series": "one", "points": 141, "judged": 41, "flagged": len(flagged), "left_out": None}]
    (incident,) = served.client.get("/incidents?series=one")["incidents"]
    assert incident == next(each for each in incidents(served.folder) if each["series"] == "one")
    assert incident["peak_value"] == 900.0
    assert served.client.get(f"/incidents?series=one&is_open={incident['status'] == 'open'}")["incidents"] == [incident]
    assert served.client.get("/incidents?series=two")["incidents"] == []
    assert 'autoencoder_points_total{series="one"} 141.0' in served.client.get("/metrics")


def test_a_request_that_is_sent_again_changes_nothing(served: Served, points: Points) -> None:
    first = served.client.judge(points("again", 0, 40))
    count = served.client.get("/health")["rows"]
    assert served.client.judge(points("again", 0, 40)) == [{**one, "seen": True} for one in first]
    assert served.client.get("/health")["rows"] == count
    mixed = served.client.judge(points("again", 35, 45))
    assert [one["seen"] for one in mixed] == [True] * 5 + [False] * 5
    status, answer = served.client.post([*points("again", 45, 46), {**points("again", 44, 45)[0], "series": "other-again"}])
    assert status == 200
    for wrong, words in (({"value": 5.0}, "came before with the value"), ({"time": 1_700_000_001}, "and none of this time")):
        status, answer = served.client.post([*points("new-again", 0, 1), {**points("again", 44, 45)[0], **wrong}])
        assert status == 409
        assert answer["line"] == 2 and words in answer["detail"]
    names = [each["series"] for each in served.client.get("/series")["series"]]
    assert "other-again" in names and "new-again" not in names


def test_requests_at_once_are_taken_once(served: Served, points: Points) -> None:
    answers: list[list[dict[str, Any]]] = []

    def send() -> None:
        client = Client(served.port)
        answers.append([one for first in range(0, 60, 3) for one in client.judge(points("rush", first, first + 3))])

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = [row["time"] for row in rows(served.folder) if row["series"] == "rush"]
    assert len(times) == len(set(times)) == 60
    assert sum(not one["seen"] for answer in answers for one in answer) == 60
    assert [sorted(one["time"] for one in answer) for answer in answers] == [sorted(times)] * 4


def test_points_without_a_time_get_that_of_the_server(served: Served) -> None:
    found = served.client.judge([{"series": "now", "value": 1}, {"series": "now", "value": None}])
    found += served.client.judge([{"series": "now", "value": 3}])
    times = np.array([one["time"].removesuffix("Z") for one in found], "datetime64[ns]")
    assert (np.diff(times).astype(int) > 0).all()
    assert [one["value"] for one in found] == [1.0, None, 3.0]


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b'{"value": 1}\n{"value": "2"}', {"Content-Type": LINES}, 422, "line 2: value is '2'"),
        (b'{"value": 1}', {"Content-Type": "text/csv"}, 415, "the content type is 'text/csv'"),
        (b"x" * 200_000, {"Content-Type": LINES}, 413, "at most 100,000 bytes"),
        (gzip.compress(b" " * 10**6), {"Content-Type": LINES, "Content-Encoding": "gzip"}, 413, "at most 100,000 bytes"),
        (b'{"value": 1}\n' * 501, {"Content-Type": LINES}, 413, "more than 500"),
        (
            b"\n".join(b'{"series": "s%d", "value": 1}' % each for each in range(61)),
            {"Content-Type": LINES},
            409,
            "serve.max_series",
        ),
    ],
)
def test_what_is_wrong_is_refused_whole(served: Served, body: bytes, headers: dict[str, str], status: int, words: str) -> None:
    count = served.client.get("/health")["rows"]
    found, problem = served.client.ask("POST", "/points", body, **headers)
    assert (found, problem["status"]) == (status, status)
    assert words in problem["detail"]
    assert served.client.get("/health")["rows"] == count


def test_gzip_is_taken(served: Served) -> None:
    body = gzip.compress(b'{"series": "zip", "value": 1}')
    status, answer = served.client.ask("POST", "/points", body, **{"Content-Type": LINES, "Content-Encoding": "gzip"})
    assert status == 200 and answer["detections"][0]["series"] == "zip"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/detections?series=nobody", 404, "there is no series 'nobody'"),
        ("/detections", 422, "series: Field required"),
        ("/incidents?limit=0", 422, "limit: "),
        ("/events?series=nobody", 404, "there is no series"),
        ("/point", 404, "there are /detections, /events"),
    ],
)
def test_queries_that_mean_nothing(served: Served, path: str, status: int, words: str) -> None:
    found, problem = served.client.ask("GET", path)
    assert found == status and words in problem["detail"]


def test_feedback_holds_back_what_is_alike(served: Served, points: Points) -> None:
    def say(number: int, said: dict[str, Any]) -> tuple[int, Any]:
        body = json.dumps(said).encode()
        return served.client.ask("POST", f"/incidents/{number}/feedback", body, **{"Content-Type": "application/json"})

    served.client.judge(points("labelled", 0, 180, odd=130))
    first = served.client.get("/incidents?series=labelled")["incidents"][0]
    assert first["alarm"] and first["status"] == "closed"
    status, answer = say(first["id"], {"label": False, "for": "90d", "note": "the backup"})
    assert (status, answer["incident"], answer["note"]) == (200, first["id"], "the backup")
    served.client.judge(points("labelled", 180, 230, odd=210))
    later = served.client.get("/incidents?series=labelled")["incidents"][-1]
    assert (later["peak_value"], later["alarm"], later["silenced_by"]) == (900.0, False, f"the label of incident {first['id']}")
    assert "has no incident 999999; they are 1 to " in say(999_999, {"label": False})[1]["detail"]
    assert (
        say(first["id"], {"label": False, "for": "soon"})[0]
        == say(first["id"], {"label": "no"})[0]
        == say(first["id"], {})[0]
        == 422
    )


def test_events_tell_of_flags_and_incidents(served: Served, points: Points) -> None:
    served.client.judge(points("told", 0, 110))
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as listener:
        listener.sendall(b"GET /events?series=told HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b""
        while b": events follow" not in text:
            text += listener.recv(4096)
        served.client.judge([*points("told", 110, 112, odd=111), *points("untold", 0, 1)])
        while b'"status": "open"' not in text:
            text += listener.recv(4096)
    data = [json.loads(each) for each in re.findall(r"data: (\{.*\})", text.decode())]
    assert data[0] == served.client.get("/detections?series=told&anomalies=true")["detections"][0]
    assert data[1] == served.client.get("/incidents?series=told")["incidents"][0]


@pytest.mark.slow
def test_an_answer_does_not_wait_for_the_client() -> None:
    with listen(load(None, {"serve.port": 0}).serve) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_stop_and_go_on(tmp_path: Path, points: Points) -> None:
    columns = ("--column", "value", "--column", "load", *GAUSSIAN, "--set", "training.points=70")
    arguments = (*columns, "--set", "checkpoint.every=30", "--set", "serve.fsync=true")

    def both(first: int, end: int) -> list[dict[str, Any]]:
        return [{**point, "load": point["value"] / 2} for point in points("a", first, end, odd=105)]

    whole, port = start_server(tmp_path, *arguments, out="whole")
    wanted = [Client(port).judge(both(first, first + 10)) for first in range(0, 120, 10)]
    whole.send_signal(signal.SIGINT)
    assert finish(whole).code == 130
    found = []
    for first, number in ((0, signal.SIGTERM), (10, signal.SIGKILL), (110, signal.SIGTERM)):
        process, port = start_server(tmp_path, *arguments)
        end = {0: 10, 10: 110, 110: 120}[first]
        found += [Client(port).judge(both(each, each + 10)) for each in range(first, end, 10)]
        process.send_signal(number)
        assert finish(process).code == (0 if number == signal.SIGTERM else -number)
    assert found == wanted
    for name in ("scores.csv", "incidents.jsonl", "anomalies.log"):
        assert (tmp_path / "o" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert metrics(tmp_path / "o")["counts"] == metrics(tmp_path / "whole")["counts"]
    assert "goes on after 110 points" in (tmp_path / "log").read_text()
    assert "the same command goes on" in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_a_model_judges_the_series_that_it_knows_at_once(tmp_path: Path, points: Points) -> None:
    known = points("web", 0, 300)
    write_csv(
        tmp_path / "x.csv", *zip(*((each["time"], each["value"], "web") for each in known), strict=True), header="time,value,host"
    )
    assert finish(start("train", "x.csv", "--series-column", "host", *GAUSSIAN, "--out", "m", folder=tmp_path)).code == 0
    for first in (300, 320):  # the same command goes on
        process, port = start_server(tmp_path, "--detector", "windowed_gaussian", "--model", "m")
        found = Client(port).judge([*points("web", first, first + 20, odd=first + 3), *points("other", first, first + 20)])
        process.send_signal(signal.SIGTERM)
        assert finish(process).code == 0
        assert [row for row, one in enumerate(found) if one["anomaly"]][:1] == [3]
        assert found[0]["score"] is not None
    assert found[20]["score"] is None and found[39]["score"] is not None


@pytest.mark.slow
def test_a_series_that_falls_silent_is_an_incident_while_others_go_on(tmp_path: Path, points: Points) -> None:
    process, port = start_server(tmp_path, *GAUSSIAN, "--set", "rules=[{series: quiet, no_data: 1 s}]")
    client, row = Client(port), 110

    def quick(series: str, first: int, end: int) -> list[dict[str, Any]]:
        return [{**each, "time": 1_700_000_000 + row / 10} for row, each in enumerate(points(series, first, end), first)]

    client.judge([*quick("quiet", 0, 110), *quick("loud", 0, 110)])

    def has_come() -> bool:
        nonlocal row
        client.judge(quick("loud", row, row := row + 1))
        return bool(client.get("/incidents?series=quiet")["incidents"])

    wait_until(has_come, process)
    (incident,) = client.get("/incidents?is_open=true&series=quiet")["incidents"]
    assert incident["kind"] == "no data"
    process.terminate()
    assert finish(process).code == 0


@pytest.mark.slow
def test_a_token_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_TOKEN", "s3cret")
    process, port = start_server(tmp_path, *GAUSSIAN, "--host", "0.0.0.0", "--set", "serve.token_env=SERVE_TOKEN")
    try:
        for token in (None, "wrong"):
            status, problem = Client(port, token).ask("GET", "/series")
            assert status == 401 and "Authorization: Bearer TOKEN" in problem["detail"]
        assert Client(port).get("/health")["rows"] == 0
        assert Client(port, "s3cret").judge([{"value": 1}])
        busy = finish(start("serve", "--out", "o", "--port", 0, *GAUSSIAN, folder=tmp_path))
        assert busy.code == 2 and "belongs to a run that is still going on" in busy.error
        taken = finish(start("serve", "--out", "p", "--port", port, *GAUSSIAN, folder=tmp_path))
        assert taken.code == 2 and f"port {port} cannot be listened on (Address already in use)" in taken.error
        assert not (tmp_path / "p").exists()
    finally:
        process.terminate()
        assert finish(process).code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("serve",), ["serve needs --out DIR"]),
        (("serve", "--out", "o", "x.csv"), ["'x.csv' means nothing to serve"]),
        (("serve", "--out", "o", "--source", "stdin"), ["'stdin' means nothing to serve"]),
        (("serve", "--out", "o", "--host", "0.0.0.0"), ["open to others, so a token is needed", "serve.token_env=ANOMALY_TOKEN"]),
        (("serve", "--out", "o", "--set", "serve.token_env=NOT_THERE"), ["environment variable NOT_THERE, which is not set"]),
        (("serve", "--out", "o", "--set", "serve.token_env=s3cret"), ["serve.token_env is no name of an environment variable"]),
        (("serve", "--out", "o", "--host", "no.such.host.invalid", "--set", "serve.token_env=HOME"), ["cannot be listened on"]),
        (("serve", "--out", "o", "--port", "0", "--column", "all"), ["serve judges the columns that --column names together"]),
        (("serve", "--out", "o", "--port", "0", "--column", "time"), ["series and time are keys"]),
        (("serve", "--out", "o", "--port", "0", "--set", "input.transform=rate"), ["serve judges values as they come"]),
        (("serve", "--out", "o", "--follow"), ["--follow means nothing to serve", "leave it out"]),
        (("--source", "synthetic", "--port", "1"), ["--port means nothing to --source synthetic", "type serve"]),
        (("--set", "source=http"), ["type serve"]),
    ],
)
def test_wrong_use_is_one_sentence(program: Program, arguments: tuple[str, ...], words: list[str]) -> None:
    assert_refused(program(*arguments), words)


def test_the_folder_of_another_run_is_refused(program: Program) -> None:
    program("--source", "synthetic", "--set", "synthetic.points=300", *GAUSSIAN, "--plot", "none", "--out", "o")
    found = program("serve", "--out", "o", "--port", "0", *GAUSSIAN)
    assert found.code == 2 and "source was 'synthetic' and is 'http' now" in found.error
