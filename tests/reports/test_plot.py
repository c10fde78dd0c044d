"""The plot as a file: draws whatever comes, hides nothing, and can be read."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from helpers.detections import expecting_a_sine
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Text

from autoencoder.core.errors import RunError
from autoencoder.core.types import Detections
from autoencoder.reports.panels import BINS, save
from autoencoder.reports.plot import draw, paint

DAY = np.datetime64("2024-06-03T00:00", "ns")


def season(points: int, columns: int = 1, training: int = 0, time: np.ndarray | None = None) -> Detections:
    """A noisy sine with a spike every 97 points."""
    random = np.random.default_rng(5)
    values = np.sin(np.arange(points) / 20)[:, None] + random.normal(0, 0.2, (points, columns))
    values[96::97, 0] += 4.0
    return expecting_a_sine(values, training=training, time=time)


def hours(points: int, step: str = "h") -> np.ndarray:
    return DAY + np.arange(points) * np.timedelta64(1, step)


NOTHING = np.full(300, np.nan)
CASES = {
    "no points": (season(0), {}),
    "no points, dates": (season(0, time=hours(0)), {}),
    "no points, many columns": (season(0, columns=6), {}),
    "one point": (season(1), {}),
    "one date": (season(1, time=hours(1)), {}),
    "two points": (season(2), {"training_points": 1}),
    "training only": (replace(season(300, training=300), errors=NOTHING, thresholds=NOTHING), {"training_points": 300}),
    "training longer than the series": (season(50), {"training_points": 1000}),
    "constant": (expecting_a_sine(np.full(200, 5.0)), {}),
    "constant zero": (expecting_a_sine(np.zeros(200)), {}),
    "nothing known": (expecting_a_sine(NOTHING), {}),
    "every other value missing": (expecting_a_sine(np.where(np.arange(200) % 2, np.nan, 1.0)), {}),
    "infinite": (replace(season(200), predictions=np.full((200, 1), np.inf), errors=np.full(200, np.inf)), {}),
    "huge": (expecting_a_sine(np.linspace(-1e300, 1e300, 300)), {}),
    "tiny": (expecting_a_sine(np.linspace(0, 1e-12, 300)), {}),
    "offset": (expecting_a_sine(1e9 + np.linspace(0, 0.01, 300)), {}),
    "millions": (expecting_a_sine(np.linspace(-2_500_000, 7_000_000, 300)), {}),
    "negative errors": (replace(season(300), errors=np.linspace(-9, 3, 300), thresholds=np.full(300, -1.0)), {}),
    "errors of zero": (replace(season(300), errors=np.zeros(300), thresholds=np.zeros(300)), {}),
    "large index": (season(300, time=np.arange(300) + 1_700_000_000_000), {}),
    "same time over and over": (season(300, time=np.full(300, DAY)), {}),
    "minutes": (season(90, time=hours(90, "m")), {"timezone": "America/New_York", "training_points": 20}),
    "days": (season(3000, time=hours(3000, "D")), {"timezone": "UTC", "training_points": 750}),
    "nanoseconds": (season(90, time=hours(90, "ns")), {}),
    "fixed offset": (season(300, time=hours(300)), {"timezone": "+02:00"}),
    "two columns": (season(500, columns=2), {"columns": ("cpu", "memory_in_$_and_$"), "training_points": 100}),
    "twelve columns": (season(500, columns=12), {"columns": tuple(f"sensor {k} of a long name" * 3 for k in range(12))}),
    "long name": (
        season(500),
        {"title": "an/unreasonably/long/path/" * 9 + "$x^$.csv", "columns": ("pressure in the tank " * 5,)},
    ),
    "labels, incidents, events": (
        season(2000, training=500),
        {
            "training_points": 500,
            "labels": np.arange(2000) % 97 > 94,
            "spans": [(582, 582), (679, 700)],
            "events": [(800, "model 2"), (810, "model 3"), (1999, "model 4 with a long reason")],
        },
    ),
    "all labelled": (season(300), {"labels": np.ones(300, dtype=bool), "spans": []}),
    "events over two columns": (season(500, columns=2), {"columns": ("a", "b"), "events": [(0, "first"), (400, "second")]}),
}


@cache
def drawn(name: str) -> Figure:
    """The plot of a case, rendered; any warning is an error."""
    detections, options = CASES[name]
    columns = tuple(f"column {number}" for number in range(detections.values.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(detections, **{"title": name, "columns": columns} | options)
        figure.canvas.draw()
    return figure


def drawn_lines(figure: Figure, label: str) -> list[Line2D]:
    return [line for axes in figure.axes for line in axes.lines if line.get_label() == label]


def tick_labels(figure: Figure) -> list[str]:
    """What is written along the time axis."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.axes[-1].get_xticklabels()]


