"""What every threshold keeps to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers.errors import gappy_errors, no_warnings, normal_errors
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ConfigError, ModelFileError
from autoencoder.core.state import pack, unpack
from autoencoder.thresholds import THRESHOLDS, Array, Threshold

WINDOW = 200
BUDGET = 0.01

every_kind = pytest.mark.parametrize("kind", sorted(THRESHOLDS))
quick = settings(deadline=None, max_examples=25, derandomize=True)


__all__ = ["no_warnings"]


def make(kind: str, budget: float = BUDGET, window: int = WINDOW, trained: Array | None = None) -> Threshold:
    build: Callable[..., Threshold] = THRESHOLDS[kind]
    threshold = build(budget=budget, window=window)
    if trained is not None:
        threshold.fit(trained)
    return threshold


@every_kind
def test_causal(kind: str) -> None:
    trained, errors = normal_errors(100), gappy_errors(400, seed=1)
    before = make(kind, trained=trained).process(errors)
    for place in (0, 1, 31, 60, 92, 200, 399):
        changed = errors.copy()
        changed[place:] = 7.0
        np.testing.assert_array_equal(
            make(kind, trained=trained).process(changed)[: place + 1][~np.isnan(errors[: place + 1])],
            before[: place + 1][~np.isnan(errors[: place + 1])],
        )


@every_kind
@quick
@given(seed=st.integers(0, 99), trained=st.sampled_from([0, 17, 100]), cuts=st.lists(st.integers(0, 600), max_size=30))
@example(seed=0, trained=64, cuts=list(range(600)))
def test_chunk_invariant(kind: str, seed: int, trained: int, cuts: list[int]) -> None:
    errors, training = gappy_errors(600, seed), normal_errors(trained, seed + 1)
    whole = make(kind, trained=training).process(errors)
    threshold = make(kind, trained=training)
    found = [threshold.process(piece) for piece in np.split(errors, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(found), whole)


@every_kind
@quick
@given(place=st.integers(0, 700), trained=st.sampled_from([0, 100]))
def test_resume_exact(kind: str, place: int, trained: int) -> None:
    errors, training = gappy_errors(700), normal_errors(trained, seed=1)
    whole = make(kind, trained=training).process(errors)
    first, second = make(kind, trained=training), make(kind)
    first.process(errors[:place])
    saved = first.state()
    packed = pack(saved)
    second.load(unpack(packed, "state.npz"))
    first.process(errors)
    assert pack(saved) == packed  # what is saved stays
    np.testing.assert_array_equal(second.process(errors[place:]), whole[place:])


@every_kind
def test_missing_error_changes_nothing(kind: str) -> None:
    errors, training = normal_errors(500), normal_errors(100, seed=1)
    with_gaps = np.insert(errors, [0, 3, 100, 128, 128, 400], np.nan)
    missing = np.isnan(with_gaps)
    limits = make(kind, trained=np.insert(training, [5, 50, 99], np.nan)).process(with_gaps)
    assert np.isnan(limits[missing]).all()
    np.testing.assert_array_equal(limits[~missing], make(kind, trained=training).process(errors))


@every_kind
def test_unknown_until_thirty_errors(kind: str) -> None:
    limits = make(kind).process(normal_errors(300))
    assert np.isnan(limits[:30]).all()
    assert not np.isnan(limits[64:]).any()
    assert np.isnan(make(kind, trained=normal_errors(29)).process(normal_errors(1))).all()
    assert not np.isnan(make(kind, trained=normal_errors(30)).process(normal_errors(1))).any()


@every_kind
def test_fit_starts_anew(kind: str) -> None:
    threshold = make(kind, trained=100 * normal_errors(300))
    threshold.process(100 * normal_errors(100))
    threshold.fit(normal_errors(300, seed=1))
    errors = normal_errors(300, seed=2)
    np.testing.assert_array_equal(threshold.process(errors), make(kind, trained=normal_errors(300, seed=1)).process(errors))


@every_kind
@pytest.mark.parametrize("value", [0.0, 0.1, 1e30, 1e-30, 1e9 + 0.1])
def test_constant_errors(kind: str, value: float) -> None:
    errors = np.full(700, value)
    for trained in (np.empty(0), errors[:100]):
        limits = make(kind, trained=trained).process(errors)
        assert not (errors > limits).any()
        assert np.isfinite(limits[64:]).all()


@every_kind
@pytest.mark.parametrize(("scale", "apart"), [(2.0**-100, 1e-6), (2.0**100, 1e-6), (1e-30, 5e-3), (1e30, 5e-3)])
def test_limits_follow_the_unit(kind: str, scale: float, apart: float) -> None:
    """But for the steps in which errors are remembered, which are powers of two."""
    errors, training = normal_errors(500), normal_errors(200, seed=1)
    limits = make(kind, trained=training).process(errors)
    np.testing.assert_allclose(make(kind, trained=training * scale).process(errors * scale), limits * scale, rtol=apart)


@every_kind
def test_infinite_errors(kind: str) -> None:
    errors = normal_errors(500)
    errors[[100, 101, 300]] = np.inf
    limits = make(kind, trained=normal_errors(300, seed=1)).process(errors)
    assert np.isfinite(limits).all()
    assert limits.max() < 20


@every_kind
def test_size_of_an_anomaly_does_not_count(kind: str) -> None:
    training, errors = normal_errors(500), normal_errors(1500, seed=1)
    errors[300] = errors[400:403] = 1e3
    larger = errors.copy()
    larger[300] = larger[400:403] = 1e9
    np.testing.assert_array_equal(make(kind, trained=training).process(larger), make(kind, trained=training).process(errors))


@every_kind
@pytest.mark.parametrize("seed", range(3))
def test_an_anomaly_moves_no_limit(kind: str, seed: int) -> None:
    training, errors = normal_errors(1000, seed=seed), normal_errors(2500, seed=seed + 10)
    without = make(kind, window=1000, trained=training).process(errors)
    errors[500] = 1e3
    limits = make(kind, window=1000, trained=training).process(errors)
    assert errors[500] > limits[500]
    limits[501:532] = without[501:532]  # smoothing remembers for that long that the error was another one
    np.testing.assert_allclose(limits, without, rtol=0.1)


@every_kind
def test_anomalies_in_the_training_part(kind: str) -> None:
    training = normal_errors(1000)
    training[[300, 700]] = 1e3
    limits = make(kind, window=1000, trained=training).process(normal_errors(2000, seed=1))
    assert limits.max() < 20


@every_kind
def test_few_normal_errors_are_flagged(kind: str) -> None:
    errors = normal_errors(20_000, seed=1)
    limits = make(kind, window=2000, trained=normal_errors(1000)).process(errors)
    assert (errors > limits).mean() < 5 * BUDGET


@every_kind
@pytest.mark.parametrize("budget", [0, 1, -0.1, 3, float("nan")])
def test_budget_out_of_range(kind: str, budget: float) -> None:
    with pytest.raises(ConfigError, match=r"threshold\.budget is .*; it must be in \(0, 1\), e\.g\. 0\.001"):
        make(kind, budget=budget)


@every_kind
def test_damaged_state(kind: str) -> None:
    good = make(kind, trained=normal_errors(300)).state()
    for name in good:
        for value in (None, "x", float("nan"), np.zeros((2, 2)), np.array(["a"])):
            if value is None and name in ("limit", "smoothed"):
                continue  # there it means: not known yet
            with pytest.raises(ModelFileError):
                make(kind).load({**good, name: value})
        with pytest.raises(ModelFileError):
            make(kind).load({key: value for key, value in good.items() if key != name})
