"""Calendar: when a rule keeps quiet: windows that recur, and public holidays, on the clock of a place."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from autoencoder.core.extras import require
from autoencoder.rules.recurrence import Recurrence

EPOCH = datetime(1970, 1, 1)
_NANOSECONDS = 1000  # in a microsecond


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that name. ValueError: there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"no time zone is called {name}") from None


def holidays_of(place: str) -> Container[date]:
    """The public holidays of a country, "DE", or of a part of it, "DE-BY". ValueError: the package knows no such place."""
    require("holidays", purpose="rules with holidays")
    import holidays

    country, _, part = place.partition("-")
    try:
        found: Container[date] = holidays.country_holidays(country, subdiv=part or None)
    except NotImplementedError as error:
        raise ValueError(str(error)) from None
    return found


class Calendar:
    """Quiet windows and holidays.

    Moments are nanoseconds since 1970, of UTC, or of the clock itself where a stream's times carry no zone.

    Args:
        windows: that are quiet.
        holidays: days; empty for none.
        zone: of windows and holidays; None: moments are those of that clock.
    """

    def __init__(self, windows: Sequence[Recurrence] = (), holidays: Container[date] = (), zone: ZoneInfo | None = None) -> None:
        self._windows, self._holidays, self._zone = windows, holidays, zone

    def is_quiet(self, moment: int) -> bool:
        """Whether a moment lies in a quiet window."""
        return any(window.end(self._local(moment)) for window in self._windows)

    def is_holiday(self, moment: int) -> bool:
        """Whether a moment lies in a holiday."""
        return self._local(moment).date() in self._holidays

    def awake_from(self, moment: int, now: int) -> int:
        """The first moment from this one on that lies in no quiet window and no holiday; one behind ``now`` where none is sooner."""
        local = self._local(moment)
        while self._moment(local) <= now:
            ends = [end for window in self._windows if (end := window.end(local))]
            if local.date() in self._holidays:
                ends.append(datetime.combine(local.date() + timedelta(days=1), time()))
            if not ends:
                break
            local = max(ends)
        return max(moment, self._moment(local))

    def _local(self, moment: int) -> datetime:
        plain = EPOCH + timedelta(microseconds=moment // _NANOSECONDS)
        return plain.replace(tzinfo=UTC).astimezone(self._zone).replace(tzinfo=None) if self._zone else plain

    def _moment(self, local: datetime) -> int:
        utc = local.replace(tzinfo=self._zone).astimezone(UTC).replace(tzinfo=None) if self._zone else local
        return (utc - EPOCH) // timedelta(microseconds=1) * _NANOSECONDS
