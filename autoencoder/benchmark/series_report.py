"""Figures of ``bench series``: of one series, and of the sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoencoder.benchmark.controls import CONTROLS
from autoencoder.benchmark.metrics import (
    BY_FLAGS,
    BY_INCIDENTS,
    auc_pr,
    delay_f1,
    event_figures,
    row_figures,
    vus_pr,
)
from autoencoder.benchmark.runner import Report, grouped, table, untrained_lines
from autoencoder.core.types import Bools, Detections, Integers
from autoencoder.reports.incidents import Incident
from autoencoder.reports.wording import number_of
from autoencoder.thresholds.budget import interval_of

# points after an event's start that may pass before it is found, and points that labels are lengthened by, as EasyTSAD has them
DELAYS = {"aiops": (10, 5), "wsd": (10, 3), "tods": (3, 5), "yahoo": (3, 5)}
OTHER_DELAYS = (10, 3)
BUFFER, THRESHOLDS = 40, 120  # of VUS-PR
KEPT = (0.5, 3.0)  # flagged normal points in budgets, within which a budget counts as kept
T2Q = "t2q"  # control of several columns
ROWS = [f"{figure} by {by}" for by in (BY_FLAGS, BY_INCIDENTS) for figure in ("F1", "false", "missed")]
DAY = 86_400.0  # seconds
Figures = dict[str, Any]  # of one detector on one series, as in summary.json
RANKS, FLAGS = ("k-delay F1", "VUS-PR", "AUC-PR"), ("recall", "precision", "incident / event", "delay")
FALSE = ("budgets", f"{KEPT[0]:g} to {KEPT[1]:g}", "most", "a day")
RINGS = ("rings: recall", "precision", "a day")
INTRODUCTION = (
    "How well errors rank, how well flags meet events, and what else is flagged. The controls show what a detector adds: diff is\n"
    "|x_t - x_(t-1)|, ar24 the error of a robust linear regression on the last 24 values; where there are several columns, t2q is\n"
    "Hotelling's T-squared and the squared prediction error of a PCA, at their 99 % limits.\n"
)
MEANING = f"""
What the columns mean:

- k-delay F1, VUS-PR, AUC-PR: ranks of the errors, as means over the series with events.
- recall, precision: share of the events that are found, share of the incidents that touch an event, as means over series.
- incident / event: points of an incident beside those of an event, as medians.
- delay: points from the start of an event to its first flag, as a median.
- budgets: flagged share of the normal points / the budget, as a median over the series, and share of the series where that is
  {KEPT[0]:g} to {KEPT[1]:g}; most: the largest flagged share of the normal points of a series.
- a day: incidents a day on the series without events.
- rings: the same of the incidents that would ring, joined as in a run; rings a day as a median.
- F1, false, missed: of sets with several columns, every row by itself and all series together: F1, share of the normal rows that are
  called abnormal, share of the abnormal rows that are not; by flags, and by incidents from their first row to their last.

"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A detector on a series of a set, and why it was not trained, if so."""

    detector: str
    set_name: str
    file: str
    figures: Figures
    untrained: str | None
    rows: dict[str, Integers]  # see ``confusions``
    columns: int = 1


def figures_of(detections: Detections, labels: Bools, share: float, set_name: str, incidents: Sequence[Incident] = ()) -> Figures:
    """Measure detections of N points, and their incidents, by labels (N,); ``share`` of the normal points may be flagged.

    NaN where there is nothing to measure; days are those that the points span, 0 where they carry no times.
    """
    alarms = [(each.first_row, each.last_row + 1) for each in incidents if each.alarm]
    errors, time = detections.errors, detections.time
    known = errors[~np.isnan(errors)]
    ranked = np.where(np.isnan(errors), known.min(initial=0.0), errors)  # an unknown point ranks last
    flags = event_figures(detections.anomalies, labels, alarms)
    interval = interval_of(time)
    return {
        "points": len(time),
        "days": float((time.max() - time.min()) / np.timedelta64(1, "s") + interval) / DAY if interval else 0.0,
        "delay_f1": delay_f1(errors, labels, *delays_of(set_name)),
        "vus_pr": vus_pr(ranked, labels, BUFFER, THRESHOLDS),
        "auc_pr": auc_pr(ranked, labels),
        "budgets": flags.normal_flagged / share,
        **flags._asdict(),
    }


def delays_of(set_name: str) -> tuple[int, int]:
    """Longest delay of a detection, and points that labels are lengthened by, in points."""
    return DELAYS.get(set_name.lower(), OTHER_DELAYS)


def report(outcomes: Sequence[Outcome], budget: float | str) -> Report:
    """Tables by set, with a row for each detector."""
    sets = {name: _set_figures(name, group) for name, group in grouped(outcomes, lambda each: each.set_name).items()}
    untrained = {
        detector: {"untrained": {each.file: each.untrained for each in group if each.untrained}}
        for detector, group in grouped(outcomes, lambda each: each.detector).items()
    }
    parts = [f"# Labelled series\n\n{INTRODUCTION}", *(_set_text(name, figures, budget) for name, figures in sets.items())]
    text = "\n".join(parts) + untrained_lines(untrained)
    reasons = {detector: each["untrained"] for detector, each in untrained.items() if each["untrained"]}
    data = {"benchmark": "series", "budget": budget, "sets": sets, "untrained": reasons}
    return Report(text, data, _series_table(outcomes))


