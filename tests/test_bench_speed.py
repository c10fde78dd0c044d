"""The command bench speed: every contestant is measured, and the figures mean what the tables say. Nothing here depends on the time."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program import Outcome, start

from autoencoder.benchmark.speed.contestants import NETWORK, TORCH, WHOLE, Arrivals
from autoencoder.benchmark.speed.floor import matrix_rate, multiply_adds
from autoencoder.benchmark.speed.growth import Curve, growth_exponent
from autoencoder.benchmark.speed.measure import Spread, machine, machine_line, ratio
from autoencoder.benchmark.speed.processes import Usage
from autoencoder.benchmark.speed.results import FULL, Floor, Latency, Rate, Results
from autoencoder.benchmark.speed.subject import HEADER
from autoencoder.benchmark.speed.summary import judge_bars, speed_summary
from autoencoder.benchmark.speed.training_race import Race
from autoencoder.network.model import Architecture, build
from data.live import StdinSource

property_test = settings(deadline=None, max_examples=40, derandomize=True)

LATENCY = (
    "this program",
    "Keras model.predict",
    "Keras model(x)",
    "tf.function",
    "PyTorch twin, 1 thread" if find_spec("torch") else TORCH,  # no requirements file installs torch; its row says so
    "half-space trees (river)",
    "isolation forest",
)
BARS = 9


@pytest.fixture(scope="module")
def speed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The folder of one quick run, and how it ended."""
    folder = tmp_path_factory.mktemp("speed")
    process = start("bench", "speed", "--quick", "--out", "out", folder=folder)
    out, err = process.communicate(timeout=600)  # ten times what it takes
    return folder / "out", Outcome(process.returncode, out, err)


