"""The false-alarm budget: shares and rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.core.errors import ConfigError
from autoencoder.thresholds.budget import Budget, interval_of

quick = settings(deadline=None, max_examples=50, derandomize=True)


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [
        (0.01, 0.01, None),
        ("0.01", 0.01, None),
        ("1e-3", 1e-3, None),
        ("1 per day", 1, 86_400),
        ("2.5/hours", 2.5, 3600),
        ("3 a week", 3, 604_800),
    ],
)
def test_a_budget_is_a_share_or_a_rate(text: float | str, amount: float, seconds: float | None) -> None:
    budget = Budget.parse(text)
    assert (budget.amount, budget.seconds) == (amount, seconds)


@pytest.mark.parametrize(
    "text", [0, 1, -0.1, 2, "", "often", "1 per fortnight", "0 per day", "-1 per day", "per day", float("nan")]
)
def test_what_is_no_budget_is_refused(text: float | str) -> None:
    with pytest.raises(ConfigError, match=r"it must be a share in \(0, 1\), e\.g\. 0\.001, or a rate such as '1 per day'"):
        Budget.parse(text)


@quick
@given(minutes=st.integers(1, 200), count=st.integers(1, 3))
def test_a_rate_becomes_the_share_that_keeps_it(minutes: int, count: int) -> None:
    time = np.datetime64("2024-01-01", "ns") + np.arange(50) * np.timedelta64(minutes, "m")
    time[30:] += np.timedelta64(9, "D")  # a gap does not count
    assert interval_of(time) == 60 * minutes
    assert Budget.parse(f"{count} per day").share(interval_of(time)) == pytest.approx(count * minutes / 1440)


def test_points_without_times_or_without_a_distance_have_no_interval() -> None:
    assert interval_of(np.arange(9)) == interval_of(np.array(["2024-01-01"], "datetime64[ns]")) == 0


def test_a_rate_that_the_points_come_too_seldom_for_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"lie 604800 seconds apart.* ask for fewer"):
        Budget.parse("1 per day").share(604_800)
    with pytest.raises(ConfigError, match="no timestamps"):
        Budget.parse("1 per day").share(0)
    assert Budget.parse(0.25).share(0) == 0.25
