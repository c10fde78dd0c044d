"""The dashboard without a browser: its runs are those of the command line, and what it draws leaves no flag out."""

from __future__ import annotations

import base64
import importlib.util
import json
import shlex
import socket
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import (
    FOREST,
    GAUSSIAN,
    PATIENCE,
    TINY_LSTM,
    Outcome,
    count_lines,
    finish,
    metrics,
    start,
    wait_until,
    wave,
    write_csv,
)

import main
from autoencoder.config import Config, load
from autoencoder.core.errors import ConfigError, ModelError
from autoencoder.dashboard.board import Phase, Snapshot
from autoencoder.dashboard.charts import BINS, View, describe, stretch_of, thin
from autoencoder.dashboard.choices import SAMPLES, Choice, Upload, begin, reword, samples
from autoencoder.dashboard.command import FIRST_PORT, choose_port
from autoencoder.dashboard.folder import follow, run_folders
from autoencoder.dashboard.process import run_apart
from autoencoder.dashboard.session import Controls, Desk, Monitor
from autoencoder.reports.runs import read_scores
from data.series import Chunk

Program = Callable[..., Outcome]
FILES = ("scores.csv", "incidents.jsonl")
QUICK = {"detector": "windowed_gaussian", "windowed_gaussian.window": 64}


def config_of(*arguments: str) -> Config:
    """The configuration of a command line."""
    return main.read_config(main.parser().parse_intermixed_args(list(arguments)))


def watch(config: Config, controls: Controls | None = None) -> Monitor:
    """A run as the page starts it."""
    return Monitor(partial(run_apart, config, None), controls)


def finished(monitor: Monitor) -> Snapshot:
    """How a run stands at its end."""
    assert monitor.wait(PATIENCE)
    return monitor.snapshot()


def folder_of(snapshot: Snapshot) -> Path:
    """Where a run leaves its files."""
    assert snapshot.about and snapshot.about.folder
    return snapshot.about.folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the same run as on the command line ---


@pytest.mark.parametrize(
    "arguments",
    [
        ("--source", "synthetic", *FOREST, "--set", "synthetic.points=3000", "--set", "synthetic.missing=0.01"),
        ("--source", "csv", "--path", str(SAMPLES / "aapl.csv"), "--column", "close", "--column", "volume", *GAUSSIAN),
    ],
    ids=["synthetic", "prices"],
)
def test_the_files_of_a_run_equal_those_of_the_command_line_byte_for_byte(program: Program, arguments: tuple[str, ...]) -> None:
    assert program(*arguments, "--out", "there").code == 0
    snapshot = finished(watch(config_of(*arguments), Controls(pace=20_000)))
    assert (snapshot.phase, snapshot.fault) == (Phase.ENDED, None)
    for name in FILES:
        assert (folder_of(snapshot) / name).read_bytes() == (Path("there") / name).read_bytes()
    told = {key: value for key, value in metrics(Path("there"))["counts"].items() if key != "flagged_share"}
    assert {key: snapshot.counts[key] for key in told} == pytest.approx(told)
    assert len(snapshot.incidents) == told["incidents"]
    assert snapshot.points == told["points"]
    np.testing.assert_array_equal(snapshot.detections.anomalies, read_scores(Path("there")).anomalies)


def test_an_lstm_is_trained_as_on_the_command_line(lstm_run: tuple[Path, Outcome], here: Path) -> None:
    config = config_of(*TINY_LSTM, "--plot", "none", "--set", "synthetic.points=3000", "--set", "training.points=1500")
    monitor = watch(config)
    wait_until(lambda: monitor.snapshot().progress is not None or monitor.wait(0))
    snapshot = finished(monitor)
    assert snapshot.phase is Phase.ENDED, snapshot.fault
    assert snapshot.since
    for name in FILES:
        assert (folder_of(snapshot) / name).read_bytes() == (lstm_run[0] / name).read_bytes()


