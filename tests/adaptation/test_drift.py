"""Drift or anomaly: what the monitor says of events that pass and of changes that stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptation import helpers
from autoencoder.adaptation.buffer import Block
from autoencoder.adaptation.drift import ADWIN_ERROR, QUIET_TIMES, Drift, DriftMonitor
from autoencoder.benchmark.drift_streams import TRAINING, drift_stream
from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.core.types import Array, Bools

BLOCK, PATIENCE = 48, 10
quick = settings(deadline=None, max_examples=15, derandomize=True)


def wave(count: int, seed: int = 0, period: float = BLOCK) -> Array:
    return helpers.wave(count, period, seed, noise=0.3)


def perfect(count: int, seed: int = 1) -> Array:
    """Errors of a perfect model."""
    return np.abs(np.random.default_rng(seed).normal(size=count))


def block_of(values: Array, errors: Array, flags: Bools) -> Block:
    """A block of rows."""
    return Block(np.arange(len(values)), values, errors, flags, values, np.ones(len(values), bool))


def monitor(reference: Array | None = None) -> DriftMonitor:
    made, reference = DriftMonitor(PATIENCE), wave(40 * BLOCK, seed=7) if reference is None else reference
    made.set_reference(reference, perfect(len(reference)), BLOCK)
    return made


def drifts(
    values: Array, errors: Array | None = None, flags: Bools | None = None, watch: DriftMonitor | None = None, first: int = 1
) -> list[Drift | None]:
    """What a monitor says of each block of a stream, from block ``first`` on."""
    errors = perfect(len(values)) if errors is None else errors
    flags = np.zeros(len(values), bool) if flags is None else flags
    watch = watch or monitor()
    found = []
    for start in range(first * BLOCK, len(values) - BLOCK + 1, BLOCK):
        rows = slice(start, start + BLOCK)
        found.append(watch.update(block_of(values[rows], errors[rows], flags[rows]), values[start - BLOCK : start]))
    return found


def changed(kind: str, length: int, count: int = 60 * BLOCK) -> Array:
    """A wave of which ``length`` points from block 20 on are different."""
    values, rows = wave(count), slice(20 * BLOCK, 20 * BLOCK + length)
    if kind == "season":
        values[rows] = wave(count, period=29)[rows]
    else:
        values[rows] = {"level": values[rows] + 15, "scale": 10 + 4 * (values[rows] - 10), "flat": 10.0}[kind]
    return values


@pytest.mark.parametrize("kind", ["level", "scale", "season", "flat"])
def test_passing_event(kind: str) -> None:
    assert not any(drifts(changed(kind, 300)))


@pytest.mark.parametrize("kind", ["level", "scale", "season"])
def test_lasting_change(kind: str) -> None:
    found = drifts(changed(kind, 40 * BLOCK))
    first = next(number for number, drift in enumerate(found) if drift)  # number 0 is block 1 of the stream
    assert 20 + PATIENCE - 1 <= first + 1 <= 20 + PATIENCE + 2
    drift = found[first]
    assert drift and kind in drift.tests
    assert abs(drift.blocks - (first + 2 - 20)) <= 2


def test_what_hardly_moves_must_stay_five_times_as_long() -> None:
    count = (40 + QUIET_TIMES * PATIENCE) * BLOCK
    outage = changed("flat", 4 * PATIENCE * BLOCK, count)
    assert not any(drifts(outage))
    for_good = changed("flat", count, count)
    first = next(number for number, drift in enumerate(drifts(for_good)) if drift)
    assert 20 + QUIET_TIMES * PATIENCE - 1 <= first + 1 <= 20 + QUIET_TIMES * PATIENCE + 2


@pytest.mark.parametrize(("kind", "length"), [("flat", 450), ("high", 450), ("plateau", 450), ("noisy", 300)])
def test_event_amid_many_anomalies(kind: str, length: int) -> None:
    for seed in range(10):
        stream = drift_stream("none", 6000, seed)
        values, odd, at = stream.values.copy(), stream.labels.copy(), 3500 + 17 * seed
        rows, noise = slice(at, at + length), np.random.default_rng(seed).normal(size=length)
        event = {"flat": values[at], "high": 80 + noise / 2, "plateau": values[rows] + 10, "noisy": values[rows] + 3 * noise}
        values[rows], odd[rows] = event[kind], True
        assert not any(at < end < at + PATIENCE * BLOCK for end in drift_ends(values, odd, seed)), seed


def test_change_amid_many_anomalies() -> None:
    for seed in range(10):
        stream = drift_stream("level shift", 6000, seed)
        assert stream.change
        odd = stream.labels.copy()
        odd[stream.change :] = True
        found = drift_ends(stream.values, odd, seed)
        assert PATIENCE * BLOCK <= found[0] - stream.change <= (PATIENCE + 2.5) * BLOCK, seed


def drift_ends(values: Array, odd: Bools, seed: int) -> list[int]:
    """Ends of the blocks after which a stream whose points are flagged where they are ``odd`` has changed for good."""
    flags = np.convolve(odd, np.ones(BLOCK // 4))[: len(odd)] > 0  # they go on for a while after an anomaly
    errors = perfect(len(values), seed) * np.where(flags, 20.0, 1.0)
    first = TRAINING // BLOCK + 1
    found = drifts(values[:, None], errors, flags, monitor(values[:TRAINING, None]), first)
    return [(first + number + 1) * BLOCK for number, drift in enumerate(found) if drift]


def test_values_that_never_settle() -> None:
    values = wave(60 * BLOCK)
    flags = np.zeros(len(values), bool)
    for number, first in enumerate(range(20 * BLOCK, len(values), 5 * BLOCK)):  # another level every five blocks
        values[first : first + 5 * BLOCK] += 40 * (-1) ** number
        flags[first : first + 5 * BLOCK] = True
    first = next(number for number, drift in enumerate(drifts(values, flags=flags)) if drift)
    assert 20 + 2 * PATIENCE - 1 <= first + 1 <= 20 + 2 * PATIENCE  # twice as long as others


@pytest.mark.parametrize(("factor", "is_drift"), [(3.0, True), (0.3, False)])
def test_errors_that_change(factor: float, is_drift: bool) -> None:
    errors = perfect(60 * BLOCK, seed=3)
    errors[30 * BLOCK :] *= factor
    assert any(drifts(wave(60 * BLOCK), errors)) is is_drift


def test_adwin_finds_a_small_rise() -> None:
    errors = perfect(200 * BLOCK, seed=3)
    errors[60 * BLOCK :] *= 1.5
    found = [drift for drift in drifts(wave(200 * BLOCK), errors) if drift]
    assert found and found[0].tests == (ADWIN_ERROR,)


def test_alarms_that_go_on() -> None:
    flags = np.zeros(60 * BLOCK, bool)
    flags[30 * BLOCK :: 5] = True
    found = [drift for drift in drifts(wave(60 * BLOCK), flags=flags) if drift]
    assert found and found[0].tests == ("alarms",)


@quick
@given(seed=st.integers(0, 200))
def test_steady_stream(seed: int) -> None:
    assert not any(drifts(wave(150 * BLOCK, seed=seed)))


@quick
@given(place=st.integers(1, 55))
def test_resuming_monitor(place: int) -> None:
    values, first, second = changed("level", 40 * BLOCK), monitor(), DriftMonitor(PATIENCE)
    expected = drifts(values)
    drifts(values[: place * BLOCK], watch=first)
    second.load(unpack(pack(first.state()), "x"))
    errors = perfect(len(values))
    assert drifts(values, errors, watch=second, first=place) == expected[place - 1 :]


def test_missing_part_of_state() -> None:
    state = monitor().state()
    del state["figures"]
    with pytest.raises(ModelFileError, match="figures is missing"):
        DriftMonitor(PATIENCE).load(state)


def test_monitor_without_reference() -> None:
    watch = DriftMonitor(PATIENCE)
    watch.accept()
    assert watch.state() == {}
    watch.load({})
    assert not any(drifts(wave(20 * BLOCK), watch=watch))
    watch.reset()
    assert watch.state() == {}
