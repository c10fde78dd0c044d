"""What a benchmark leaves behind: a folder that serves one configuration, and tables for people and programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autoencoder.core.errors import ConfigError
from autoencoder.reports.run_folder import RunFolder

SETTINGS = "settings.yaml"


def open_results(out: Path, settings: Mapping[str, Any]) -> RunFolder:
    """The folder of a benchmark's results; what an earlier run with the same settings left there is gone on with.

    Args:
        out: the folder; it is made where it is missing.
        settings: all that the results depend on, group by group.

    Raises:
        ConfigError: it holds something else, or results of other settings.
        ModelError: it cannot be written.
    """
    folder = RunFolder(out, resume=True)
    path = out / SETTINGS
    if path.is_file():
        difference = _first_difference(_read(path), _flat(settings))
        if difference:
            raise ConfigError(f"--out {out} holds results of other settings: {difference}; set it back, or give another folder")
    elif any(out.iterdir()):
        raise ConfigError(f"--out {out} holds something other than results of a benchmark; give a new folder")
    folder.write(SETTINGS, yaml.safe_dump(dict(settings), sort_keys=False))
    return folder


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__}); give another --out folder") from None
    return _flat(tree) if isinstance(tree, dict) else {}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        out |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return out


def _first_difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    for key in dict.fromkeys([*now, *then]):
        if then.get(key) != now.get(key):
            return f"{key} was {then.get(key)!r}, now it is {now.get(key)!r}"
    return None


@dataclass(frozen=True, slots=True)
class Summary:
    """What came out: ``text`` in a few lines of Markdown, ``details`` in more of it, ``data`` for programs."""

    text: str
    details: str
    data: Mapping[str, Any]

    def write(self, folder: RunFolder) -> None:
        """Write summary.md and summary.json; numbers that are not known, or not finite, become null.

        Raises:
            RunError: they cannot be written.
        """
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


def untrained_lines(untrained: Mapping[str, Mapping[str, str]]) -> str:
    """Markdown list of the files on which a detector could not be trained, by detector; empty where there are none."""
    lines = [f"- {detector}, {file}: {reason}\n" for detector, files in untrained.items() for file, reason in files.items()]
    return "\nNot trained, so nothing was found there:\n\n" + "".join(lines) if lines else ""