def _set_figures(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    delay, lengthened = delays_of(name)
    detectors = grouped(outcomes, lambda each: each.detector)
    first = [each.figures for each in next(iter(detectors.values()))]
    return {
        "series": len(first),
        "events": sum(one["events"] for one in first),
        "delay": delay,
        "labels_lengthened_by": lengthened,
        "detectors": {
            detector: _figures([each.figures for each in group]) | {"rows": row_figures([each.rows for each in group])}
            for detector, group in detectors.items()
        },
        "columns": max(each.columns for each in outcomes),
        "files": {
            file: {each.detector: each.figures for each in group}
            for file, group in grouped(outcomes, lambda each: each.file).items()
        },
    }


def _figures(series: Sequence[Figures]) -> dict[str, float]:
    """Of one detector on one set."""
    eventful = [one for one in series if one["events"]]
    calm = [one for one in series if not one["events"] and one["days"]]
    budgets = np.array([one["budgets"] for one in series])

    def over(summarise: Callable[[list[float]], Any], some: Sequence[Figures], part: str, whole: str = "") -> float:
        numbers = (one[part] / one[whole] if whole else one[part] for one in some if not whole or one[whole])
        known = [number for number in numbers if not math.isnan(number)]
        return float(summarise(known)) if known else math.nan

    return {
        **{key: over(np.mean, eventful, key) for key in ("delay_f1", "vus_pr", "auc_pr")},
        "event_recall": over(np.mean, eventful, "found", "events"),
        "incident_precision": over(np.mean, eventful, "right", "incidents"),
        "incident_points": over(np.median, series, "incident_points"),
        "event_points": over(np.median, eventful, "event_points"),
        "delay_points": over(np.median, eventful, "delay"),
        "budgets_flagged": over(np.median, series, "budgets"),
        "budget_kept": float(np.mean((budgets >= KEPT[0]) & (budgets <= KEPT[1]))),
        "most_flagged": over(np.max, series, "normal_flagged"),
        "false_incidents_a_day": over(np.mean, calm, "incidents", "days"),
        "ring_recall": over(np.mean, eventful, "rung_events", "events"),
        "ring_precision": over(np.mean, eventful, "right_rings", "rings"),
        "false_rings_a_day": over(np.median, calm, "rings", "days"),
    }


def _set_text(name: str, figures: Mapping[str, Any], budget: float | str) -> str:
    rows = [
        [
            _label(detector),
            *(_text(one[key], ".3f") for key in ("delay_f1", "vus_pr", "auc_pr")),
            *(_text(one[key], ".2f") for key in ("event_recall", "incident_precision")),
            f"{_text(one['incident_points'], ',.0f')} / {_text(one['event_points'], ',.0f')}",
            *(_text(one[key], form) for key, form in (("delay_points", ",.0f"), ("budgets_flagged", ".2f"))),
            *(_text(one[key], form) for key, form in (("budget_kept", ".0%"), ("most_flagged", ".2%"))),
            *(_text(one[key], ".2f") for key in ("false_incidents_a_day", "ring_recall", "ring_precision", "false_rings_a_day")),
        ]
        for detector, one in figures["detectors"].items()
    ]
    used = f"k = {figures['delay']}, labels {figures['labels_lengthened_by']} points longer, budget {budget}"
    heading = f"## {name}: {figures['series']} series, {number_of(figures['events'], 'event')} ({used})"
    text = f"{heading}\n\n{table(['detector', *RANKS, *FLAGS, *FALSE, *RINGS], rows)}"
    return text + _rows_text(figures) if figures["columns"] > 1 else text


def _rows_text(figures: Mapping[str, Any]) -> str:
    """F1 and rates of the rows, as the outlier table of SKAB has them."""
    rows = [
        [
            _label(detector),
            *(_text(share, "." + ("2f" if key == "f1" else "1%")) for by in one["rows"].values() for key, share in by.items()),
        ]
        for detector, one in figures["detectors"].items()
    ]
    return f"\nRow by row, {figures['columns']} columns:\n\n{table(['detector', *ROWS], rows)}"


def _label(detector: str) -> str:
    return f"{detector} (control)" if detector in (*CONTROLS, T2Q) else detector


def _text(number: float, form: str) -> str:
    return "-" if math.isnan(number) else format(number, form)


def _series_table(outcomes: Sequence[Outcome]) -> str:
    detectors = list(dict.fromkeys(each.detector for each in outcomes))
    rows = []
    for file, group in grouped(outcomes, lambda each: each.file).items():
        cells = {
            each.detector: "{} {found}/{events} {right}/{incidents} {}".format(
                _text(each.figures["delay_f1"], ".3f"), _text(each.figures["budgets"], ".2f"), **each.figures
            )
            for each in group
        }
        rows.append([file, *(cells.get(detector, "-") for detector in detectors)])
    cell = "k-delay F1, events found / events, incidents that touch one / incidents, flagged normal points in budgets"
    return f"{MEANING}By series: {cell}:\n\n{table(['series', *detectors], rows)}"