def test_a_stopped_run_is_whole_and_can_be_resumed_on_the_command_line(program: Program) -> None:
    arguments = ("--source", "synthetic", *GAUSSIAN)
    assert program(*arguments, "--out", "there").code == 0
    monitor = watch(config_of(*arguments), Controls(pace=2000))
    wait_until(lambda: monitor.snapshot().points > 2500)
    assert monitor.close()
    snapshot = monitor.snapshot()
    assert (snapshot.phase, snapshot.is_live, snapshot.is_open) == (Phase.STOPPED, False, False)
    folder = folder_of(snapshot)
    assert count_lines(folder / "scores.csv") == snapshot.points + 1 < 6001
    assert metrics(folder)["status"] == "interrupted"
    assert program("--resume", "--out", folder).code == 0
    for name in FILES:
        assert (folder / name).read_bytes() == (Path("there") / name).read_bytes()


def test_a_run_is_stopped_while_it_trains(here: Path) -> None:
    monitor = watch(config_of(*TINY_LSTM, "--set", "training.max_steps=1000000", "--set", "training.patience=1000000"))
    wait_until(lambda: monitor.snapshot().progress is not None)
    assert monitor.close()
    assert monitor.snapshot().phase is Phase.STOPPED
    assert not monitor.snapshot().since


def test_a_paused_run_stands_still_until_it_goes_on(here: Path) -> None:
    controls = Controls(pace=1000)
    monitor = watch(config_of("--source", "synthetic", *GAUSSIAN), controls)
    wait_until(lambda: monitor.snapshot().points > 1600)
    controls.pause()
    assert controls.paused
    assert not monitor.wait(0.3)
    stands_at = monitor.snapshot().points
    assert not monitor.wait(0.3)
    assert monitor.snapshot().points == stands_at < 6000
    controls.set_pace(None)
    controls.resume()
    assert finished(monitor).points == 6000


def test_a_second_run_ends_the_first(here: Path) -> None:
    desk = Desk()
    slow = config_of("--source", "synthetic", *GAUSSIAN)
    assert desk.start(lambda: watch(slow, Controls(pace=10)))
    first = desk.monitor
    wait_until(lambda: first.snapshot().points > 1500)
    assert desk.start(lambda: watch(slow, Controls(pace=10)))
    assert first.snapshot().phase is Phase.STOPPED
    desk.close()
    assert desk.monitor is not first
    assert desk.monitor.snapshot().phase is Phase.STOPPED


@given(
    lengths=st.lists(st.integers(1, 700), min_size=1, max_size=6),
    training=st.integers(0, 900),
    pace=st.sampled_from([None, 1e5, 1e7]),
)
@settings(deadline=None, max_examples=25, derandomize=True)
def test_a_pace_cuts_chunks_and_changes_nothing_else(lengths: list[int], training: int, pace: float | None) -> None:
    def chunks() -> Iterator[Chunk]:
        row = 0
        for length in lengths:
            index = np.arange(row, row + length)
            yield Chunk(index, index[:, None] * 0.5, index % 7 == 0)
            row += length

    whole, parts = list(chunks()), list(Controls(pace).feed(chunks(), training))
    assert max(map(len, parts)) <= 256
    for name in ("time", "values", "labels"):
        pieces, given_ = ([getattr(chunk, name) for chunk in each] for each in (parts, whole))
        np.testing.assert_array_equal(np.concatenate(pieces), np.concatenate(given_))


# --- errors ---


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["1,2", "2,abc", "3,4"], "found 'abc'"),
        ([f"{row},5" for row in range(500)], "constant"),
        ([f"{row},{row}" for row in range(10)], "needs"),
        ([], "row"),
    ],
    ids=["no number", "constant", "too short", "empty"],
)
def test_a_file_that_the_command_line_refuses_is_refused_in_the_same_words(
    program: Program, lines: list[str], words: str
) -> None:
    file = Path("series.csv")
    file.write_text("\n".join(["timestamp,value", *lines]) + "\n")
    outcome = program("--source", "csv", "--path", file, *FOREST)
    assert outcome.code == 2
    snapshot = finished(
        begin(Choice({"source": "csv", "detector": "isolation_forest"}, "0.001", Upload(file.name, file.read_bytes())), None)
    )
    assert snapshot.phase is Phase.FAILED
    assert snapshot.fault == outcome.error
    assert words in snapshot.fault
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


