"""What all benchmarks share: detectors to measure, results that serve one configuration, jobs that are done once, a report."""

from __future__ import annotations

import argparse
import csv
import difflib
import hashlib
import io
import json
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import yaml

from autoencoder.config import Config, difference
from autoencoder.console import Console
from autoencoder.core.errors import InputError, OutputError
from autoencoder.core.types import Progress
from autoencoder.factory.detectors import make_scorer
from autoencoder.reports.files import reporting, write_whole
from autoencoder.reports.run_folder import RunFolder, plain
from autoencoder.scorers.base import Scorer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SETTINGS = "settings.yaml"
# settings that results do not depend on, and files of the program that they do depend on
WITHOUT_EFFECT = {"source", "follow", "detector", "plot", "checkpoint", "metrics", "synthetic", "yfinance", "csv", "prometheus"}
RESULT_CODE = (
    "detector.py",
    *(f"{package}/*.py" for package in ("adaptation", "scorers", "thresholds", "network", "benchmark")),
    "reports/incidents.py",
    "reports/tracker.py",
    "factory/runs.py",
    "core/durations.py",
)

Job = TypeVar("Job", bound=Hashable)
Result = TypeVar("Result")
Case = TypeVar("Case", bound="DataclassInstance")


@dataclass(slots=True)
class Bench:
    """One call of ``bench``."""

    arguments: argparse.Namespace
    config: Config
    detectors: Mapping[str, Config]  # the configuration with each detector that is measured, by name
    console: Console
    results: RunFolder = field(init=False)  # once it is opened

    def scorers(self, *others: str) -> dict[str, Callable[[], Scorer]]:
        """Makers of untrained scorers by detector, but for ``others``, which are none; OutputError where a package is missing."""
        chosen = {name: config for name, config in self.detectors.items() if name not in others}
        for config in chosen.values():
            make_scorer(config)
        return {name: partial(make_scorer, config) for name, config in chosen.items()}

    def open_results(self, config: Config | None = None, **sizes: object) -> Path:
        """The folder of results, which depend on ``config``, ``sizes`` and the program; those of a run with the same are kept.

        OutputError where it holds something else, or results of other settings, or cannot be written.
        """
        out: Path = self.arguments.out
        self.results = RunFolder(out, resume=True)
        chosen = (config or self.config).model_dump(mode="json", exclude=WITHOUT_EFFECT)
        settings = {"benchmark": self.arguments.what, "program": _digest(), **chosen, **sizes}
        path, text = out / SETTINGS, yaml.safe_dump(settings, sort_keys=False)
        if path.is_file():
            if changed := difference(path.read_text(encoding="utf-8", errors="replace"), text):
                raise OutputError(f"--out {out} holds results of other settings: {changed}; set it back, or give another folder")
        elif any(out.iterdir()):
            raise OutputError(f"--out {out} holds something other than results of a benchmark; give a new folder")
        self.results.write(SETTINGS, text)
        return out

    @contextmanager
    def training(self) -> Iterator[Progress]:
        """A progress bar for a training inside."""
        bar = self.console.progress("training")
        try:
            yield bar
        finally:
            bar.finish()

    def run_jobs(
        self,
        jobs: Mapping[Job, str],
        work: Callable[[Job], Result],
        done: Mapping[Job, Result] | None = None,
        keep: Callable[[Iterable[Result]], object] = lambda results: None,
    ) -> list[Result]:
        """Do each job, named for the progress bar, that is not ``done`` yet; results in order of the jobs.

        ``keep`` is given all results so far after each job, so that a run that is cut off can go on.
        """
        results = dict(done or {})
        bar = self.console.progress(f"bench {self.arguments.what}")
        for number, (job, name) in enumerate(jobs.items()):
            bar(number, len(jobs), name)
            if job not in results:
                results[job] = work(job)
                keep(results.values())
        bar.finish()
        ordered = [results[job] for job in jobs]
        keep(ordered)
        return ordered

    def run_cases(
        self,
        name: str,
        kind: Callable[..., Case],
        jobs: Mapping[Job, str],
        work: Callable[[Job], Case],
        job_of: Callable[[Case], Job],
    ) -> list[Case]:
        """As ``run_jobs``; the results are dataclasses of that kind, kept as lines of the file ``name``, by the job that each is of."""
        path: Path = self.results.path / name
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        done = {job_of(case): case for case in (kind(**json.loads(line)) for line in lines)}

        def keep(cases: Iterable[Case]) -> None:
            self.results.write(name, "".join(json.dumps(asdict(case)) + "\n" for case in cases))

        return self.run_jobs(jobs, work, done, keep)


def _digest() -> str:
    """Of the program, so that results of an older one are not taken for its own."""
    package = Path(__file__).resolve().parents[1]
    code = (path.read_bytes() for pattern in RESULT_CODE for path in sorted(package.glob(pattern)))
    return hashlib.sha256(b"".join(code)).hexdigest()[:12]


def require_folder(path: Path, layout: str) -> None:
    """InputError with ``layout`` where there is no such folder."""
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; {layout}")


def find_file(files: Mapping[Job, Sequence[str]], wanted: str) -> Job:
    """The file that ``--file`` names, of files with what it may call them, the shortest name last; InputError where there is none."""
    for file, names in files.items():
        if wanted in names:
            return file
    shortest = [names[-1] for names in files.values()]
    close = difflib.get_close_matches(wanted, shortest, n=1, cutoff=0.3) or shortest[:1]
    raise InputError(f"--file {wanted}: the benchmark has no such file; one is called {close[0]}")


def read_text(path: Path) -> str:
    """The text of a file of a benchmark; InputError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the folder's layout") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); it must be a readable text file in UTF-8") from None


def write_table(path: Path, columns: Mapping[str, Sequence[object] | npt.NDArray[Any]]) -> Path:
    """Put a csv file of results in place; unknown numbers are empty, the others have all their digits. RunError: it cannot be written."""
    cells = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell != cell else cell for cell in row] for row in zip(*cells, strict=True))
    with reporting(path, "choose another folder for the results"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.getvalue().encode())
    return path


# --- reports ---


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a benchmark: ``text`` is a few lines of Markdown, ``data`` is for programs, ``details`` is more Markdown."""

    text: str
    data: Mapping[str, Any]
    details: str = ""

    def write(self, folder: RunFolder) -> None:
        """Write summary.md and summary.json; numbers that are unknown or infinite become null."""
        folder.write("summary.md", f"{self.text}\n{self.details}")
        folder.write("summary.json", json.dumps(plain(self.data, None), indent=2) + "\n")


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


def grouped(items: Iterable[Result], key: Callable[[Result], Job]) -> dict[Job, list[Result]]:
    """Items by key, both in order of appearance."""
    groups: dict[Job, list[Result]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def untrained_lines(detectors: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown list of the files on which a detector was not trained, from the figures by detector; empty where there are none."""
    reasons = [(name, *reason) for name, figures in detectors.items() for reason in figures["untrained"].items()]
    lines = [f"- {name}, {file}: {reason}\n" for name, file, reason in reasons]
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
        return f"{_number(self.low)} to {_number(self.high)}" if self.is_known else ""

    def __str__(self) -> str:
        return _number(self.median) if self.is_known else "-"


def _number(value: float) -> str:
    """Three digits, or all digits before the point.

    >>> [_number(value) for value in (0.012345, 12.345, 1234.5)]
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
