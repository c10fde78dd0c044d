"""Summary: what a run leaves once its stream is over: metrics.json and the closing lines."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from autoencoder.alerts.sink import Alerts
from autoencoder.config import Config
from autoencoder.console import Stopwatch
from autoencoder.core.events import DECLARED, DROPPED
from autoencoder.factory.runs import zone_of
from autoencoder.pipeline import Run
from autoencoder.reports.incidents import GAPS, time_text
from autoencoder.reports.logs import event_time
from autoencoder.reports.odometer import Known, Odometer
from autoencoder.reports.run_folder import ADAPTATIONS, RESULTS, has
from autoencoder.reports.statistics import RunStatistics, SeriesStatistics
from autoencoder.reports.wording import length_text, number_of, seen_text, severity_text

FEW_JUDGED = 0.9  # share of the points below which the reason is told
MAX_DETAILED = 10  # series whose counts are in metrics.json


def write_metrics(
    config: Config, run: Run, fault: BaseException | None, watch: Stopwatch, alerts: Alerts | None
) -> dict[str, Any]:
    """Write metrics.json; returns what it holds."""
    source = run.source
    adaptation = run.panel.adaptation_report()
    told = ((f"series {name!r}: " if name is not None else "", each) for name, each in run.panel.notes.items())
    notes = [where + note for where, each in told for note in each]  # of the points beside the model, as they were told
    metrics = {
        "status": "done" if fault is None else "interrupted" if isinstance(fault, KeyboardInterrupt) else f"failed: {fault}",
        "source": {"kind": config.source, "name": source.name, "columns": source.columns, "timezone": source.timezone},
        "detector": config.detector,
        "threshold": config.threshold.kind,
        "counts": run.statistics.counts(_budget(run)),
        "odometer": _odometer(run).record(),
        "incidents": _gaps(run),
        "training": run.panel.info(),
        **({"notes": notes} if notes else {}),
        "quality": _quality(run),
        "known_anomalies": run.statistics.known_anomalies(_training_points(run)),
        **({"adaptation": adaptation} if adaptation else {}),
        **({"series": _series(run)} if source.has_series else {}),
        "alerts": alerts.counts() if alerts else None,
        "seconds": watch.report(),
    }
    run.folder.write_metrics(metrics)
    return metrics


def closing_lines(run: Run, metrics: dict[str, Any]) -> list[str]:
    """What a person is told at the end."""
    name, panel, counts, odometer = run.source.name, run.panel, metrics["counts"], _odometer(run)
    lines = []
    if run.source.has_series:
        left_out = len(panel) - len(panel.scored)
        told = f", {left_out:,} of them left out (metrics.json says why)" if left_out else ""
        lines.append(f"{name}: {len(panel):,} series{told}")
    missing = f", {counts['missing']:,} missing" if counts["missing"] else ""
    trained = f"{panel.training_points:,} of them trained on"
    lines.append(f"{name}: {counts['points']:,} points, {trained}, {odometer.judged:,} judged{missing}")
    lines += [*_unjudged(run), *_cold(run), *_season(run), *_changes(run)]
    if odometer.judged:
        known = Known.of(metrics["quality"])
        lines += [odometer.headline(known), odometer.line(known)]
    files = [each for each in RESULTS if has(run.folder.path, each)]
    return [*lines, *incident_lines(run.statistics, odometer), f"{run.folder.path}: {', '.join(files)}"]


def incident_lines(statistics: RunStatistics, odometer: Odometer) -> list[str]:
    """How many there were, which did not ring, and the worst."""
    if not statistics.worst:
        return []
    lines, held = [], statistics.silenced
    if held:
        each = ", ".join(f"{count:,} by {by}" for by, count in held.items())
        lines.append(f"{number_of(sum(held.values()), 'incident')} did not ring: {each}")
    alarms = f"{odometer.alarms:,} of them {'an alarm' if odometer.alarms == 1 else 'alarms'}"
    lines.append(f"{number_of(odometer.incidents, 'incident')}, {alarms}; the worst:")
    for incident in statistics.worst:
        series = "" if incident.series is None else f", series {incident.series!r}"
        seen = f"{severity_text(incident)}: {seen_text(incident, digits=5)}, {length_text(incident)}"
        lines.append(f"  {incident.peak_time}  {seen}, {incident.close_reason or 'open'}{series}")
    return lines


def _unjudged(run: Run) -> list[str]:
    """Why less than ``FEW_JUDGED`` of the points after the training parts were judged, where that is so."""
    statistics = run.statistics
    left_out = sum(statistics.series[one.name].points for one in run.panel if one.left_out and one.name in statistics.series)
    training = run.panel.training_points
    to_judge = sum(one.points for one in statistics.series.values()) - training
    if statistics.judged >= FEW_JUDGED * to_judge:
        return []
    others = to_judge - statistics.judged - left_out
    early = 0 if training else max(0, min(others, statistics.waiting - left_out))  # a window is full where a training part ends
    reasons = {"have a missing value": others - early, "came before a window was full": early, "are of series left out": left_out}
    why = ", ".join(f"{count:,} {what}" for what, count in reasons.items() if count > 0)
    return [f"only {statistics.judged / to_judge:.0%} of {to_judge:,} points were judged: {why}"]


def _cold(run: Run) -> list[str]:
    """What began without a full window although the model has one, where there is something."""
    starts = [one.start for one in run.panel if one.start]
    cold = [start for start in starts if start.is_cold]
    if not cold:
        return []
    which = "the points begin" if not run.source.has_series else f"{len(cold):,} of {len(starts):,} series begin"
    return [
        f"{which} before the end of what the model has seen, so it took from it what it has learnt and filled its window anew"
    ]


def _season(run: Run) -> list[str]:
    """Which season was too long to be learnt, if there is one."""
    short = [one for one in run.panel.scored if one.detector.lacks_season]
    if not short:
        return []
    which = "" if not run.source.has_series else f" in {len(short):,} of {len(run.panel.scored):,} series"
    return [f"{short[0].detector.lacks_season}{which}"]


def _changes(run: Run) -> list[str]:
    """What became of changes that stay, if there were any."""
    done = run.panel.adaptations
    declared = [event for event in done if event.event == DECLARED]
    if not declared:
        return []
    models, last = sum(event.adopts_change for event in done), max(declared, key=lambda event: event.time)
    when = time_text(np.array([event_time(last)]), zone_of(run.source))[0]
    often = f" {len(declared):,} times, last seen" if len(declared) > 1 else ", seen"
    if models:
        outcome = f"{number_of(models, 'new model')} took over"
    elif any(event.event == DROPPED for event in done):
        outcome = "the model stays, as none that was trained since is better"
    else:
        outcome = "no other model is trained yet"
    return [f"the stream has changed for good{often} at {when}: {outcome}; {ADAPTATIONS} says more"]


def _budget(run: Run) -> float:
    """The share of normal points that may be flagged: the mean of what each point was allowed."""
    judged_by = {name: one.judged for name, one in run.statistics.series.items()}
    allowed = [(one.detector.current.share, judged_by.get(one.name, 0)) for one in run.panel.scored]
    judged = sum(count for _, count in allowed)
    if len(allowed) == 1:
        return allowed[0][0]
    return sum(share * count for share, count in allowed if count) / judged if judged else float("nan")


def _quality(run: Run) -> dict[str, Any] | None:
    kinds: dict[str, list[tuple[int, int]]] = {}
    for event in run.source.events(run.rows):
        kinds.setdefault(event.kind, []).append((event.start, event.end))
    return run.statistics.quality(_training_points(run), kinds)


def _training_points(run: Run) -> dict[str | None, int]:
    return {one.name: one.detector.current.training_points for one in run.panel.scored}


def _odometer(run: Run) -> Odometer:
    """What was flagged and rung so far, against the budget."""
    judged_by = {one.name: one.detector.current for one in run.panel.scored}
    series = run.statistics.series.items()
    each = [
        one.odometer(judged_by[name].share, judged_by[name].interval) for name, one in series if one.judged and name in judged_by
    ]
    return Odometer.total(each or [SeriesStatistics().odometer(0.0, 0.0)])


def _gaps(run: Run) -> dict[str, Any]:
    """The settings of the incidents in points, and those of the series that have others."""
    gaps = {one.name: one.tracker.gaps for one in run.panel.scored if one.detector.current.trained}
    if not gaps:
        return {}
    usual, _ = Counter(gaps.values()).most_common(1)[0]
    others = {name: dict(zip(GAPS, each, strict=True)) for name, each in gaps.items() if each != usual}
    return {**dict(zip(GAPS, usual, strict=True)), **({"series": others} if others else {})}


def _series(run: Run) -> dict[str, Any]:
    statistics, kept = run.statistics.series, ("points", "judged", "flagged")
    worst = [(name, statistics[name]) for name in worst_first(run) if name in statistics and statistics[name].spans]
    return {
        "count": len(run.panel),
        "judged": len(run.panel.scored),
        "left_out": {one.name: one.left_out for one in run.panel if one.left_out},
        "worst": [
            {"series": name, **{key: getattr(one, key) for key in kept}, "incidents": len(one.spans), "severity": one.severity}
            for name, one in worst[:MAX_DETAILED]
        ],
    }


def worst_first(run: Run) -> list[str | None]:
    """The names of the series that are scored, those with the most severe incidents first."""
    statistics, nothing = run.statistics.series, SeriesStatistics()
    return sorted((one.name for one in run.panel.scored), key=lambda name: -statistics.get(name, nothing).severity)
