"""What a benchmark leaves behind: a folder that serves one configuration, a report in Markdown and JSON, figures beside their targets."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

from autoencoder.config import difference
from autoencoder.core.errors import OutputError
from autoencoder.reports.run_folder import RunFolder

SETTINGS = "settings.yaml"
Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def open_results(out: Path, settings: Mapping[str, Any]) -> RunFolder:
    """Open the folder of a benchmark's results, which depend on ``settings``; those of a run with the same ones are kept.

    Raises:
        OutputError: it holds something else, or results of other settings, or it cannot be written.
    """
    folder = RunFolder(out, resume=True)
    path, text = out / SETTINGS, yaml.safe_dump(dict(settings), sort_keys=False)
    if path.is_file():
        if changed := difference(path.read_text(encoding="utf-8", errors="replace"), text):
            raise OutputError(f"--out {out} holds results of other settings: {changed}; set it back, or give another folder")
    elif any(out.iterdir()):
        raise OutputError(f"--out {out} holds something other than results of a benchmark; give a new folder")
    folder.write(SETTINGS, text)
    return folder


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a benchmark: ``text`` is a few lines of Markdown, ``details`` more of it, ``data`` is for programs."""

    text: str
    details: str
    data: Mapping[str, Any]

    def write(self, folder: RunFolder) -> None:
        """Write summary.md and summary.json; numbers that are unknown or infinite become null."""
        folder.write("summary.md", f"{self.text}\n{self.details}")
        folder.write("summary.json", json.dumps(_plain(self.data), indent=2) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that lines up as plain text, too; all columns but the first are numbers.

    >>> print(table(["detector", "score"], [["random", "14.98"]]), end="")
    | detector | score |
    | :------- | ----: |
    | random   | 14.98 |
    """
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in [header, rule, *rows]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Items by key, both in order of appearance."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def untrained_lines(untrained: Mapping[str, Mapping[str, str]]) -> str:
    """Markdown list of the files on which a detector could not be trained, by detector; empty where there are none."""
    lines = [f"- {detector}, {file}: {reason}\n" for detector, files in untrained.items() for file, reason in files.items()]
    return "\nNot trained, so nothing was found there:\n\n" + "".join(lines) if lines else ""


@dataclass(frozen=True, slots=True)
class Summary:
    """Median, lowest and highest of repeated measurements; NaN where nothing was measured."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Iterable[float]) -> Summary:
        """Summarise one number a round; unknown ones are left out.

        >>> Summary.of([3.0, 1.0, float("nan"), 2.0])
        Summary(median=2.0, low=1.0, high=3.0)
        """
        known = [value for value in values if value == value] or [math.nan]
        return Summary(float(np.median(known)), float(min(known)), float(max(known)))

    @property
    def is_known(self) -> bool:
        """Whether anything was measured."""
        return self.median == self.median

    def extent(self) -> str:
        """Lowest to highest, as text."""
        return f"{number(self.low)} to {number(self.high)}" if self.is_known else ""

    def __str__(self) -> str:
        return number(self.median) if self.is_known else "-"


def number(value: float) -> str:
    """Three digits, or all digits before the point.

    >>> [number(value) for value in (0.012345, 12.345, 1234.5)]
    ['0.0123', '12.3', '1,234']
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure beside what it should be; ``kept`` says whether that is reached, None where nothing was measured."""

    what: str
    wanted: str
    found: Summary
    kept: bool | None


def at_least(what: str, limit: float, found: Summary) -> Target:
    """A median of ``limit`` or more is wanted."""
    return Target(what, f">= {limit:,g}", found, found.median >= limit if found.is_known else None)


def at_most(what: str, limit: float, found: Summary) -> Target:
    """A median of ``limit`` or less is wanted."""
    return Target(what, f"<= {limit:,g}", found, found.median <= limit if found.is_known else None)


def targets_table(targets: Sequence[Target]) -> str:
    """All targets as a Markdown table."""
    words = {True: "yes", False: "no", None: "-"}
    rows = [[target.what, target.wanted, str(target.found), target.found.extent(), words[target.kept]] for target in targets]
    return table(["bar", "wanted", "found", "lowest to highest", "kept"], rows)
