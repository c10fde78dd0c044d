"""Rules on the command line: what they silence is told and counted, and a followed run notices that nothing comes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import cli
from helpers.cli import GAUSSIAN, Program, wave, write_csv

MINUTE = np.timedelta64(1, "m")
SMALL = (*GAUSSIAN, "--set", "training.points=150")


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """Two hosts of 400 minutes each, with a rise, a drop and a gap of 20 minutes in both; the second host's begins later."""
    times = np.datetime64("2024-05-01T00:00") + np.arange(400) * MINUTE
    rows = []
    for host, shift in (("web-1", 0), ("db-1", 10)):
        values = np.array(wave(400))
        values[200 + shift], values[300 + shift] = 40.0, -40.0
        rows += [
            (f"{time}Z", value, host)
            for place, (time, value) in enumerate(zip(times, values, strict=True))
            if not 340 <= place - shift < 360
        ]
    return write_csv(tmp_path / "hosts.csv", *zip(*sorted(rows), strict=True), header="time,value,host")


RULES = "--set=rules=[{series: nobody}, {name: webs, series: web-*, direction: up, no_data: 10 min}, {direction: down}]"


def test_each_series_has_its_rule(program: Program, hosts: Path) -> None:
    run = (hosts, "--series-column", "host", *SMALL)
    assert program(*run, "--out", "plain").code == 0
    outcome = program(*run, "--out", "o", RULES)
    assert outcome.code == 0, outcome.err
    assert Path("o/scores.csv").read_bytes() == Path("plain/scores.csv").read_bytes()
    found = cli.incidents(Path("o"))
    assert [each["id"] for each in sorted(found, key=lambda each: each["id"])] == list(range(1, len(found) + 1))
    by_row = {(each["series"], each["first_row"]): (each["alarm"], each.get("silenced_by"), each.get("kind")) for each in found}
    assert by_row["web-1", 200] == by_row["db-1", 310] == (True, None, None)
    assert by_row["web-1", 300] == (False, "webs.direction", None)
    assert by_row["db-1", 210] == (False, "rules[2].direction", None)
    assert by_row["web-1", 340] == (True, None, "no data") and sum(kind == "no data" for *_, kind in by_row.values()) == 1
    silenced = [each["silenced_by"] for each in found if "silenced_by" in each]
    counts = cli.metrics(Path("o"))["counts"]
    assert counts["silenced"] == {name: silenced.count(name) for name in sorted(set(silenced), key=silenced.index)}
    assert f"{len(silenced)} incidents did not ring: " in outcome.err and "by webs.direction" in outcome.err
    assert "rules[0] held for nothing: no series has a name that matches 'nobody'" in outcome.err
    assert "no alarm (webs.direction)" in Path("o/anomalies.log").read_text()
    assert str(len(silenced)) in next(line for line in program("report", "o").out.splitlines() if "held back" in line)


def test_rules_that_need_times_say_so(program: Program, tmp_path: Path) -> None:
    write_csv(tmp_path / "bare.csv", wave(300), header="value")
    cli.assert_refused(
        program("bare.csv", "--out", "o", *SMALL, "--set=rules=[{no_data: 10 min}]"), ["rules[0].no_data needs times"]
    )


def test_a_followed_run_notices_that_nothing_comes(tmp_path: Path) -> None:
    times = [f"{np.datetime64('2024-05-01T00:00:00') + row}Z" for row in range(302)]
    table, out = write_csv(tmp_path / "x.csv", times[:300], wave(302)[:300], header="time,value"), tmp_path / "o"
    follow = (table, "--follow", "--set", "csv.poll_seconds=0.02", "--out", "o", *SMALL)
    process = cli.start(*follow, "--set=rules=[{no_data: 2 s}]", folder=tmp_path)
    cli.wait_until(lambda: cli.count_lines(out / "incidents.jsonl") > 0, process)
    (one,) = cli.incidents(out)
    assert (one["kind"], one["status"], one["alarm"], one["start"]) == ("no data", "open", True, "2024-05-01T00:04:59Z")
    outcome = cli.stop(process, signal.SIGTERM)
    assert outcome.code == 0 and "no data after" in outcome.err
    assert cli.incidents(out)[0]["close_reason"] == "run stopped"

    with table.open("a") as file:
        file.writelines(f"{times[row]},{wave(302)[row]}\n" for row in (300, 301))
    resumed = cli.start(*follow, "--resume", "--set=rules=[{no_data: 1 h}]", folder=tmp_path)
    cli.wait_for_rows(out, 302, resumed)
    assert cli.stop(resumed, signal.SIGTERM).code == 0
    assert [(each["id"], each["close_reason"], each["end"]) for each in cli.incidents(out)] == [
        (1, "data are back", "2024-05-01T00:05:00Z")
    ]


def test_a_silent_series_is_noticed_while_another_goes_on(tmp_path: Path) -> None:
    process = cli.open_pipe(tmp_path, "--series-column", "host", *SMALL, "--set=rules=[{series: a, no_data: 2 s}]")
    lines = [f"{1_700_000_000 + row},{value},{host}\n" for row, value in enumerate(wave(160)) for host in "ab"]
    cli.feed(process, "time,value,host\n" + "".join(lines))
    row = 160

    def has_come() -> bool:
        nonlocal row
        cli.feed(process, f"{1_700_000_000 + row},10.0,b\n")
        row += 1
        time.sleep(0.1)
        return any(each.get("kind") == "no data" for each in cli.incidents(tmp_path / "o")) if row % 5 == 0 else False

    cli.wait_for_rows(tmp_path / "o", 320, process)
    cli.wait_until(has_come, process)
    assert cli.finish(process).code == 0
    assert {each["series"] for each in cli.incidents(tmp_path / "o") if each.get("kind")} == {"a"}


def test_a_pipe_that_stays_empty_is_noticed(tmp_path: Path) -> None:
    process = cli.open_pipe(tmp_path, *SMALL, "--set=rules=[{no_data: 2 s}]")
    lines = [f"{1_700_000_000 + row},{value}\n" for row, value in enumerate(wave(202))]
    cli.feed(process, "".join(lines[:200]))
    cli.wait_until(lambda: cli.count_lines(tmp_path / "o/incidents.jsonl") > 0, process)
    outcome = cli.finish(process, text="".join(lines[200:]))
    assert outcome.code == 0, outcome.err
    assert [each["kind"] for each in cli.incidents(tmp_path / "o")][:1] == ["no data"]
