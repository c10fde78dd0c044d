"""Schema of ``rules``: what matters of which series."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from autoencoder.config.section import Section
from autoencoder.core.durations import seconds_of
from autoencoder.core.errors import ConfigError
from autoencoder.rules.rule import MAX_DAYS, Recurrence, holidays_of, zone_named
from autoencoder.thresholds.budget import Budget

MAX_GAP = 1_000_000  # points
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def required(what: str, is_right: Callable[[object], object]) -> BeforeValidator:
    """See that a setting is what it must be; the message names the setting, what was found and ``what`` it must be."""

    def check(value: object) -> object:
        try:
            found = value is None or is_right(value)
        except ConfigError:
            found = False
        except ValueError as error:
            raise _must_be(f"{what} ({error})") from None
        if not found:
            raise _must_be(what)
        return value

    return BeforeValidator(check)


def _must_be(what: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{what}", {"what": what})


def deviation_of(text: float | str | None) -> tuple[float, bool]:
    """A least deviation, and whether that is a share of what is expected.

    >>> deviation_of("20 %"), deviation_of(3), deviation_of(None)
    ((0.2, True), (3.0, False), (0.0, False))
    """
    if isinstance(text, str):
        return float(text.rstrip("% ")) / 100, True
    return float(text or 0.0), False


def _is_deviation(value: object) -> bool:
    if isinstance(value, str):
        return _SHARE.fullmatch(value.strip()) is not None
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e300


def _is_length(value: object) -> bool:
    if isinstance(value, str):
        return bool(seconds_of(value))
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_GAP


def _is_duration(value: object) -> bool:
    return isinstance(value, str) and 0 < (seconds_of(value) or 0) <= MAX_DAYS * 86_400


def _is_budget(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float | str) and bool(Budget.parse(value))


Duration = Annotated[str, required("a duration up to a year, such as '10 min'", _is_duration)]
Start = Annotated[
    str,
    required(
        "a day and a time of the clock in the rule's zone, such as '2024-01-31 22:00'",
        lambda value: isinstance(value, str) and datetime.fromisoformat(value).tzinfo is None,
    ),
    BeforeValidator(lambda value: value.isoformat(" ") if isinstance(value, datetime) else value),  # as yaml reads it
]
Zone = Annotated[str, required("a time zone such as Europe/Berlin", lambda value: zone_named(str(value)))]
Place = Annotated[
    str, required("a country such as DE, or a part of one such as DE-BY", lambda value: holidays_of(str(value)) is not None)
]


class QuietWindow(Section):
    """A window that comes once, or by an iCalendar rule again and again, in which nothing rings."""

    start: Start
    duration: Duration
    rrule: str = ""

    def recurrence(self, zone: str) -> Recurrence:
        """The windows. Raises ValueError: the rule cannot be read, or none ever comes."""
        seconds = timedelta(seconds=seconds_of(self.duration) or 0.0)
        return Recurrence(datetime.fromisoformat(self.start), seconds, self.rrule, zone_named(zone))


class Rule(Section):
    """What must hold for an incident of a series to ring, and how long its data may stay away."""

    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    series: str = "*"
    direction: Literal["up", "down", "both"] = "both"
    min_deviation: Annotated[float | str | None, required("a number above 0, or a share such as '20 %'", _is_deviation)] = None
    min_length: Annotated[
        int | str | None, required(f"a number of points from 1 to {MAX_GAP:,}, or a duration such as '30 min'", _is_length)
    ] = None
    budget: Annotated[
        float | str | None, required("a share in (0, 1), e.g. 0.001, or a rate such as '1 per day'", _is_budget)
    ] = None
    quiet: tuple[QuietWindow, ...] = ()
    holidays: Place | None = None
    holiday_tolerance: Annotated[float, Field(ge=1, le=1e6)] = 3.0
    zone: Zone = "UTC"
    no_data: Duration | None = None

    @field_validator("name")
    @classmethod
    def _is_one_line(cls, value: str | None) -> str | None:
        if value is not None and not value.isprintable():
            raise _must_be("one line of text")
        return value

    @model_validator(mode="after")
    def _comes(self) -> Self:
        for place, window in enumerate(self.quiet):
            try:
                window.recurrence(self.zone)
            except ValueError as error:
                what = f"an iCalendar RRULE such as FREQ=WEEKLY;BYDAY=SU ({error})"
                raise PydanticCustomError("rrule", "{what}", {"what": what, "window": place, "found": window.rrule}) from None
        return self