@pytest.mark.parametrize("name", CASES)
def test_whatever_comes_is_drawn_and_no_writing_overlaps(name: str) -> None:
    figure = drawn(name)
    pixels = np.asarray(figure.canvas.buffer_rgba())  # (height, width, 4)
    assert pixels.shape == (840, 1440, 4)
    assert np.ptp(pixels) > 100
    renderer = figure.canvas.get_renderer()
    writings = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            writings += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            writings += [axis.label, axis.get_offset_text()]
        writings += [child for child in axes.get_children() if isinstance(child, Text)]
    boxes = {
        (text.get_text(), number): text.get_window_extent(renderer)
        for number, text in enumerate(writings)
        if text.get_visible() and text.get_text().strip()
    }
    overlapping = [(one, two) for (one, a), (two, b) in combinations(boxes.items(), 2) if a.padded(-1).overlaps(b.padded(-1))]
    assert not overlapping
    assert all(box.x0 >= 0 and box.x1 <= 1440 and box.y0 >= 0 and box.y1 <= 840 for box in boxes.values()), boxes
    for legend in figure.legends:
        assert not any(legend.get_window_extent(renderer).overlaps(axes.get_window_extent(renderer)) for axes in figure.axes)


def test_the_title_counts_points_incidents_and_flags() -> None:
    detections = season(6000)
    flagged = int(detections.anomalies.sum())
    assert draw(detections, title="synthetic").get_suptitle() == f"synthetic: 6,000 points, {flagged} flagged"
    counted = draw(detections, title="synthetic", spans=[(96, 97)])
    assert counted.get_suptitle() == f"synthetic: 6,000 points, 1 incident, {flagged} flagged"


@pytest.mark.parametrize(
    ("time", "timezone", "written"),
    [
        *((hours(61, "m") + np.timedelta64(12, "h"), zone, "12:30") for zone in (None, "UTC")),
        (hours(61, "m") + np.timedelta64(12, "h"), "America/New_York", "08:30"),
        (hours(61, "m") + np.timedelta64(12, "h"), "+02:00", "14:30"),
        (np.arange(61) * 2500, None, "100,000"),
        (np.arange(61) * 5 + 1_700_000_000_000, None, "1,700,000,000,100"),
    ],
)
def test_times_are_in_the_zone_of_the_source_and_counts_have_separators(
    time: np.ndarray, timezone: str | None, written: str
) -> None:
    assert written in tick_labels(draw(season(61, time=time), title="t", timezone=timezone))


def test_a_long_series_is_thinned_but_for_its_flags_and_gaps() -> None:
    detections = season(200_000)
    rows = np.flatnonzero(detections.anomalies)
    detections.values[20_000:30_000] = np.nan
    figure = draw(detections, title="t")
    value_dots, error_dots = drawn_lines(figure, "flagged")
    assert len(rows) > 2000
    np.testing.assert_array_equal(value_dots.get_xydata(), np.column_stack([rows, detections.values[rows, 0]]))
    np.testing.assert_array_equal(error_dots.get_xydata(), np.column_stack([rows, detections.errors[rows]]))
    x, y = drawn_lines(figure, "value")[0].get_data()
    assert len(x) <= 4 * (BINS + 1)
    assert np.isnan(y[(x > 20_000) & (x < 29_999)]).all()
    assert np.isfinite(y[(x < 20_000) | (x >= 30_000)]).all()


