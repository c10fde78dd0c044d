"""Bars: the figures that a benchmark is measured by, beside what they should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoencoder.benchmark.results import table
from autoencoder.benchmark.speed.measure import Spread


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure should be.

    Attributes:
        what: the figure.
        wanted: in words.
        found: what was measured; NaN where it was not.
        kept: whether that is enough; None where it was not measured.
    """

    what: str
    wanted: str
    found: Spread
    kept: bool | None


def _bar(what: str, wanted: str, found: Spread, is_kept: Callable[[float], bool]) -> Bar:
    return Bar(what, wanted, found, is_kept(found.median) if found.known else None)


def at_least(what: str, least: float, found: Spread, aim: float | None = None) -> Bar:
    """The median must be ``least`` or more; ``aim`` is what is hoped for."""
    return _bar(what, f">= {least:,g}{_aim(aim)}", found, lambda median: median >= least)


def at_most(what: str, most: float, found: Spread, aim: float | None = None) -> Bar:
    """The median must be ``most`` or less."""
    return _bar(what, f"<= {most:,g}{_aim(aim)}", found, lambda median: median <= most)


def below(what: str, limit: float, found: Spread) -> Bar:
    """The median must be less than ``limit``."""
    return _bar(what, f"< {limit:,g}", found, lambda median: median < limit)


def within(what: str, low: float, high: float, found: Spread) -> Bar:
    """The median must lie between ``low`` and ``high``."""
    return _bar(what, f"{low:g} to {high:g}", found, lambda median: low <= median <= high)


def _aim(aim: float | None) -> str:
    return "" if aim is None else f" (aim {aim:,g})"


def bars_table(bars: Sequence[Bar]) -> str:
    """All bars as a table."""
    words = {True: "yes", False: "no", None: "-"}
    rows = [[bar.what, bar.wanted, str(bar.found), bar.found.extent(), words[bar.kept]] for bar in bars]
    return table(["bar", "wanted", "found", "lowest to highest", "kept"], rows)
