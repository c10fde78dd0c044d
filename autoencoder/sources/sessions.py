"""Sessions: when the exchange of a ticker trades, with half days and holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from autoencoder.core.types import Array, Time

# what Yahoo calls an exchange -> its calendar, by its MIC; currencies and coins trade always and have none
CALENDARS = {
    **dict.fromkeys(("NMS", "NGM", "NCM", "NAS", "NYQ", "NYS", "ASE", "PCX", "BTS", "PNK", "OQB", "OQX"), "XNYS"),
    **dict.fromkeys(("SNP", "DJI", "NIM", "WCB", "CXI"), "XNYS"),
    **dict.fromkeys(("CME", "CBT", "CMX", "NYM"), "CMES"),
    **{"TOR": "XTSE", "VAN": "XTSE", "MEX": "XMEX", "SAO": "BVMF", "BUE": "XBUE", "SGO": "XSGO", "LSE": "XLON", "IOB": "XLON"},
    **{"GER": "XETR", "FRA": "XFRA", "PAR": "XPAR", "AMS": "XAMS", "BRU": "XBRU", "LIS": "XLIS", "MIL": "XMIL", "MCE": "XMAD"},
    **{"EBS": "XSWX", "STO": "XSTO", "CPH": "XCSE", "HEL": "XHEL", "OSL": "XOSL", "ICE": "XICE", "VIE": "XWBO", "ISE": "XDUB"},
    **{"WSE": "XWAR", "PRA": "XPRA", "BUD": "XBUD", "ATH": "ASEX", "IST": "XIST", "TLV": "XTAE", "JNB": "XJSE", "SAU": "XSAU"},
    **{"JPX": "XTKS", "OSA": "XTKS", "HKG": "XHKG", "SHH": "XSHG", "SHZ": "XSHG", "KSC": "XKRX", "KOE": "XKRX", "TAI": "XTAI"},
    **{"SES": "XSES", "ASX": "XASX", "NZE": "XNZE", "BSE": "XBOM", "NSI": "XBOM", "JKT": "XIDX", "KLS": "XKLS", "SET": "XBKK"},
}

AHEAD = 360  # days from the last one for which sessions are known, to whom follows a ticker; calendars are made for a year

Times = npt.NDArray[np.datetime64]


class Sessions:
    """The sessions of an exchange from one day to another.

    Args:
        code: of the calendar, see ``CALENDARS``.
        first: the first day; one before all that the calendar knows gives the last 20 years.
        last: the last day.
    """

    def __init__(self, code: str, first: date, last: date) -> None:
        import exchange_calendars

        start, end = ((day + timedelta(days=days)).isoformat() for day, days in ((first, -7), (last, AHEAD)))
        try:
            calendar = exchange_calendars.get_calendar(code, start=start, end=end)
        except ValueError:  # it knows no days as early as these
            calendar = exchange_calendars.get_calendar(code, end=end)
        self.code = code
        self.days: Times = calendar.sessions.to_numpy().astype("datetime64[D]")  # (S,) that each session is of
        self._opens = calendar.opens_nanos.astype("datetime64[ns]")  # (S,) in UTC
        self.closes: Times = calendar.closes_nanos.astype("datetime64[ns]")  # (S,) in UTC

    @staticmethod
    def of(exchange: str, first: date) -> Sessions | None:
        """The sessions of what Yahoo calls that, up to today; None where it trades always, or is not known."""
        code = CALENDARS.get(exchange)
        return Sessions(code, first, datetime.now(UTC).date()) if code else None

    def numbers(self, begins: Time) -> Array:
        """The session (N,) of bars that begin at these times (N,) in UTC, as days since 1970; -1 beyond those that are known."""
        places = np.searchsorted(self._opens, begins, side="right") - 1
        is_known = (places >= 0) & (begins < self.closes[-1])
        return np.where(is_known, self.days.astype(np.int64)[places], -1.0)

    def close_after(self, begin: np.datetime64) -> np.datetime64 | None:
        """When the session closes, in UTC, in which a bar of some minutes begins, or that of a day; None where there is none."""
        is_day = begin.dtype == "datetime64[D]"
        place = int(np.searchsorted(self.days if is_day else self._opens, begin, side="right")) - 1
        inside = place >= 0 and (self.days[place] == begin if is_day else begin < self.closes[place])
        return np.datetime64(self.closes[place]) if inside else None

    def without_bar(self, days: Times) -> Times:
        """The sessions between the first and the last of some days (N,) that are none of them."""
        inside = self.days[(self.days >= days[0]) & (self.days <= days[-1])]
        return np.setdiff1d(inside, days)
