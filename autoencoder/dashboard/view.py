"""View: the main part of the page: how the run stands, its chart, its incidents, its files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from autoencoder.core.errors import AutoencoderError
from autoencoder.dashboard.chart import View, describe, stretch_of
from autoencoder.dashboard.follow import Follower, Snapshot, State
from autoencoder.dashboard.sidebar import named
from autoencoder.feedback.store import LabelStore, add_feedback
from autoencoder.reports.files import open_inside
from autoencoder.reports.incidents import Incident, level_of
from autoencoder.reports.odometer import brief
from autoencoder.reports.run_folder import CONFIG, INCIDENTS, LOG, METRICS, SCORES, has
from autoencoder.reports.wording import COLUMNS, columns_text, length_text, silenced_text

HERE = Path(__file__).resolve().parent
EVERYTHING = "Everything"
VIEWS = {EVERYTHING: None, "Newest 5,000": 5000, "Newest 1,000": 1000}
MAX_INCIDENTS = 500  # worst ones in the table; incidents.jsonl has them all
FEEDBACK = {False: "false alarm", True: "anomaly"}  # what a person may say of an incident
COLORS = {State.RUNNING: "green", State.DONE: "blue", State.FAILED: "red", State.STOPPED: "gray"}
FILES = {SCORES: "text/csv", INCIDENTS: "application/x-ndjson", LOG: "text/plain"}  # name -> its kind
FILES |= {METRICS: "application/json", CONFIG: "application/yaml"}
_html, _css, *_js = ((HERE / name).read_text(encoding="utf-8") for name in ("chart.html", "chart.css", "ticks.js", "chart.js"))
_chart = st.components.v2.component("stream_chart", html=_html, css=_css, js="".join(_js))


def show(follower: Follower) -> Snapshot:
    """Draw a run as it is now, and return that."""
    if st.session_state.get("follower") is not follower:  # another run: what was looked at before means nothing to it
        st.session_state.follower = follower
        st.session_state.chosen = None
        _look_at(None)
    snapshot = follower.poll()
    _headline(snapshot)
    if snapshot.fault:
        st.error(plain(snapshot.fault), icon=":material/error:")
    training = f"Training on the first points, {snapshot.points:,} so far …"
    if text := {State.STARTING: "Opening the source …", State.TRAINING: training}.get(snapshot.state):
        st.html('<div class="waiting"></div>')
        st.caption(text)
    if snapshot.detections is not None:
        _counters(snapshot)
        _stream(snapshot)
        _incidents(snapshot)
    if follower.run and (said := follower.run.said):
        with st.expander("What the run said", expanded=False):
            st.code("\n".join(said), language=None, wrap_lines=True)
    return snapshot


def _look_at(zoom: tuple[float, float] | None) -> None:
    """Show this stretch; None: all of what is followed."""
    st.session_state.zoom = zoom
    st.session_state.focus = st.session_state.get("focus", 0) + 1


def _headline(snapshot: Snapshot) -> None:
    badge = f":{COLORS.get(snapshot.state, 'violet')}-badge[{snapshot.state.value}]"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"### {plain(snapshot.name)} {badge}", width="content")
        if snapshot.detections is not None:
            look: dict[str, Any] = {"on_change": _look_at, "args": (None,), "label_visibility": "collapsed"}
            st.segmented_control("Show", list(VIEWS), default=EVERYTHING, key="newest", **look)


def _counters(snapshot: Snapshot) -> None:
    config, odometer, known = snapshot.config, snapshot.odometer, snapshot.found
    assert config
    if snapshot.judged:
        st.markdown(f"**{plain(odometer.headline(known))}**")
    total = config.synthetic.points if config.source == "synthetic" else None
    with st.container(horizontal=True, gap="small", key="counters"):
        _counter("Points", f"{snapshot.points:,}", f"of {total:,}" if total else f"{snapshot.judged:,} judged")
        _counter("Incidents", f"{odometer.incidents:,}", f"{odometer.alarms:,} of them alarms")
        help_ = f"{odometer.line(known)}." if snapshot.judged else None
        _counter("Points flagged", f"{odometer.flagged:,}", f"budget {brief(odometer.allowed)}", help_)
        trained = f"trained on {snapshot.training_points:,} points" if snapshot.judged else "not trained yet"
        _counter("Model in use", named(config.detector), f"{trained}, threshold: {config.threshold.kind}")


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
    shown = sorted(snapshot.incidents, key=lambda incident: -incident.severity)[:MAX_INCIDENTS]
    if not shown:
        st.caption("None so far." if snapshot.is_live else "None.")
        return
    st.session_state.incident_rows = [(incident.first_row, incident.last_row) for incident in shown]
    zone, said = " (UTC)" if snapshot.is_zoned else "", LabelStore(snapshot.folder).said
    table = {
        "Severity": [incident.severity for incident in shown],
        "Level": [level_of(incident.severity) for incident in shown],
        f"Start{zone}": [_moment(incident.start) for incident in shown],
        "Length": [length_text(incident) for incident in shown],
        **_seen(shown),
        "State": [incident.close_reason or ("open" if snapshot.open else "closed") for incident in shown],
        "Rang": [_moment(incident.alarm_time or f"no{silenced_text(incident)}") for incident in shown],
        "Feedback": [FEEDBACK[said[incident.id]] if incident.id in said else "" for incident in shown],
    }
    bar = st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="%.2f", width="small")
    look: dict[str, Any] = {"hide_index": True, "height": min(38 + 35 * len(shown), 320), "column_config": {"Severity": bar}}
    st.dataframe(table, key="incidents", on_select=_clicked, selection_mode=["single-row", "single-cell"], **look)
    worst = f" The {MAX_INCIDENTS:,} worst are listed; the file has all." if len(shown) < len(snapshot.incidents) else ""
    st.caption(f"The worst first. Click a row to see its stretch, and to say what it was.{worst}")
    chosen = next((each for each in shown if (each.first_row, each.last_row) == st.session_state.chosen), None)
    if chosen and chosen.close_reason:
        with st.container(horizontal=True, vertical_alignment="center", key="feedback"):
            for label, text in FEEDBACK.items():
                st.button(text, key=f"feedback {label}", on_click=_say, args=(snapshot.folder, chosen.id, label))
            st.caption(plain(st.session_state.get("said", "")))


def _say(folder: Path, number: int, label: bool) -> None:
    try:
        add_feedback(folder, number, label=label)
        st.session_state.said = "What is like it does not ring any more." if not label else "It is never learnt as normal."
    except AutoencoderError as error:
        st.session_state.said = str(error)


def _moment(time: str) -> str:
    return time.rstrip("Z").replace("T", " ").removesuffix(":00")


def _seen(shown: Sequence[Incident]) -> dict[str, list[str]]:
    """What was expected and seen at the peak of each incident, in its worst columns where there are several."""
    if any(incident.columns for incident in shown):
        worst = [[(each.expected, each.value) for each in incident.columns[:COLUMNS]] or [(None, None)] for incident in shown]
        return {
            "Columns": [columns_text(incident) for incident in shown],
            "Expected there": [_numbers([expected for expected, _ in each]) for each in worst],
            "Seen there": [_numbers([value for _, value in each]) for each in worst],
        }
    return {
        "Expected at its peak": [_numbers(incident.expected) for incident in shown],
        "Seen at its peak": [_numbers(incident.peak_value) for incident in shown],
        "Direction": ["/".join(each or "not known" for each in incident.direction) for incident in shown],
    }


def _clicked() -> None:
    selection = st.session_state.incidents.selection
    rows = selection.rows or [row for row, _ in selection.cells]
    known = st.session_state.incident_rows
    snapshot = st.session_state.follower.poll()
    st.session_state.chosen = known[rows[0]] if rows and rows[0] < len(known) else None
    st.session_state.said = ""
    _look_at(stretch_of(snapshot, *st.session_state.chosen) if st.session_state.chosen else None)


def offer_files(folder: Path) -> None:
    """Buttons that download what the run has written so far."""
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, kind in FILES.items():
            if has(folder, name):
                look: dict[str, Any] = {"on_click": "ignore", "icon": ":material/download:"}
                st.download_button(name, partial(open_inside, folder / name), name, kind, key=f"download {name}", **look)
        st.caption(f"from {plain(str(folder))}")


def _numbers(values: Sequence[float | None]) -> str:
    return ", ".join("not known" if value is None or value != value else f"{value:.5g}" for value in values)


def plain(text: str) -> str:
    """Words from outside as one line of Markdown that shows just them."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>()#+-.!|~:$" else sign for sign in " ".join(text.split()))