def test_a_file_with_several_columns_names_the_field_to_fill_in(here: Path) -> None:
    upload = Upload("two.csv", b"timestamp,cpu,memory\n1,2,3\n2,3,4\n")
    snapshot = finished(begin(Choice({"source": "csv"}, "0.001", upload), None))
    assert "two.csv has several columns of numbers (cpu, memory)" in snapshot.fault
    assert "Value column" in snapshot.fault
    assert "--" not in snapshot.fault


@pytest.mark.parametrize(("key", "value"), [("threshold.kind", "steep"), ("synthetic.noise", -1)])
def test_a_wrong_setting_is_refused_before_anything_starts(here: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        begin(Choice({"source": "synthetic", key: value}, "0.001"), None)


@pytest.mark.parametrize("budget", ["3", "often", "", "[", "1 per fortnight"])
def test_a_budget_that_is_none_is_refused_before_anything_starts(here: Path, budget: str) -> None:
    with pytest.raises(ConfigError, match="budget"):
        begin(Choice({"source": "synthetic"}, budget), None)


def test_a_fault_of_the_program_itself_is_told_in_one_line() -> None:
    def work(*_: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    snapshot = finished(Monitor(work))
    assert snapshot.phase is Phase.FAILED
    assert "the program has a fault" in snapshot.fault and "\n" not in snapshot.fault


# --- uploads ---


@pytest.mark.parametrize(
    "name", ["../../evil.csv", "/etc/passwd", "a b;rm -rf ~.csv", "x" * 5000 + ".csv", "n\0ull.csv", "töne.parquet"]
)
def test_nothing_of_an_uploads_name_but_its_kind_reaches_a_path(here: Path, name: str) -> None:
    table = write_csv(here / "table.csv", range(400), wave(400))
    choice = Choice({**QUICK, "source": "csv"}, "0.01", Upload(name, table.read_bytes() if name.endswith("csv") else b"1\n"))
    snapshot = finished(begin(choice, None))
    if snapshot.phase is Phase.ENDED:
        path = Path(load(folder_of(snapshot) / "config.yaml").csv.path)
        assert path.name == "upload.csv"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert snapshot.about.name == name
    assert {path.name for path in here.iterdir()} <= {"table.csv", "runs"}


def test_an_upload_goes_by_its_own_name_in_what_is_said() -> None:
    said = reword("upload.csv, line 3: found 'x'; /tmp/private/upload.csv is bad", "/tmp/private/upload.csv", "mine.csv")
    assert said == "mine.csv, line 3: found 'x'; mine.csv is bad"


# --- what was chosen, as a command line ---


@pytest.mark.parametrize(
    "choice",
    [
        Choice({"source": "synthetic", "synthetic.points": 9000, "synthetic.anomalies.flat": False, "seed": 4}, "1 per day"),
        Choice({"source": "csv", "csv.path": "/tmp/it's mine.csv", "csv.columns": ["a, b", "c"]}, "0.002"),
        Choice({"source": "yfinance", "yfinance.ticker": "^GSPC", "detector": "half_space_trees"}, "0.01"),
    ],
    ids=["synthetic", "csv", "yfinance"],
)
def test_the_command_line_that_is_shown_makes_the_same_configuration(choice: Choice) -> None:
    program, script, *arguments = shlex.split(choice.command_line())
    assert (program, script) == ("python", "main.py")
    assert config_of(*arguments) == load(None, choice.settings, [f"threshold.budget={choice.budget}"])


def test_the_samples_are_offered_with_their_columns() -> None:
    assert samples()["aapl.csv"] == ("open", "high", "low", "close", "volume", "adj_close")


# --- a run that another process writes ---


def test_a_run_of_another_process_is_followed_to_its_end(here: Path) -> None:
    paced = ("--set", "synthetic.points_per_second=3000", "--set", "incidents.cooldown=1")
    process = start("--source", "synthetic", *GAUSSIAN, *paced, "--out", "runs/other", folder=here)
    wait_until(lambda: count_lines(here / "runs" / "other" / "scores.csv") > 10, process)
    assert run_folders(here) == [here / "runs" / "other"]
    monitor = Monitor(lambda board, controls: follow(here / "runs" / "other", board, controls))
    wait_until(lambda: 1600 < monitor.snapshot().points < 6000, process)
    assert monitor.snapshot().is_live
    assert finish(process).code == 0
    snapshot = finished(monitor)
    assert (snapshot.phase, snapshot.fault, snapshot.points) == (Phase.ENDED, None, 6000)
    counts = metrics(here / "runs" / "other")["counts"]
    assert {key: snapshot.counts[key] for key in ("judged", "flagged", "incidents")} == {
        key: counts[key] for key in ("judged", "flagged", "incidents")
    }
    assert snapshot.about.training_points == 1500
    lines = [json.loads(line) for line in (here / "runs" / "other" / "incidents.jsonl").read_text().splitlines()]
    assert [json.loads(incident.to_json()) for incident in snapshot.incidents] == lines
    written = read_scores(here / "runs" / "other")
    np.testing.assert_array_equal(snapshot.detections.values, written.values)
    np.testing.assert_array_equal(snapshot.detections.time, written.time)


def test_how_the_followed_run_ended_is_told(program: Program, here: Path) -> None:
    run = here / "run"
    assert program("--source", "synthetic", *GAUSSIAN, "--set", "synthetic.points=2000", "--out", run).code == 0
    whole = (run / "metrics.json").read_text()
    for status, phase in (("done", Phase.ENDED), ("interrupted", Phase.STOPPED), ("failed: no disk", Phase.FAILED)):
        (run / "metrics.json").write_text(whole.replace('"status": "done"', f'"status": "{status}"'))
        snapshot = finished(Monitor(lambda board, controls: follow(run, board, controls)))
        assert (snapshot.phase, snapshot.points) == (phase, 2000)
    assert snapshot.fault == f"{run}: failed: no disk"


def test_a_run_that_begins_anew_is_shown_anew(program: Program, here: Path) -> None:
    run = here / "run"
    assert program("--source", "synthetic", *GAUSSIAN, "--set", "synthetic.points=4000", "--out", run).code == 0
    (run / "metrics.json").unlink()
    monitor = Monitor(lambda board, controls: follow(run, board, controls))
    wait_until(lambda: monitor.snapshot().points == 4000)
    lines = (run / "scores.csv").read_bytes().splitlines(keepends=True)
    (run / "scores.csv").write_bytes(b"".join(lines[:3001]) + b"half a row, ")
    wait_until(lambda: monitor.snapshot().points == 3000)
    assert monitor.close()
    assert monitor.snapshot().counts["points"] == 3000


def test_what_is_no_run_folder_is_refused(here: Path) -> None:
    (here / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no run"):
        follow(here / "empty", None, None)
    assert run_folders(here) == []
    with pytest.raises(ConfigError, match="no run folder is chosen"):
        begin(Choice({}, ""), None)


def test_scores_that_this_program_did_not_write_are_refused(program: Program, here: Path) -> None:
    assert program("--source", "synthetic", *GAUSSIAN, "--set", "synthetic.points=2000", "--out", "run").code == 0
    (here / "run" / "scores.csv").write_text("name,age\nbob,7\n")
    snapshot = finished(Monitor(lambda board, controls: follow(here / "run", board, controls)))
    assert "cannot be read as the scores of a run" in snapshot.fault


# --- the chart ---


@given(
    seed=st.integers(0, 1000),
    points=st.integers(1, 5000),
    share=st.floats(0, 0.3),
    bins=st.integers(1, 200),
)
@settings(deadline=None, max_examples=40, derandomize=True)
def test_thinning_keeps_every_flagged_point_and_every_extreme(seed: int, points: int, share: float, bins: int) -> None:
    random = np.random.default_rng(seed)
    x, line = np.arange(points, dtype=float), random.normal(size=points).cumsum()
    line[random.random(points) < 0.1] = np.nan
    flags = random.random(points) < share
    rows = thin(x, [line], flags, bins)
    assert set(np.flatnonzero(flags)) <= set(rows)
    assert len(rows) <= 4 * (bins + 1) + flags.sum()
    assert (np.diff(rows) > 0).all()
    if np.isfinite(line).any():
        assert {np.nanmin(line), np.nanmax(line)} <= set(line[rows])


def unpacked(text: str) -> np.ndarray[Any, Any]:
    """The numbers that the chart is sent."""
    return np.frombuffer(base64.b64decode(text), "<f8")


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A run of 50,000 points with flags."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("long"))
        return finished(watch(config_of("--source", "synthetic", *GAUSSIAN, "--set", "synthetic.points=50000")))


def test_fifty_thousand_points_are_drawn_from_few_rows_with_every_flag(long_run: Snapshot) -> None:
    drawn = describe(long_run, View())
    assert json.loads(json.dumps(drawn, allow_nan=False)) == json.loads(json.dumps(drawn))
    x, flags = unpacked(drawn["x"]), np.frombuffer(base64.b64decode(drawn["flags"]), np.uint8)
    assert long_run.points == drawn["points"] == 50_000
    assert len(x) < 16 * (BINS + 1) + drawn["flagged"] < 15_000
    assert flags.sum() == drawn["flagged"] == long_run.counts["flagged"] > 0
    assert drawn["dates"]
    assert x[0] == long_run.detections.time[0].astype("datetime64[ms]").astype(float)
    assert [panel["name"] for panel in drawn["panels"]] == ["value", "error"]
    assert all(len(unpacked(panel[line])) == len(x) for panel in drawn["panels"] for line in ("line", "companion"))
    assert len(drawn["bands"]["training"]) == 1 and len(drawn["bands"]["known"]) > 100
    assert len(drawn["bands"]["incident"]) == len(long_run.incidents)


def test_a_stretch_that_is_zoomed_into_is_drawn_from_all_of_its_points(long_run: Snapshot) -> None:
    incident = long_run.incidents[len(long_run.incidents) // 2]
    stretch = stretch_of(long_run, incident.first_row, incident.last_row)
    drawn = describe(long_run, View(zoom=stretch, focus=3, chosen=(incident.first_row, incident.last_row)))
    x = unpacked(drawn["x"])
    inside = (x >= stretch[0]) & (x <= stretch[1])
    assert inside.sum() == 2 * 30 + incident.last_row - incident.first_row + 1
    assert len(x) <= inside.sum() + 2
    [(begin_, end)] = drawn["bands"]["chosen"]
    assert stretch[0] < begin_ <= end < stretch[1]
    assert drawn["zoom"] == stretch and drawn["focus"] == 3


def test_the_newest_points_alone_can_be_followed(long_run: Snapshot) -> None:
    drawn = describe(long_run, View(newest=1000))
    x = unpacked(drawn["x"])
    assert len(x) <= 1000
    assert drawn["follow"] == [x[0], x[-1]]
    assert drawn["whole"][0] < x[0]
    assert drawn["bands"]["training"] == []


def test_nothing_is_drawn_before_the_first_point() -> None:
    assert describe(Snapshot(), View()) is None


# --- the command ---


def test_a_port_that_is_taken_is_refused_and_passed_over_where_none_was_asked_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="is taken"):
            choose_port(taken.getsockname()[1])
    assert choose_port(None) >= FIRST_PORT
    with pytest.raises(ConfigError, match="must be from 1 to 65535"):
        choose_port(70_000)


def test_without_streamlit_the_command_says_what_to_install(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "streamlit" else real(name, *rest))
    outcome = program("dashboard")
    assert outcome.code == 2
    assert outcome.error == "the dashboard needs streamlit, which is not installed; pip install -r requirements-dashboard.txt"


@pytest.mark.parametrize(
    "arguments", [("dashboard", "--port", "x"), ("dashboard", "--source", "csv"), ("--source", "csv", "dashboard")]
)
def test_wrong_usage_of_the_dashboard_is_one_line(program: Program, arguments: tuple[str, ...]) -> None:
    outcome = program(*arguments)
    assert outcome.code == 2
    assert "dashboard" in outcome.err


def test_the_parts_below_the_page_do_without_streamlit() -> None:
    for name in ("board", "charts", "choices", "command", "folder", "process", "session", "worker"):
        source = (Path(main.__file__).parent / "autoencoder" / "dashboard" / f"{name}.py").read_text(encoding="utf-8")
        assert "import streamlit" not in source
