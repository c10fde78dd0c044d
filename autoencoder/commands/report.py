"""The command ``report``: what a run flagged and rang, beside what it would have with other settings, from its scores.csv."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoencoder.config import Config, leaves, load
from autoencoder.config.schema import Incidents
from autoencoder.console import Console
from autoencoder.core.errors import ConfigError, InputError, RunError
from autoencoder.core.types import Detections
from autoencoder.factory.rules import make_policy, settings_of
from autoencoder.factory.runs import gaps_of, make_tracker
from autoencoder.feedback.policy import Oracle
from autoencoder.reports.incidents import GAPS
from autoencoder.reports.odometer import PERIODS, brief
from autoencoder.reports.replay import Replay, RunRecord, at_score, read_record, replay
from autoencoder.reports.run_folder import CONFIG, FEEDBACK, SCORES, has, is_folder, require_inside
from autoencoder.reports.scores_csv import read_series
from autoencoder.scorers.base import DECADES
from autoencoder.thresholds.budget import Budget, interval_of
from autoencoder.thresholds.peaks_over_threshold import AIM

BUDGET = "threshold.budget"
SETTINGS = (BUDGET, *(f"incidents.{key}" for key in ("cooldown", "merge_gap", "min_length", "min_severity", "hysteresis")))
WINDOWS = {  # detector -> the settings of its window; that of the network depends on the stream
    "isolation_forest": "forest",
    "isolation_forest_sliding": "forest",
    "half_space_trees": "half_space_trees",
    "windowed_gaussian": "windowed_gaussian",
}
DESCRIPTION = "Says what a run flagged and rang, and what it would have with another budget, cooldown, merge gap or least length."
ESTIMATE = (
    "What another budget flags is an estimate: points count whose score promises to be as rare, and the threshold of such a run would have "
    "learnt from other points."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``report``."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the --out folder of a run")
    help_ = f"what is asked for instead; repeatable: {', '.join(SETTINGS)}"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=help_)
    help_ = "what would ring if each false alarm had been labelled as it was over; both: each anomaly that rang, too"
    parser.add_argument("--oracle", choices=("false", "both"), help=help_)


def main(arguments: argparse.Namespace, console: Console) -> int:
    """Print what the run in a folder flagged and rang, and what other settings would have; returns the exit code.

    Raises:
        ConfigError: a setting is unknown, wrong, or means nothing here.
        InputError: the folder holds no run.
        ModelFileError: what it holds is damaged.
        RunError: stdout cannot be written.
    """
    folder: Path = arguments.folder
    for name in (SCORES, CONFIG):
        if not has(folder, name):
            what = f"holds no {name}" if is_folder(folder) else "is not a folder"
            raise InputError(f"report: {folder} {what}; give the --out folder of a run")
    config = load(None, saved=require_inside(folder, CONFIG), whole=True)
    asked, changed = _asked(config, folder, arguments.set)
    series, is_torn = read_series(folder)
    if not series:
        raise InputError(f"report: {folder / SCORES} holds no row yet; ask again when the run has begun")
    if is_torn:
        console.print(f"{folder / SCORES}: the last line is cut off, and left out")
    run = read_record(folder, series)
    if arguments.oracle and not run.anomalies:
        raise ConfigError(f"report: --oracle needs known anomalies, and {folder} has none; run with --label-column")
    columns = {"as run": _replay(run, config, config), **({"asked for": _replay(run, config, asked)} if changed else {})}
    if arguments.oracle:
        columns["labelled"] = _replay(run, config, asked, arguments.oracle)
    points, done = sum(map(len, series.values())), columns["as run"].odometer
    days = f", {brief(done.days)} days" if done.days > 0 else ""
    lines = [f"{folder}: {points:,} points, {done.judged:,} judged{days}"]
    lines += [f"{key}: {_value(config, key)} as run, {_value(asked, key)} asked for" for key in changed]
    lines += _table(columns)
    lines += [ESTIMATE] if BUDGET in changed else []
    lines += (
        [f"What was said in {FEEDBACK} is left out: the incidents that it held back ring here."] if has(folder, FEEDBACK) else []
    )
    _print(lines)
    return 0


def _print(lines: Sequence[str]) -> None:
    try:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    except OSError as error:
        with Path(os.devnull).open("wb") as nowhere:  # takes what the stream still holds back, too
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise RunError(f"report: its table cannot be written ({error.strerror}); send it to another place") from None


def _asked(config: Config, folder: Path, texts: Sequence[str]) -> tuple[Config, list[str]]:
    """The configuration with what is asked for, and which settings differ by that."""
    before = dict(leaves(config.model_dump()))
    for text in texts:
        one = dict(leaves(load(None, texts=[text], saved=folder / CONFIG, whole=True).model_dump()))
        key = text.partition("=")[0].strip()
        meant = [each for each in one if one[each] != before[each]] or [key] * (key in before)
        for each in meant:
            if each not in SETTINGS:
                raise ConfigError(
                    f"{each} means nothing to report, which has the scores of the run alone; run anew with it, or ask for "
                    f"{', '.join(SETTINGS[:-1])} or {SETTINGS[-1]}"
                )
    asked = load(None, texts=texts, saved=folder / CONFIG, whole=True)
    after = dict(leaves(asked.model_dump()))
    return asked, [key for key in SETTINGS if before[key] != after[key]]


def _value(config: Config, key: str) -> Any:
    return dict(leaves(config.model_dump()))[key]


def _replay(run: RunRecord, config: Config, asked: Config, oracle: str | None = None) -> Replay:
    """Go through the rows of a run again with what is asked for instead of its own configuration, and what an oracle says."""
    return Replay.total(_replay_one(run, config, asked, oracle, name, each) for name, each in run.series.items())


def _replay_one(
    run: RunRecord, config: Config, asked: Config, oracle: str | None, name: str | None, detections: Detections
) -> Replay:
    interval = interval_of(detections.time)
    was, now = settings_of(config, name), settings_of(asked, name)
    before, share = (Budget.parse(each.threshold.budget).share(interval) for each in (was, now))
    if share != before:
        detections = at_score(detections, _limit(now, share), is_larger=share > before)
    chosen, usual = _incidents(run, was, now, name)
    anomalies = None if run.anomalies is None else run.anomalies.get(name, ())
    said = Oracle(detections, anomalies or (), confirms=oracle == "both") if oracle else None
    policy = make_policy(config, name, is_zoned=run.is_zoned, labels=said.labels if said else None)
    tracker = make_tracker(chosen, policy=policy)
    tracker.set_gaps(*gaps_of(chosen, usual, interval))
    adopted, say = run.adopted.get(name, ()), said.say if said else None
    return replay(detections, tracker, adopted, share=share, interval=interval, anomalies=anomalies, on_closed=say)


def _limit(asked: Config, share: float) -> float:
    """The score above which a point is flagged where so large a share of normal points may be."""
    limit = -math.log10(share * (AIM if asked.threshold.kind == "tail" else 1.0)) / DECADES
    if limit >= 1.0:
        raise ConfigError(f"{BUDGET} is {asked.threshold.budget}, and scores tell nothing rarer than one in 10^10; ask for more")
    return limit


def _incidents(run: RunRecord, config: Config, asked: Config, name: str | None) -> tuple[Incidents, int]:
    """What is asked for of the incidents of a series, as the run counted it where it is the same, and the points of an "auto"."""
    known, chosen = run.gaps.get(name, {}), asked.incidents
    same = {key: known[key] for key in GAPS if key in known and getattr(chosen, key) == getattr(config.incidents, key) != "auto"}
    usual = config.network.sequence_length
    if config.detector in WINDOWS and not config.starts_early(of_many=name is not None):
        usual = min(usual, getattr(config, WINDOWS[config.detector]).window)
    if config.incidents.merge_gap == "auto":
        usual = known.get("merge_gap", usual)
    return chosen.model_copy(update=same), usual


def _table(columns: Mapping[str, Replay]) -> list[str]:
    """One column an odometer, numbers to the right."""
    meters = [each.odometer for each in columns.values()]
    rows = [["", *columns]]

    def add(label: str, counts: Sequence[float]) -> None:
        rows.append([label, *(f"{count:,}" if isinstance(count, int) else brief(count) for count in counts)])
        for period in PERIODS if any(meter.days > 0 for meter in meters) else ():
            rows.append([f"  {period}", *(brief(meter.per(count, period)) for meter, count in zip(meters, counts, strict=True))])

    add("points flagged", [meter.flagged for meter in meters])
    add("the budget for normal points", [meter.allowed for meter in meters])
    add("incidents", [meter.incidents for meter in meters])
    add("alarms (rings)", [meter.alarms for meter in meters])
    if any(each.silenced for each in columns.values()):
        add("held back", [each.silenced for each in columns.values()])
    known = [each.known for each in columns.values() if each.known and each.known.anomalies]
    if known:
        rows.append(["known anomalies found", *(each.found_text for each in known)])
        rows.append(["  that rang", *(f"{each.rung:,}" for each in known)])
        rows.append(["false alarms", *(f"{each.false_alarms:,}" for each in known)])
        rows.append(["points flagged outside of them", *(f"{each.normal_flagged:,}" for each in known)])
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        "  ".join([f"{row[0]:{first}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], others, strict=True))])
        for row in rows
    ]
