"""Stretches of time as people write them: "30 min", "2 hours"."""

from __future__ import annotations

import re

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 2_629_746, "year": 31_556_952}
SHORT = {"s": "second", "sec": "second", "secs": "second", "m": "minute", "min": "minute", "mins": "minute"}
SHORT |= {"h": "hour", "hr": "hour", "hrs": "hour", "d": "day", "w": "week"}
_DURATION = re.compile(r"\s*(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]+)\s*", re.IGNORECASE)


def unit_of(text: str) -> str | None:
    """The key of ``SECONDS`` that a word such as "min" or "Hours" means; None where it is none.

    >>> unit_of("Hours"), unit_of("mins"), unit_of("ms")
    ('hour', 'minute', None)
    """
    word = text.lower()
    unit = SHORT.get(word, word.removesuffix("s"))
    return unit if unit in SECONDS else None


def seconds_of(text: str) -> float | None:
    """Seconds of a duration; None where the text is none.

    >>> seconds_of("30 min"), seconds_of("1.5h"), seconds_of("soon")
    (1800.0, 5400.0, None)
    """
    found = _DURATION.fullmatch(text)
    unit = unit_of(found["unit"]) if found else None
    return float(found["count"]) * SECONDS[unit] if found and unit else None