def table_rows(text: str) -> list[list[str]]:
    """The cells of every row of every table, heads and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    below = [
        line for line, after in zip(lines, [*lines[1:], ""], strict=True) if not after.startswith("| :-") and "| :-" not in line
    ]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in below]


def numbers(tree: Any) -> list[float]:
    """Every number of nested data."""
    if isinstance(tree, dict):
        return [number for value in tree.values() for number in numbers(value)]
    if isinstance(tree, list):
        return [number for value in tree for number in numbers(value)]
    return [tree] if isinstance(tree, int | float) and not isinstance(tree, bool) else []


# --- a whole run ---


def test_every_contestant_has_a_row_with_figures(speed: tuple[Path, Outcome]) -> None:
    _, done = speed
    assert done.code == 0, done.err
    rows = table_rows(done.out)
    for name in (
        *LATENCY,
        "this program, as a process",
        "training, Keras fit, to the same loss",
        "floor of a window on one core",
    ):
        assert any(row[0] == name for row in rows), name
    assert any(row[0].startswith("peak memory, 2,000 points") for row in rows)
    assert any(row[0].startswith("streams with one model") for row in rows)


def test_all_figures_are_known_and_positive(speed: tuple[Path, Outcome]) -> None:
    folder, _ = speed
    data = json.loads((folder / "summary.json").read_text())
    for part in ("latency", "bulk", "starts", "races", "points", "windows", "streams", "memory", "floor"):
        found = [number for number in numbers(data[part]) if number != 0]  # a seed is 0, and an exponent has any sign
        assert found and all(math.isfinite(number) for number in found), part
    assert {*LATENCY} <= {*data["absent"], *(latency["name"] for latency in data["latency"])}
    assert all(time > 0 for latency in data["latency"] for time in (*latency["medians"], *latency["tails"], latency["worst"]))
    assert all(rate > 0 for entry in data["bulk"] for rate in entry["rounds"])


def test_each_bar_says_what_was_wanted_and_what_was_found(speed: tuple[Path, Outcome]) -> None:
    folder, done = speed
    bars = json.loads((folder / "summary.json").read_text())["bars"]
    assert len(bars) == BARS
    for bar in bars:
        row = next(row for row in table_rows(done.out) if row[0] == bar["what"])
        assert row[1] == bar["wanted"]
        assert row[-1] == {True: "yes", False: "no", None: "-"}[bar["kept"]]


def test_a_run_leaves_the_tables_the_data_and_the_picture(speed: tuple[Path, Outcome]) -> None:
    folder, done = speed
    assert sorted(path.name for path in folder.iterdir()) == ["growth.png", "settings.yaml", "summary.json", "summary.md"]
    assert (folder / "summary.md").read_text().startswith(done.out)
    assert (folder / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert "cores" in done.out and "Python" in done.out


# --- what is made of the figures ---


def results(**changes: Any) -> Results:
    """Figures of a machine on which every bar is kept."""

    def curve(sizes: tuple[int, ...], *values: float) -> Curve:
        return Curve("work", "unit", sizes, tuple(Spread.of([value]) for value in values))

    made = {
        "machine": machine(),
        "sizes": FULL,
        "absent": {},
        "latency": (
            Latency("this program", WHOLE, (100.0, 110.0), (200.0, 210.0), 900.0),
            Latency("Keras model.predict", NETWORK, (40_000.0, 44_000.0), (50_000.0, 50_000.0), 60_000.0),
        ),
        "bulk": (
            Rate("this program, as a process", WHOLE, (60_000.0, 70_000.0)),
            Rate("PyTorch twin, 1 thread", NETWORK, (30_000.0, 20_000.0)),
            Rate("PyTorch twin, 2 threads", NETWORK, (10_000.0, 35_000.0)),
        ),
        "starts": {"this program": (Usage(0.4, 90_000_000),), "Keras": (Usage(9.0, 800_000_000),)},
        "races": (Race(0, 0.03, 10.0, 12.0, 30.0, 0.029, 70),),
        "points": curve((1_000, 10_000), 0.1, 1.0),
        "windows": curve((24, 48), 10.0, 20.0),
        "streams": curve((1, 1_000), 0.5, 20.0),
        "memory": curve((1_000, 10_000, 1_000_000), 90.0, 100.0, 110.0),
        "floor": Floor(446_080, Spread.of([40e9])),
    }
    return Results(**{**made, **changes})


def test_bars_compare_within_rounds_and_with_the_fastest_twin() -> None:
    found = {bar.what: bar for bar in judge_bars(results())}
    assert all(bar.kept for bar in found.values())
    assert found["model.predict / this program, one point"].found.median == 400
    assert found["the same / the fastest PyTorch twin's network alone"].found == Spread(2.0, 2.0, 2.0)
    assert found["points a second, 1,000 streams with one model"].found.median == 50_000
    assert found["memory at 1,000,000 points / at 10,000"].found.median == pytest.approx(1.1)


def test_a_bar_that_is_not_reached_says_so() -> None:
    slow = (Rate("this program, as a process", WHOLE, (20_000.0,)), Rate("PyTorch twin, 1 thread", NETWORK, (30_000.0,)))
    kept = [bar.kept for bar in judge_bars(results(bulk=slow))]
    assert kept == [True, True, False, False, True, True, True, True, True]


def test_a_rival_that_is_not_installed_has_a_row_that_says_so_and_no_figures() -> None:
    alone = results(absent={TORCH: "not installed: pip install torch"}, bulk=results().bulk[:1])
    assert [bar.kept for bar in judge_bars(alone)].count(None) == 1
    rows = [row for row in table_rows(speed_summary(alone).text) if row[0] == TORCH]
    assert [row[1] for row in rows] == ["not installed: pip install torch"] * 2  # one by one, and in bulk
    assert all(row[2] == "-" for row in rows)


def test_a_training_that_never_reaches_the_loss_counts_as_a_lower_bound() -> None:
    stopped = results(races=(Race(0, 0.03, 10.0, 12.0, 40.0, 0.05, 90),))
    assert any(bar.what.endswith("(or more)") and bar.found.median == 4.0 for bar in judge_bars(stopped))
    assert "| at least 40 |" in speed_summary(stopped).text


# --- its parts ---


@property_test
@given(
    steps=st.integers(4, 40),
    features=st.integers(1, 3),
    hidden=st.lists(st.integers(1, 9), min_size=1, max_size=2).map(tuple),
    latent=st.integers(1, 5),
    hide=st.integers(0, 2),
)
def test_multiply_adds_are_the_weights_of_every_step_that_uses_them(
    steps: int, features: int, hidden: tuple[int, ...], latent: int, hide: int
) -> None:
    architecture = Architecture(steps, features, hidden, latent, horizon=hide)
    total = 0
    for inputs, units, times in layers(architecture):
        total += times * np.ones((inputs, units)).size
    assert multiply_adds(architecture) == total


def layers(architecture: Architecture) -> list[tuple[int, int, int]]:
    """Rows and columns of every weight matrix, and how often a window is multiplied with it."""
    sizes = [architecture.features, *architecture.units]
    mirrored = [architecture.latent_dim, *reversed(architecture.units)]
    seen, steps = architecture.steps - architecture.horizon, architecture.steps
    found = [(inputs + units, 4 * units, seen) for inputs, units in pairwise(sizes)]
    found += [(inputs + units, 4 * units, steps) for inputs, units in pairwise(mirrored)]
    return [*found, (sizes[-1], architecture.latent_dim, 1), (mirrored[-1], architecture.features, steps)]


def test_the_matrix_rate_is_a_rate() -> None:
    rate = matrix_rate(rounds=2)
    assert 0 < rate.low <= rate.median <= rate.high < math.inf


@property_test
@given(exponent=st.floats(-2, 3), factor=st.floats(1e-6, 1e6), sizes=st.sets(st.integers(1, 10**6), min_size=2, max_size=6))
def test_the_exponent_of_a_power_is_its_power(exponent: float, factor: float, sizes: set[int]) -> None:
    ordered = sorted(sizes)
    assert growth_exponent(ordered, [factor * size**exponent for size in ordered]) == pytest.approx(exponent, abs=1e-6)


def test_a_single_size_has_no_exponent() -> None:
    assert math.isnan(growth_exponent([10], [1.0]))
    assert math.isnan(Curve("points", "seconds", (10,), (Spread(1, 1, 1),)).exponent)


def test_a_ratio_is_taken_round_by_round() -> None:
    assert ratio([1.0, 20.0, 300.0], [1.0, 10.0, 100.0]) == Spread(2.0, 1.0, 3.0)


def test_what_was_not_measured_is_unknown_and_not_zero() -> None:
    assert not Spread.of([]).known
    assert (str(Spread.of([math.nan])), Spread.of([math.nan]).extent()) == ("-", "")


def test_a_time_becomes_a_rate_with_lowest_and_highest_in_order() -> None:
    assert Spread(2.0, 1.0, 4.0).under(8.0) == Spread(4.0, 2.0, 8.0)


def test_lines_arrive_one_by_one_and_each_is_timed() -> None:
    arrivals = Arrivals([f"2025-01-01T00:00:{second:02}Z,{second}\n".encode() for second in range(5)])
    chunks = list(StdinSource(arrivals).chunks())
    assert HEADER.startswith(b"timestamp")
    assert [chunk.values[:, 0].tolist() for chunk in chunks] == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    assert len(arrivals.nanoseconds) == 6  # the header too
    assert all(time > 0 for time in arrivals.nanoseconds)


def test_the_machine_is_named_with_its_libraries() -> None:
    line = machine_line(machine())
    assert f"numpy {np.__version__}" in line
    assert "cores" in line


def test_the_torch_twin_computes_what_the_keras_model_does() -> None:
    torch = pytest.importorskip("torch")
    from autoencoder.benchmark.speed.torch_twin import twin

    architecture = Architecture(steps=12, features=2, units=(6, 4), latent_dim=3, horizon=2)
    model = build(architecture)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(scale=0.5, size=weights.shape) for weights in model.get_weights()])
    windows = random.normal(size=(5, 12, 2)).astype(np.float32)
    copy = twin(model)
    with torch.inference_mode():
        np.testing.assert_allclose(copy(torch.from_numpy(windows)), model(windows), atol=1e-5)
    spare = sum(layer.bias_hh_l0.numel() for layer in (*copy.encoder, *copy.decoder))  # torch's second bias, all zeros
    assert sum(weights.numel() for weights in copy.parameters()) - spare == model.count_params()
