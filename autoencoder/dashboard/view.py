"""View: the main part of the page: how the run stands, its chart, its incidents, its files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from autoencoder.dashboard.board import Phase, Snapshot
from autoencoder.dashboard.charts import View, describe, stretch_of
from autoencoder.dashboard.session import Monitor
from autoencoder.dashboard.sidebar import named
from autoencoder.reports.files import open_inside
from autoencoder.reports.run_folder import INCIDENTS, SCORES, has

HERE = Path(__file__).resolve().parent
EVERYTHING = "Everything"
VIEWS = {EVERYTHING: None, "Newest 5,000": 5000, "Newest 1,000": 1000}
MOST_INCIDENTS = 500  # newest ones in the table; incidents.jsonl has them all
COLORS = {
    Phase.RUNNING: "green",
    Phase.ENDED: "blue",
    Phase.FAILED: "red",
    Phase.STOPPED: "gray",
}
HTML = """<div class="chart">
<div class="head"><div class="legend"></div><div class="tools">
<button class="left" title="Move left">&lsaquo;</button><button class="right" title="Move right">&rsaquo;</button>
<button class="in" title="Zoom in (or drag over the chart)">+</button><button class="out" title="Zoom out">&minus;</button>
<button class="reset" title="Show everything again (or double-click)">Reset</button></div></div>
<div class="stage"><canvas class="below" role="img" aria-label="The stream and its errors over time"></canvas>
<canvas class="above"></canvas><div class="tip"></div></div></div>"""

_chart = st.components.v2.component(
    "stream_chart",
    html=HTML,
    css=(HERE / "chart.css").read_text(encoding="utf-8"),
    js=(HERE / "ticks.js").read_text(encoding="utf-8") + (HERE / "chart.js").read_text(encoding="utf-8"),
)


def show(monitor: Monitor) -> Snapshot:
    """Draw a run as it is now, and return that."""
    _forget_the_run_before(monitor)
    snapshot = monitor.snapshot()
    _headline(snapshot, monitor.controls.paused)
    if snapshot.fault:
        st.error(plain(snapshot.fault), icon=":material/error:")
    _training(snapshot)
    if snapshot.detections is not None:
        _counters(snapshot)
        _stream(snapshot)
        _incidents(snapshot)
    _words(snapshot)
    return snapshot


def _forget_the_run_before(monitor: Monitor) -> None:
    if st.session_state.get("monitor") is not monitor:
        st.session_state.monitor = monitor
        st.session_state.chosen = None
        _look_at(None)


def _look_at(zoom: tuple[float, float] | None) -> None:
    """Show this stretch; None: all of what is followed."""
    st.session_state.zoom = zoom
    st.session_state.focus = st.session_state.get("focus", 0) + 1


def _headline(snapshot: Snapshot, paused: bool) -> None:
    about, phase = snapshot.about, snapshot.phase
    waits = paused and snapshot.is_live
    badge = f":{'orange' if waits else COLORS.get(phase, 'violet')}-badge[{'Paused' if waits else phase.value}]"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"### {plain(about.name) if about else 'A new run'} {badge}", width="content")
        if snapshot.detections is not None:
            st.segmented_control(
                "Show",
                list(VIEWS),
                default=EVERYTHING,
                key="newest",
                label_visibility="collapsed",
                on_change=_look_at,
                args=(None,),
            )


def _training(snapshot: Snapshot) -> None:
    if snapshot.phase is Phase.STARTING:
        st.progress(0.0, "Opening the source …")
    elif snapshot.phase is Phase.TRAINING and snapshot.about:
        progress, what = snapshot.progress, f"Training: {named(snapshot.about.detector)}"
        if progress:
            text = f"{what}, {progress.done:,} of {progress.total:,}, {progress.note}"
            st.progress(min(progress.done / progress.total, 1.0), text)
        else:
            st.progress(0.0, f"{what}, on the first {snapshot.about.training_points:,} points …")


def _counters(snapshot: Snapshot) -> None:
    about, counts, quality = snapshot.about, snapshot.counts, snapshot.quality
    assert about
    budget = f"budget {_budget(counts.get('budget'), about.budget)}"
    with st.container(horizontal=True, gap="small", key="counters"):
        _counter("Points", f"{snapshot.points:,}", f"of {about.points:,}" if about.points else f"{counts['judged']:,} judged")
        _counter("Incidents", f"{len(snapshot.incidents):,}", f"{counts['flagged']:,} points flagged")
        if snapshot.labels is not None:
            share = quality["false_alarm_share"] if quality else math.nan
            help_ = (
                "Share of the points outside of all known anomalies that are flagged. The way back to normal after an anomaly "
                "counts among them; the budget is for normal points."
            )
            _counter("False alarms", _percent(share), budget, help_)
        else:
            help_ = "Share of the judged points that are flagged; which of them are false alarms is not known."
            _counter("Flagged", _percent(counts["flagged_share"]), budget, help_)
        _counter(
            "Points a second", f"{snapshot.rate:,.0f}" if snapshot.is_live else "–", "just now" if snapshot.is_live else "at rest"
        )
        since = f"since {_clock(snapshot.since)}" if snapshot.since else "not trained yet"
        _counter("Model in use", named(about.detector), f"{since}, threshold: {about.threshold}")


def _counter(label: str, value: str, under: str, help_: str | None = None) -> None:
    st.metric(label, value, under, delta_color="off", delta_arrow="off", border=True, help=help_, width="stretch")


def _stream(snapshot: Snapshot) -> None:
    state = st.session_state
    view = View(VIEWS[state.newest or EVERYTHING], state.zoom, state.focus, state.chosen)
    if data := describe(snapshot, view):
        _chart(key="chart", data=data, default={"range": None}, on_range_change=_zoomed)


def _zoomed() -> None:
    zoom = st.session_state.chart["range"]
    st.session_state.zoom = (float(zoom[0]), float(zoom[1])) if zoom else None


def _incidents(snapshot: Snapshot) -> None:
    st.subheader("Incidents", anchor=False)
    shown = snapshot.incidents[-MOST_INCIDENTS:]
    if not shown:
        st.caption("None so far." if snapshot.is_live else "None.")
        return
    st.session_state.incident_rows = [(incident.first_row, incident.last_row) for incident in shown]
    zone = " (UTC)" if snapshot.about and snapshot.about.timezone else ""
    table = {
        "severity": [incident.severity for incident in shown],
        "start": [_time(incident.start) for incident in shown],
        "length": [incident.last_row - incident.first_row + 1 for incident in shown],
        "expected": [_numbers(incident.expected) for incident in shown],
        "seen": [_numbers(incident.peak_value) for incident in shown],
        "state": ["open" if snapshot.is_open and incident is shown[-1] else "closed" for incident in shown],
    }
    column = st.column_config
    st.dataframe(
        table,
        key="incidents",
        hide_index=True,
        height=min(38 + 35 * len(shown), 320),
        on_select=_clicked,
        selection_mode=["single-row", "single-cell"],
        column_config={
            "severity": column.ProgressColumn("Severity", min_value=0.0, max_value=1.0, format="%.2f", width="small"),
            "start": column.TextColumn(f"Start{zone}", width="medium"),
            "length": column.NumberColumn("Length (points)", width="small"),
            "expected": column.TextColumn("Expected at its peak"),
            "seen": column.TextColumn("Seen at its peak"),
            "state": column.TextColumn("State", width="small"),
        },
    )
    left_out = len(snapshot.incidents) - len(shown)
    st.caption(
        "Click a row to see its stretch." + (f" The newest {MOST_INCIDENTS:,} are listed; the file has all." if left_out else "")
    )


def _clicked() -> None:
    selection = st.session_state.incidents.selection
    rows = selection.rows or [row for row, _ in selection.cells]
    known = st.session_state.incident_rows
    snapshot = st.session_state.monitor.snapshot()
    st.session_state.chosen = known[rows[0]] if rows and rows[0] < len(known) else None
    _look_at(stretch_of(snapshot, *st.session_state.chosen) if st.session_state.chosen else None)


def offer_files(folder: Path) -> None:
    """Buttons that download what the run has written so far."""
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, kind in ((SCORES, "text/csv"), (INCIDENTS, "application/x-ndjson")):
            st.download_button(
                name,
                partial(_content, folder / name),
                name,
                kind,
                key=f"download {name}",
                on_click="ignore",
                icon=":material/download:",
                disabled=not has(folder, name),
            )
        st.caption(f"from {plain(str(folder))}")


def _content(path: Path) -> bytes:
    with open_inside(path) as file:
        return file.read()


def _words(snapshot: Snapshot) -> None:
    if snapshot.notes:
        with st.expander("What the run said", expanded=False):
            st.code("\n".join(snapshot.notes), language=None, wrap_lines=True)


def _budget(share: Any, written: str) -> str:
    """The budget as a share where it is known, else as it was written."""
    return f"{100 * share:.3g} %" if share and share == share else written


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if share == share else "–"


def _clock(time: datetime) -> str:
    zone = ZoneInfo(st.context.timezone) if st.context.timezone else UTC
    return time.astimezone(zone).strftime("%H:%M:%S")


def _time(text: str) -> str:
    return text.removesuffix("Z").replace("T", " ").removesuffix(":00").removesuffix(" 00:00")


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.5g}" if value == value else "not known" for value in values)


def plain(text: str) -> str:
    """Words from outside as one line of Markdown that shows just them."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>()#+-.!|~:$" else sign for sign in " ".join(text.split()))
