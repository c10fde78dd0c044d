"""Windows that recur: as dateutil itself would have them from their first one on, at a price that does not grow."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import process_time
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from dateutil.rrule import rrulestr

from autoencoder.rules.rule import Calendar, Recurrence

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2019, 1, 31, 22, 30)
RULES = (
    "FREQ=DAILY RRULE:FREQ=DAILY;INTERVAL=3;BYDAY=MO,TU FREQ=WEEKLY;INTERVAL=2 FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=3,21 "
    "FREQ=MONTHLY;BYDAY=-1FR FREQ=MONTHLY FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29 FREQ=YEARLY;INTERVAL=3;BYMONTH=12;BYMONTHDAY=24,25 "
    "FREQ=HOURLY;INTERVAL=5 FREQ=DAILY;COUNT=40 FREQ=DAILY;UNTIL=20190601T120000Z"
).split()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("hours", [1, 30])
def test_windows_are_those_of_the_whole_rule(rule: str, hours: int) -> None:
    window, duration = Recurrence(START, timedelta(hours=hours), rule, BERLIN), timedelta(hours=hours)
    starts = list(rrulestr(rule.replace("T120000Z", "T140000"), dtstart=START).between(START, datetime(2025, 1, 1), inc=True))
    random = np.random.default_rng(1)
    moments = [START + timedelta(minutes=int(each)) for each in random.integers(-1000, 3_000_000, 60)]
    near = [each + timedelta(minutes=int(random.integers(-90, 90))) for each in random.permutation(np.array(starts[:60]))]
    for moment in [*sorted(moments), *near]:
        ends = [each + duration for each in starts if each <= moment < each + duration]
        assert window.end(moment) == (max(ends) if ends else None), moment


@pytest.mark.parametrize("rule", ["FREQ=HOURLY;BYMINUTE=5", "FREQ=DAILY", "FREQ=MONTHLY", "FREQ=WEEKLY;BYDAY=SU"])
def test_a_rule_without_an_end_is_cheap(rule: str) -> None:
    window = Recurrence(datetime(1601, 1, 1), timedelta(minutes=10), rule, BERLIN)
    began = process_time()
    for day in range(300):
        window.end(datetime(2031, 1, 1) + timedelta(days=day))
    assert process_time() - began < 2.0  # from 1601 on, an hour at a time, that is minutes


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("FREQ=NEVER", "FREQ"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "no window ever comes"),
        ("FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30", "no window ever comes"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", "no window ever comes"),
        ("FREQ=DAILY;UNTIL=20180101T000000", "no window ever comes"),
        ("FREQ=SECONDLY", "HOURLY is the finest"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL is at least 1"),
        ("FREQ=DAILY;COUNT=1000000000", "COUNT from 1 to 10,000"),
        ("FREQ=DAILY;UNTIL=99991231T235959Z", "out of range"),  # the clock of Berlin is ahead of UTC
        ("every night", "NAME=VALUE"),
        ("FREQ=DAILY\nEXDATE:20240101T000000", "NAME=VALUE"),
    ],
)
def test_what_is_no_rule_is_said_at_once(rule: str, why: str) -> None:
    began = process_time()
    with pytest.raises(ValueError, match=why):
        Recurrence(START, timedelta(hours=1), rule, BERLIN)
    assert process_time() - began < 3.0


def nanoseconds(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


@pytest.mark.parametrize(
    ("moment", "is_quiet"),
    [
        ("2024-10-27T04:59", True),  # 05:59 in winter
        ("2024-10-27T05:00", False),
        ("2024-03-31T03:59", True),  # 05:59 in summer
        ("2024-03-31T04:00", False),
        ("2024-06-01T20:00", True),
        ("2024-06-01T19:59", False),
    ],
)
def test_nights_follow_the_clock_of_the_place(moment: str, is_quiet: bool) -> None:
    nights = Recurrence(datetime(2024, 1, 1, 22), timedelta(hours=8), "FREQ=DAILY", BERLIN)
    assert Calendar([nights], zone=BERLIN).is_quiet(nanoseconds(moment)) is is_quiet


def test_awake_after_windows_and_holidays_in_a_row() -> None:
    nights = Recurrence(datetime(2024, 1, 1, 22), timedelta(hours=8), "FREQ=DAILY", BERLIN)
    calendar = Calendar([nights], {datetime(2024, 12, 25).date(), datetime(2024, 12, 26).date()}, BERLIN)
    later = nanoseconds("2025-06-01")
    assert calendar.awake_from(nanoseconds("2024-12-24T22:30"), later) == nanoseconds("2024-12-27T05:00")
    assert calendar.awake_from(nanoseconds("2024-12-27T06:00"), later) == nanoseconds("2024-12-27T06:00")


def test_what_is_never_awake_is_looked_at_as_far_as_now() -> None:
    calendar = Calendar([Recurrence(START, timedelta(days=1), "FREQ=DAILY", BERLIN)])
    since, now = nanoseconds("2024-05-01T12:00"), nanoseconds("2024-05-04T22:30")
    assert calendar.awake_from(since, since) == nanoseconds("2024-05-01T22:30")
    assert calendar.awake_from(since, now) == nanoseconds("2024-05-05T22:30")
