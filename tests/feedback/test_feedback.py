"""Feedback: what is like a false alarm does not ring, and everybody is told by which label."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers import cli
from helpers.cli import GAUSSIAN, Program, write_csv

from autoencoder.config import load
from autoencoder.core.errors import InputError, RunError
from autoencoder.core.events import PROMOTED
from autoencoder.factory.detectors import make_adaptive
from autoencoder.feedback.label import Label
from autoencoder.feedback.store import LabelStore, add_feedback
from autoencoder.reports.incidents import Incident

MINUTES = 5
A_DAY = 24 * 60 // MINUTES
TRAINING = ("--set", f"training.points={3 * A_DAY}", "--set", "windowed_gaussian.window=500")
RUN = ("--follow", "--set", "csv.poll_seconds=0.02", "--out", "o", *GAUSSIAN[:4], *TRAINING)


def line(day: int, place: int, height: float = 0.0, host: str = "") -> str:
    """A row of a stream of five minutes, which is noise and what is added to it."""
    row = day * A_DAY + place
    time = np.datetime64("2024-05-01T00:00") + np.timedelta64(row * MINUTES, "m")
    value = 10 + np.random.default_rng(row).normal(scale=0.2) + height
    return f"{time}Z,{value:.5f}{host and ',' + host}\n"


def days(*heights: dict[int, float], host: str = "") -> str:
    """Rows of days on which something is added at some places."""
    return "".join(line(day, place, each.get(place, 0.0), host) for day, each in enumerate(heights) for place in range(A_DAY))


QUIET_DAYS: tuple[dict[int, float], ...] = ({}, {}, {})
# a job at 06:00, the first is labelled: like it, much worse, at another time of day, a drop, and like it long after
AFTER = ({72: 3.0, 73: 3.0}, {74: 3.05, 75: 2.9}, {72: 9.0}, {180: 3.0}, {72: -3.0}, {}, {72: 3.0})


def rings(folder: Path) -> list[tuple[str, bool, str | None]]:
    return [(each["start"][8:16], each["alarm"], each.get("silenced_by")) for each in cli.incidents(folder)]


HELD = "the label of incident 1"


def test_a_followed_run_takes_up_a_label(tmp_path: Path, program: Program) -> None:
    table, out = tmp_path / "x.csv", Path("o").resolve()
    text = "time,value\n" + days(*QUIET_DAYS, *AFTER)
    lines = text.splitlines(keepends=True)
    first = 1 + 4 * A_DAY
    table.write_text("".join(lines[:first]))
    process = cli.start(table, *RUN, folder=tmp_path)
    cli.wait_for_rows(out, first - 1, process)
    cli.wait_until(lambda: cli.count_lines(out / "incidents.jsonl") == 1, process)
    said = program("feedback", out, "--incident", 1, "--label", "false", "--for", "5d", "--note", "the backup")
    assert (said.code, said.err) == (0, f"{out}: incident 1 was a false alarm; what is like it does not ring for 5d\n")
    with table.open("a") as file:
        file.writelines(lines[first : first + A_DAY])
    cli.wait_for_rows(out, first - 1 + A_DAY, process)
    process.send_signal(signal.SIGTERM)
    assert cli.finish(process).code == 0
    assert rings(out) == [("04T06:00", True, None), ("05T06:10", False, HELD)]

    with table.open("a") as file:  # and the run that goes on knows it, too
        file.writelines(lines[first + A_DAY :])
    resumed = cli.start(table, *RUN, "--resume", folder=tmp_path)
    cli.wait_for_rows(out, len(lines) - 1, resumed)
    resumed.send_signal(signal.SIGTERM)
    assert cli.finish(resumed).code == 0
    assert rings(out)[2:] == [
        ("06T06:00", True, None),
        ("07T15:00", True, None),
        ("08T06:00", True, None),
        ("10T06:00", True, None),  # the label holds no more
    ]
    assert cli.metrics(out)["counts"]["silenced"] == {HELD: 1}
    assert f"no alarm ({HELD})" in (out / "anomalies.log").read_text()


@pytest.fixture
def hosts(tmp_path: Path, program: Program) -> Path:
    """The folder of a run of two hosts with the same two jobs each, an open incident at the end of one, and a gap in its middle."""
    last = {**dict.fromkeys((72, 73), 3.0), **dict.fromkeys(range(A_DAY - 3, A_DAY), 6.0)}
    rows = [days(*QUIET_DAYS, {72: 3.0}, last if host == "a" else {72: 3.0}, host=host).splitlines() for host in "ab"]
    del rows[0][3 * A_DAY + 150 : 3 * A_DAY + 170]
    table = tmp_path / "hosts.csv"
    table.write_text("\n".join(["time,value,host", *sorted([*rows[0], *rows[1]])]) + "\n")
    outcome = program(
        table, "--series-column", "host", "--out", "run", *GAUSSIAN, *TRAINING, "--set", "rules=[{series: a, no_data: 1 h}]"
    )
    assert outcome.code == 0, outcome.err
    return Path("run").resolve()


def test_labels_are_of_one_series_and_the_last_holds(hosts: Path) -> None:
    of = {each["id"]: each["series"] for each in cli.incidents(hosts)}
    numbers = {name: min(number for number, series in of.items() if series == name) for name in "ab"}
    add_feedback(hosts, numbers["a"], label=False, note="no")
    add_feedback(hosts, numbers["a"], label=True)
    made = add_feedback(hosts, numbers["b"], label=False, duration="2 days")
    store = LabelStore(hosts)
    assert [each.label for each in store.of("a")] == [True]
    assert store.of("b") == [made] and made.until == made.end + 2 * 86_400_000_000_000
    assert [json.loads(each)["label"] for each in (hosts / "feedback.jsonl").read_text().splitlines()] == [False, True, False]


def test_what_cannot_be_said_is_one_sentence(hosts: Path, program: Program, tmp_path: Path) -> None:
    gap = next(each["id"] for each in cli.incidents(hosts) if each.get("kind") == "no data")
    lines = (hosts / "incidents.jsonl").read_text().splitlines(keepends=True)
    (hosts / "incidents.jsonl").write_text("".join(lines[:-1]) + lines[-1].replace('"closed"', '"open"', 1))
    still = json.loads(lines[-1])["id"]
    asked = {
        (hosts, 99): "has no incident 99; they are 1 to",
        (hosts, still): f"incident {still} of {hosts} is still open",
        (hosts, gap): "is missing data",
        (tmp_path / "nowhere", 1): "is not a folder; give the --out folder of a run",
        (tmp_path, 1): "holds no incidents.jsonl",
    }
    for (folder, number), words in asked.items():
        outcome = program("feedback", folder, "--incident", number, "--label", "false")
        assert outcome.code == 2 and words in outcome.error, outcome.err
    for flags, words in {
        ("--for", "soon"): "--for is 'soon'",
        ("--label", "maybe"): "invalid choice: 'maybe'",
        ("--incident", "x"): "invalid int value",
        ("--note", "x" * 2000): "at most 1,000",
    }.items():
        outcome = program("feedback", hosts, "--incident", 1, "--label", "false", *flags)
        assert outcome.code == 2 and words in outcome.error, outcome.err
    assert program("--verbose", "feedback", hosts).code == 2
    assert not (hosts / "feedback.jsonl").exists()


def test_a_half_line_hides_no_label(hosts: Path) -> None:
    (hosts / "feedback.jsonl").write_text('{"incident": 1, "lab')  # a crash
    made = add_feedback(hosts, 1, label=False)
    assert LabelStore(hosts).of(made.series) == [made]
    record = made.to_record()
    record["shape"] |= {key: 2 * record["shape"][key] for key in ("direction", "first", "largest", "tolerance")}  # of two columns
    incident = next(Incident.from_record(each) for each in cli.incidents(hosts) if each["id"] == 1)
    assert Label.from_json(json.dumps(record)).shape.distance(incident, made.shape.start, np.zeros(1)) == np.inf
    (hosts / "feedback.jsonl").write_text('[]\n{"incident": 1}\n{"incident": 1, "shape": {"season": "x"}}\n')
    assert not LabelStore(hosts).of(made.series)
    (hosts / "feedback.jsonl").unlink()
    (hosts / "feedback.jsonl").symlink_to(hosts / "scores.csv")
    with pytest.raises(RunError, match=r"feedback\.jsonl cannot be written"):
        add_feedback(hosts, 1, label=False)


def test_many_may_say_something_at_once(hosts: Path) -> None:
    threads = [threading.Thread(target=add_feedback, args=(hosts, 1), kwargs={"label": bool(k % 2)}) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(each) for each in (hosts / "feedback.jsonl").read_text().splitlines()]) == 12


def test_counted_rows_have_no_duration(tmp_path: Path, program: Program) -> None:
    values = [float(each.split(",")[1]) for each in days(*QUIET_DAYS, {72: 6.0}, {72: 6.0}).splitlines()]
    write_csv(tmp_path / "bare.csv", values, header="value")
    assert program(tmp_path / "bare.csv", "--out", "bare", *GAUSSIAN, *TRAINING).code == 0
    with pytest.raises(InputError, match="without timestamps"):
        add_feedback(Path("bare"), 1, label=False, duration="1 d")
    assert add_feedback("bare", 1, label=False).shape.season == 0.0


def test_a_report_says_what_labels_would_have_changed(tmp_path: Path, program: Program) -> None:
    heights = (*QUIET_DAYS, {72: 3.0}, {72: 3.0}, {}, {72: 9.0})
    lines = [f"{each},{int(each.startswith('2024-05-07T06:00'))}" for each in days(*heights).splitlines()]
    (tmp_path / "x.csv").write_text("time,value,label\n" + "\n".join(lines) + "\n")
    run = (tmp_path / "x.csv", "--label-column", "label", "--out", "known", *GAUSSIAN, *TRAINING)
    assert program(*run).code == 0
    for oracle in ("false", "both"):
        outcome = program("report", "known", "--oracle", oracle)
        assert outcome.code == 0, outcome.err
        found = {row[:30].strip(): row[30:].split() for row in outcome.out.splitlines()[1:]}
        assert found[""] == ["as", "run", "labelled"]
        assert (found["false alarms"], found["that rang"], found["held back"]) == (["2", "1"], ["1", "1"], ["0", "1"])
    program(*run[:1], "--column", "value", "--out", "unknown", *GAUSSIAN, *TRAINING)
    assert "--oracle needs known anomalies" in program("report", "unknown", "--oracle", "false").error


def test_what_was_confirmed_is_never_learnt() -> None:
    """A level that lasts is learnt, but not where people say that it is an anomaly; what comes after it is."""
    random, settings = np.random.default_rng(0), ("enabled=true", "synchronous=true", "confirm_windows=5", "buffer_points=1000")
    texts = [f"adaptation.{each}" for each in (*settings, "cold_start_points=null")]
    config = load(None, {}, [*texts, "detector=windowed_gaussian", "windowed_gaussian.window=2000"])
    values = random.normal(size=(2600, 1)) + np.where(np.arange(2600) < 1000, 50.0, 80.0)[:, None]

    def learnt(*confirmed: tuple[int, int]) -> list[int]:
        detector = make_adaptive(config, 400, confirmed=lambda: confirmed)
        detector.process(np.arange(2600), values)
        return [event.row for event in detector.adaptations if event.event == PROMOTED]

    usual = learnt()
    assert usual and usual[0] < 1500
    assert learnt((1000, 2599)) == []
    assert usual[0] + 500 < learnt((1000, 1499))[0]
