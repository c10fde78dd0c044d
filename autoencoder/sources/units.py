"""Units: what may stand behind a number, the quantity that it measures, and how many of the quantity's own unit it is."""

from __future__ import annotations

import re
from typing import NamedTuple

SCALE = "a number that may be shortened by thousands"  # 950 and 1.2k are of one kind, so a bare number fits
BYTES = "bytes"
PURE = (SCALE, BYTES)  # quantities of which a bare number is one, too


class Unit(NamedTuple):
    """A unit: the quantity that it measures, and its size in that quantity's own unit."""

    quantity: str
    size: float


_THOUSANDS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_POWERS_OF_TWO = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
_SMALL = {"": 1.0, "m": 1e-3, "µ": 1e-6, "u": 1e-6, "n": 1e-9}
_LARGE = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_PER_SECOND = ("/s", "/sec", "ps")
_OF_ONE_SIZE = (
    "°C °F degC degF rpm RPM bar mbar hPa kPa psi ppm ppb lx lm dB dBm dBA pH l/min l/h l/s m³ m³/h m3 m3/h m/s km/h mph kn "
    "mm cm km mi kg g mg lb µg/m³ µS/cm req/s ops/s ops rps qps iops pps cps fps bpm"
).split()


def _table() -> dict[str, Unit]:
    units = {text: Unit(SCALE, size) for text, size in _THOUSANDS.items() if text}
    for text, size in {**_THOUSANDS, **_POWERS_OF_TWO}.items():
        units[text + "B"] = Unit(BYTES, size)
        units |= {f"{text}B{per}": Unit("bytes a second", size) for per in _PER_SECOND}
        for bit in ("b", "bit"):
            units |= {f"{text}{bit}{per}": Unit("bits a second", size) for per in _PER_SECOND}
    units |= {text: Unit(BYTES, size) for text, size in _POWERS_OF_TWO.items()}
    units |= {f"{text}s": Unit("seconds", size) for text, size in _SMALL.items()}
    units |= {text: Unit("seconds", size) for text, size in (("sec", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0))}
    for base in ("W", "Wh", "V", "A", "Hz", "Pa"):
        units |= {prefix + base: Unit(base, size) for prefix, size in {**_SMALL, **_LARGE}.items()}
    units |= {text: Unit(text, 1.0) for text in _OF_ONE_SIZE if text not in units}
    return units | {"%": Unit("%", 1.0), "percent": Unit("%", 1.0), "bytes": Unit(BYTES, 1.0)}


UNITS = _table()  # by how they are written; m alone is none, since it stands for milli, minutes and metres
CURRENCIES = tuple("$ € £ ¥ ₹ US$ USD EUR GBP JPY CHF CAD AUD CNY INR SEK NOK DKK PLN".split())


def is_name_of_unit(text: str) -> bool:
    """Whether a cell below a header names a unit and is no value: °C, [bar], (MiB/s)."""
    text = re.sub(r"^[\[(](.*)[\])]$", r"\1", text.strip())
    return text in UNITS or text in CURRENCIES
