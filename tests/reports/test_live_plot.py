"""The live window, on a real (virtual) screen: it shows the stream, follows it, and never takes the run down with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from matplotlib.image import imread

from autoencoder.core.types import Detections
from autoencoder.reports import live_plot
from autoencoder.reports.live_plot import TOOLKITS, LivePlot, PlotSettings, display_available, newest
from autoencoder.reports.sinks import Batch

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("Xvfb", "import", "xdotool")
T = TypeVar("T")
PATIENCE = 30.0  # seconds until a screen that does not show what it should is a failure


def needs_screen(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that needs a display."""
    reason = f"{', '.join(TOOLS)} are not all installed (apt: xvfb imagemagick xdotool)"
    return pytest.mark.browser(pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=reason)(test))


# Feeds a window: 300 points with three spikes, then 2,000 more whenever a line comes in; says what it sees of the window.
RUN = """
import sys
import numpy as np
from autoencoder.reports.live_plot import LivePlot, PlotSettings
from autoencoder.reports.sinks import Batch
from autoencoder.core.types import Detections

def chunk(start, size):
    time = np.arange(start, start + size)
    expected = np.sin(time / 20)[:, None]
    values = expected + np.where(time % 100 == 50, 4.0, 0.1)[:, None]
    errors = np.abs(values - expected)[:, 0]
    return Detections(time, values, expected, errors, np.full(size, 1.5), errors / 5, errors > 1.5)

with LivePlot(PlotSettings("run under test", ("value",), window=500, training_points=40)) as window:
    for start in range(0, 300, 25):
        window.on_batch(Batch(chunk(start, 25)))
    print("fed", flush=True)
    for line in sys.stdin:
        for start in range(300, 2300, 100):
            window.on_batch(Batch(chunk(start, 100), labels=np.zeros(100, dtype=bool)))
        print("closed" if window.closed else "open", flush=True)
    if "hold" in sys.argv:
        window.wait()
print("the run goes on", flush=True)
"""


@pytest.fixture(scope="module")
def screen() -> Iterator[dict[str, str]]:
    """An environment with an empty screen of 1400 x 900."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1400x900x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as numbers:
        number = numbers.readline().strip()  # written once the server answers
    environment = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "WAYLAND_DISPLAY")}
    yield environment | {"DISPLAY": f":{number}"}
    server.terminate()
    server.wait()


class Run:
    """The program above, running in a process of its own."""

    def __init__(self, screen: dict[str, str], *arguments: str) -> None:
        command, pipe = [sys.executable, "-c", RUN, *arguments], subprocess.PIPE
        self.screen = screen
        self.process = subprocess.Popen(command, cwd=ROOT, env=screen, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self.read() == "fed"

    def read(self) -> str:
        return self.process.stdout.readline().strip()

    def feed(self) -> str:
        self.process.stdin.write("more\n")
        self.process.stdin.flush()
        return self.read()

    def shot(self, name: str, seen: Callable[[np.ndarray], bool]) -> np.ndarray:
        """Take pictures of the screen until it shows what it should; (height, width, 3) in [0, 1]."""
        path = ROOT / "tests" / "output" / f"live_{name}.png"
        path.parent.mkdir(exist_ok=True)

        def take() -> np.ndarray:
            subprocess.run(["import", "-window", "root", f"PNG24:{path}"], env=self.screen, check=True)
            return imread(path)[:, :, :3]

        return until(take, seen, f"see {path}")

    def windows(self) -> list[str]:
        command = ["xdotool", "search", "--onlyvisible", "--name", "run under test"]
        return subprocess.run(command, env=self.screen, capture_output=True, text=True, check=False).stdout.split()

    def close_as_a_user(self) -> None:
        number = until(self.windows, bool, "no window")[0]
        subprocess.run(["xdotool", "windowfocus", number, "mousemove", "600", "300", "key", "q"], env=self.screen, check=True)
        self.is_gone()

    def is_gone(self) -> None:
        until(self.windows, lambda windows: not windows, "the window stays")


def until(look: Callable[[], T], good: Callable[[T], bool], complaint: str) -> T:
    deadline = time.monotonic() + PATIENCE
    while not good(found := look()):
        assert time.monotonic() < deadline, complaint
        time.sleep(0.1)
    return found


@pytest.fixture
def start(screen: dict[str, str]) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []
    yield lambda *arguments: runs.append(Run(screen, *arguments)) or runs[-1]
    for run in runs:
        with run.process:  # closes its pipes
            run.process.kill()
        run.is_gone()


def red(picture: np.ndarray) -> np.ndarray:
    """Pixels of the flagged points' colour."""
    return (np.abs(picture - np.array([0xD1, 0x20, 0x2F]) / 255) < 0.03).all(axis=2)


