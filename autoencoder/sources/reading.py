"""Reading: how cells with two readings are read, as a user asked for it or as the whole table showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

Decimal: TypeAlias = Literal["point", "comma"]
DateOrder: TypeAlias = Literal["day_first", "month_first"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a table's cells before its first one is read."""

    decimal: Decimal | None = None  # the decimal sign of all numbers; None: each column shows its own
    dates: DateOrder | None = None  # what comes first in 03/04/2024; None: the column shows it
    decimals: Mapping[str, Decimal] = field(default_factory=dict)  # by column, as found


AS_FOUND = Reading()


class MustReadAgain(Exception):
    """A later cell shows that earlier ones were read wrongly: the table is to be read from its start, knowing this."""

    def __init__(self, *, dates: DateOrder | None = None, decimals: Mapping[str, Decimal] | None = None) -> None:
        super().__init__(dates, decimals)
        self._dates, self._decimals = dates, decimals or {}

    def correct(self, reading: Reading) -> Reading:
        """The reading with what was found."""
        return replace(reading, dates=self._dates or reading.dates, decimals={**reading.decimals, **self._decimals})
