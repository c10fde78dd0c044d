"""Page: what ``streamlit run`` shows; it starts runs, reads their folders and draws them. It computes nothing of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # Streamlit runs this file as a script, from any folder

import streamlit as st

from autoencoder.core.errors import ConfigError
from autoencoder.dashboard.follow import Follower, Snapshot
from autoencoder.dashboard.launch import LAUNCHER, Choice
from autoencoder.dashboard.sidebar import choose
from autoencoder.dashboard.view import offer_files, plain, show

UPDATE_SECONDS = 0.4  # between two looks at a run that goes on
WELCOME = Path(__file__).with_name("welcome.md").read_text(encoding="utf-8")
Chosen = Choice | Path | None
STYLE = f"<style>{Path(__file__).with_name('page.css').read_text(encoding='utf-8')}</style>"


def main() -> None:
    """Show the page."""
    st.set_page_config(page_title="Anomaly monitor", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
    st.html(STYLE)
    follower = LAUNCHER.follower
    with st.sidebar:
        st.title("Anomaly monitor", anchor=False)
        buttons = st.container()
        choice: Chosen = None
        try:
            choice = choose()
        except ConfigError as error:  # of config.yaml
            st.error(plain(str(error)), icon=":material/error:")
        with buttons:
            _start_button("Start monitoring", choice, key="start", type="primary")
            run = follower.run if follower and follower.poll().is_live else None
            stop = run.stop if run else None
            st.button("Stop", icon=":material/stop:", key="stop", disabled=not run, on_click=stop, width="stretch")
    if fault := st.session_state.get("fault"):
        st.error(plain(fault), icon=":material/error:")
    if follower is None:
        with st.container(border=True, key="welcome"):
            st.markdown(WELCOME)
            _start_button("Start with what the sidebar says", choice, key="start_here")
        return
    before = _frame(follower.poll())
    st.fragment(_watch, run_every=UPDATE_SECONDS if before[0] else None)(follower, before)
    if before[1]:
        offer_files(follower.poll().folder)  # out here, for a button that is replaced twice a second is hard to hit
    if isinstance(choice, Choice):
        with st.expander("The settings in the sidebar as a command line"):
            st.code(choice.command_line(), language="bash", wrap_lines=True)


def _watch(follower: Follower, before: tuple[bool, bool]) -> None:
    """Draw the run as it is now; this alone is done anew while the run goes on."""
    if _frame(show(follower)) != before:
        st.rerun()


def _frame(snapshot: Snapshot) -> tuple[bool, bool]:
    """What the rest of the page depends on: whether the run goes on, and whether it has written something."""
    return snapshot.is_live, snapshot.detections is not None


def _start_button(label: str, choice: Chosen, **options: Any) -> None:
    st.button(
        label, icon=":material/play_arrow:", disabled=not choice, on_click=_start, args=(choice,), width="stretch", **options
    )


def _start(choice: Choice | Path) -> None:
    st.session_state.fault = None
    try:
        LAUNCHER.begin(choice)
    except ConfigError as error:
        st.session_state.fault = str(error)


main()