def test_a_lonely_point_between_two_gaps_is_visible() -> None:
    lonely = np.full(99, np.nan)
    lonely[50] = 1.0

    def ink(values: np.ndarray) -> int:
        figure = draw(expecting_a_sine(values), title="t")
        figure.legends[0].remove() if figure.legends else None
        figure.suptitle("")
        figure.canvas.draw()
        box = figure.axes[0].get_window_extent().padded(-4)
        pixels = np.asarray(figure.canvas.buffer_rgba())[::-1][int(box.y0) : int(box.y1), int(box.x0) : int(box.x1), :3]
        return int((pixels.max(axis=2) < 110).sum())

    assert ink(np.full(99, np.nan)) == 0
    assert ink(lonely) > 4


def test_the_error_axis_is_logarithmic_if_need_be() -> None:
    calm = season(500)
    wild = replace(calm, errors=np.where(calm.anomalies, 1000.0, calm.errors))
    assert draw(calm, title="t").axes[-1].get_yscale() == "linear"
    assert draw(wild, title="t").axes[-1].get_yscale() == "log"
    assert draw(replace(wild, errors=-wild.errors), title="t").axes[-1].get_yscale() == "linear"
    errors, limits, flags = np.ones(500), np.full(500, 2.0), np.zeros(500, dtype=bool)
    errors[[20, 400]], limits[:40], flags[[20, 400]] = (0.002, 1000.0), 0.001, True  # a small flagged error stays in view
    axes = draw(replace(calm, errors=errors, thresholds=limits, anomalies=flags), title="t").axes[-1]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log" and low < 0.001 and high > 1000


def test_the_next_picture_of_a_stream_keeps_its_look() -> None:
    wild, calm, columns = season(500, columns=9), season(500, columns=9), tuple("abcdefghi")
    wild.errors[wild.anomalies] = 1000.0
    wild.values[wild.anomalies, 7] += 50.0
    quiet = replace(calm, anomalies=np.zeros(500, dtype=bool))
    look = paint(Figure(), wild, "t", columns)
    assert 7 in look.columns and look.is_log
    assert paint(Figure(), quiet, "t", columns, before=look) == look


def test_of_many_columns_the_most_deviating_are_shown() -> None:
    detections = season(500, columns=9)
    detections.values[detections.anomalies, 7] += 50.0
    figure = draw(detections, title="t", columns=tuple("abcdefghi"))
    shown = [axes.get_title(loc="left") for axes in figure.axes]
    assert len(shown) == 5
    assert "a" in shown and "h" in shown
    assert shown[-1] == "error"
    assert "4 of 9 columns" in figure.get_suptitle()


def test_drawing_works_in_a_thread_and_leaves_pyplot_alone() -> None:
    code = (
        "import sys, threading, numpy as np; from autoencoder.reports import live_plot; from autoencoder.core.types import Detections;"
        "assert 'matplotlib' not in sys.modules; from autoencoder.reports import plot;"
        "n, v = np.full(9, np.nan), np.zeros((9, 1)); figures = [];"
        "all_of_it = Detections(np.arange(9), v, v, n, n, n, np.zeros(9, dtype=bool));"
        "threads = [threading.Thread(target=lambda: figures.append(plot.draw(all_of_it, title='t'))) for _ in range(4)];"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads];"
        "assert len(figures) == 4 and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_plot_is_written_or_says_why_not(tmp_path: Path) -> None:
    figure = draw(season(500), title="t")
    save(figure, tmp_path / "plot.png")
    assert imread(tmp_path / "plot.png").shape[:2] == (840, 1440)
    with pytest.raises(RunError, match=r"plot\.png: the plot cannot be written \(No such file or directory\); choose"):
        save(figure, tmp_path / "missing" / "plot.png")