def panels(picture: np.ndarray) -> list[slice]:
    """Rows of the panels, found by their left spines: unbroken vertical lines that are not white."""
    spines = (picture[:, :120].max(axis=2) < 0.75) & (picture[:, :120].max(axis=2) > 0.4)
    longest = spines[:700, int(np.argmax(spines[:700].sum(axis=0)))]
    edges = np.flatnonzero(np.diff(np.pad(longest.astype(int), 1))).reshape(-1, 2)
    return [slice(first, last) for first, last in edges if last - first > 80]


@needs_screen
def test_the_window_follows_the_stream(start: Callable[..., Run]) -> None:
    run = start()
    first = run.shot("first", lambda picture: red(picture).sum() > 100)
    upper, lower = panels(first)
    for rows in (upper, lower):
        panel = first[rows, 80:1150]
        assert red(panel).sum() > 30
        assert (panel.min(axis=2) < 0.7).sum() > 1000
    assert run.feed() == "open"
    time_axis = slice(lower.stop + 6, lower.stop + 22)  # the tick labels
    second = run.shot("second", lambda picture: (picture[time_axis, 60:1180] != first[time_axis, 60:1180]).mean() > 0.01)
    assert len(panels(second)) == 2
    assert red(second[panels(second)[1]]).sum() > 30


@needs_screen
def test_closing_the_window_does_not_end_the_run(start: Callable[..., Run]) -> None:
    run = start()
    run.close_as_a_user()
    until(run.feed, lambda answer: answer == "closed", "the run does not notice")
    output, errors = run.process.communicate()
    assert (output.strip(), run.process.returncode, errors) == ("the run goes on", 0, "")


@needs_screen
@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGKILL])
def test_a_held_window_stays_until_it_is_closed_or_its_run_ends(start: Callable[..., Run], number: signal.Signals | None) -> None:
    run = start("hold")
    run.process.stdin.close()
    run.shot("held", lambda picture: red(picture).sum() > 100)
    assert run.process.poll() is None
    run.process.send_signal(number) if number else run.close_as_a_user()
    assert run.read() == ("" if number else "the run goes on")
    assert run.process.wait() == -(number or 0)
    run.is_gone()


def set_screen(monkeypatch: pytest.MonkeyPatch, display: str, backend: str | None = None) -> None:
    """The environment variables that say where windows go."""
    for name, value in {"DISPLAY": display, "WAYLAND_DISPLAY": "", "MPLBACKEND": backend or ""}.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)


@needs_screen
@pytest.mark.parametrize(("backend", "reason"), [(None, None), ("Agg", "MPLBACKEND is Agg, which opens no windows")])
def test_a_screen_that_answers_is_available(
    screen: dict[str, str], monkeypatch: pytest.MonkeyPatch, backend: str | None, reason: str | None
) -> None:
    set_screen(monkeypatch, screen["DISPLAY"], backend)
    assert display_available() == reason


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only X11 and Wayland name their screen in a variable")
@pytest.mark.parametrize(
    ("display", "backend", "toolkits", "reason"),
    [
        ("", None, TOOLKITS, "neither DISPLAY nor WAYLAND_DISPLAY is set"),
        (":987", None, TOOLKITS, "no window opens at DISPLAY=:987"),
        (":987", "TkAgg", TOOLKITS, "no window opens at DISPLAY=:987"),
        (":987", None, ("a_toolkit_that_nobody_has",), "no window toolkit is installed; install python3-tk, PyQt6 or PySide6"),
    ],
)
def test_a_screen_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, display: str, backend: str | None, toolkits: tuple[str, ...], reason: str
) -> None:
    pytest.importorskip("tkinter", reason="tkinter is not installed")
    set_screen(monkeypatch, display, backend)
    monkeypatch.setattr(live_plot, "TOOLKITS", toolkits)
    assert display_available() == reason


def stream(points: int) -> Detections:
    rows = np.arange(points)
    numbers = rows.astype(float)
    return Detections(rows, numbers[:, None], numbers[:, None], numbers, numbers, numbers, rows % 2 == 0)


def test_a_window_that_cannot_open_counts_as_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    set_screen(monkeypatch, ":987")
    with LivePlot(PlotSettings("t", ("value",))) as window:
        until(lambda: window.closed, bool, "the window's process stays")
        window.on_batch(Batch(stream(10)))


def test_the_newest_points_are_kept() -> None:
    whole, kept, end = stream(60), None, 0
    for size in (1, 2, 20, 1, 30, 6):
        kept = newest(kept, (whole[end : end + size], whole.anomalies[end : end + size]), 9)
        end += size
        assert kept[0].time.tolist() == whole.time[max(end - 9, 0) : end].tolist()
        assert kept[1].tolist() == whole.anomalies[max(end - 9, 0) : end].tolist()
