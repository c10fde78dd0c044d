"""Page: what ``streamlit run`` shows; it starts runs, watches them and draws what they tell. It computes nothing of its own."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # Streamlit runs this file as a script, from any folder

import atexit

import streamlit as st

from autoencoder.core.errors import ConfigError
from autoencoder.dashboard.board import Snapshot
from autoencoder.dashboard.choices import Choice, begin
from autoencoder.dashboard.session import Desk, Monitor
from autoencoder.dashboard.sidebar import PACES, choose, pace
from autoencoder.dashboard.view import offer_files, plain, show

UPDATE_SECONDS = 0.3  # between two looks at a run that goes on
Frame = tuple[bool, Path | None]
STYLE = """<style>
.stMainBlockContainer { padding: 2.4rem 2rem 2rem; }
[data-stale="true"] { opacity: 1 !important; transition: none !important; }
[data-testid="stStatusWidget"] { display: none; }
[data-testid="stMetricValue"] { font-variant-numeric: tabular-nums; }
.st-key-counters { display: grid; grid-template-columns: repeat(4, 1fr) 1.7fr; gap: 0.75rem; }
.st-key-counters [data-testid="stMetric"] { padding: 0; }
.st-key-counters [data-testid="stMetric"] > div { padding: 0.6rem 0.75rem; }
@media (max-width: 900px) {
  .stMainBlockContainer { padding: 3.2rem 1rem 1rem; }
  .st-key-counters { grid-template-columns: repeat(2, 1fr); }
  .st-key-counters > :last-child { grid-column: span 2; }
}
</style>"""


@st.cache_resource
def desk() -> Desk:
    """The one that all pages of this process share: a page that is loaded again finds its run."""
    made = Desk()
    atexit.register(made.close)
    return made


def main() -> None:
    """Show the page."""
    st.set_page_config(page_title="Anomaly monitor", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
    st.html(STYLE)
    with st.sidebar:
        st.title("Anomaly monitor", anchor=False)
        buttons = st.container()
        choice = _choose()
        _speed()
        with buttons:
            _steer(choice)
    if fault := st.session_state.get("fault"):
        st.error(plain(fault), icon=":material/error:")
    if (monitor := desk().monitor) is None:
        _welcome(choice)
        return
    before = _frame(monitor.snapshot())
    st.fragment(_watch, run_every=UPDATE_SECONDS if before[0] else None)(monitor, before)
    if folder := before[1]:
        offer_files(folder)  # out here, for a button that is replaced three times a second is hard to hit
    if choice and choice.settings:
        with st.expander("The settings in the sidebar as a command line"):
            st.code(choice.command_line(), language="bash", wrap_lines=True)


def _watch(monitor: Monitor, before: Frame) -> None:
    """Draw the run as it is now; this alone is done anew while the run goes on."""
    if _frame(show(monitor)) != before:
        st.rerun()


def _frame(snapshot: Snapshot) -> Frame:
    """What the rest of the page depends on: whether the run goes on, and its folder, where it has written something."""
    folder = snapshot.about.folder if snapshot.about else None
    return snapshot.is_live, folder if snapshot.detections is not None else None


def _welcome(choice: Choice | None) -> None:
    """What is to be done on an empty page."""
    with st.container(border=True, key="welcome"):
        st.markdown("### Watch a series for anomalies")
        st.markdown(
            "1. Choose a **source** in the sidebar: a synthetic stream, a sample, a file of your own, prices, or a run of "
            "another process.\n"
            "2. Press **Start monitoring**. The first part of the series trains the detector.\n"
            "3. From then on every point is judged as it arrives; what is unusual is flagged and listed as an **incident**."
        )
        label = "Start with what the sidebar says"
        st.button(label, icon=":material/play_arrow:", key="start_here", disabled=choice is None, on_click=_start, args=(choice,))


def _choose() -> Choice | None:
    try:
        return choose()
    except ConfigError as error:  # of config.yaml
        st.error(plain(str(error)), icon=":material/error:")
        return None


def _speed() -> None:
    st.subheader("Speed", anchor=False)
    st.select_slider(
        "Points a second",
        PACES,
        500,
        key="pace",
        on_change=_set_pace,
        help="After the training part; may be changed at any time.",
    )


def _set_pace() -> None:
    if monitor := desk().monitor:
        monitor.controls.set_pace(pace())


def _steer(choice: Choice | None) -> None:
    """Start, pause and stop."""
    if st.button(
        "Start monitoring", type="primary", width="stretch", icon=":material/play_arrow:", disabled=choice is None, key="start"
    ):
        _start(choice)
    monitor = desk().monitor
    live = monitor is not None and monitor.snapshot().is_live
    left, right = st.columns(2)
    if monitor and live and monitor.controls.paused:
        left.button("Go on", width="stretch", icon=":material/resume:", key="resume", on_click=monitor.controls.resume)
    else:
        act = monitor.controls.pause if monitor else None
        left.button("Pause", width="stretch", icon=":material/pause:", key="pause", disabled=not live, on_click=act)
    act = monitor.controls.stop if monitor else None
    right.button("Stop", width="stretch", icon=":material/stop:", key="stop", disabled=not live, on_click=act)


def _start(choice: Choice | None) -> None:
    if choice is None:
        return
    st.session_state.fault = None
    try:
        if not desk().start(lambda: begin(choice, pace())):
            st.session_state.fault = "the run before this one has not stopped yet; try again in a moment"
    except ConfigError as error:
        st.session_state.fault = str(error)


main()
