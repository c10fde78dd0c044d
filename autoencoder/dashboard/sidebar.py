"""Sidebar: the fields in which a person says what to watch, and how fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import streamlit as st

from autoencoder.config import Config, load
from autoencoder.dashboard.choices import SAMPLES, SUFFIXES, TIME_COLUMN, VALUE_COLUMN, Choice, Upload, samples
from autoencoder.dashboard.folder import run_folders
from data.synthetic import KINDS

SOURCES = {
    "synthetic": "Synthetic stream",
    "sample": "Sample series",
    "upload": "Uploaded file",
    "yfinance": "Yahoo Finance ticker",
    "folder": "Run folder of another process",
}
NAMES = {
    "lstm_autoencoder": "LSTM autoencoder",
    "isolation_forest": "Isolation forest",
    "isolation_forest_sliding": "Isolation forest, sliding",
    "half_space_trees": "Half-space trees",
    "windowed_gaussian": "Windowed Gaussian",
}
PERIODS = ("1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "max")
INTERVALS = ("1d", "1h", "30m", "15m", "5m", "1m", "1wk")
FAST = "as fast as possible"
PACES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, FAST)


def named(key: str) -> str:
    """What a detector is called."""
    return NAMES.get(key, key.replace("_", " "))


def pace() -> float | None:
    """Points a second that the slider asks for; None: as fast as possible."""
    chosen = st.session_state.get("pace", FAST)
    return None if chosen == FAST else float(chosen)


def choose() -> Choice:
    """Show the fields; returns what they say."""
    defaults = load(None)
    st.subheader("Source", anchor=False)
    source = st.selectbox("Where the points come from", SOURCES, format_func=SOURCES.__getitem__, key="source")
    if source == "folder":
        return Choice({}, "", folder=_folder())
    upload = None
    if source == "synthetic":
        settings = _synthetic(defaults)
    elif source == "sample":
        settings = _sample()
    elif source == "yfinance":
        settings = _yahoo(defaults)
    else:
        settings, upload = _upload()
    st.subheader("Detection", anchor=False)
    detectors = get_args(Config.model_fields["detector"].annotation)
    kinds = get_args(type(defaults.threshold).model_fields["kind"].annotation)
    settings["detector"] = st.selectbox(
        "Detector", detectors, detectors.index(defaults.detector), format_func=named, key="detector"
    )
    settings["threshold.kind"] = st.selectbox("Threshold", kinds, kinds.index(defaults.threshold.kind), key="threshold")
    budget = st.text_input(
        "False-alarm budget",
        str(defaults.threshold.budget),
        key="budget",
        help="Share of normal points that may be flagged, e.g. 0.001, or a rate such as “1 per day”.",
    )
    return Choice(settings, budget, upload)


def _synthetic(defaults: Config) -> dict[str, Any]:
    chosen = defaults.synthetic
    settings: dict[str, Any] = {"source": "synthetic"}
    settings["synthetic.points"] = st.slider("Points", 2000, 50_000, chosen.points or 6000, 1000, key="points")
    settings["synthetic.noise"] = st.slider("Noise (standard deviation)", 0.0, 5.0, chosen.noise, 0.1, key="noise")
    settings["synthetic.season.amplitude"] = st.slider(
        "Season (half its height)", 0.0, 20.0, chosen.season.amplitude, 0.5, key="season"
    )
    settings["synthetic.drift"] = st.slider("Drift (height of a slow wander)", 0.0, 20.0, chosen.drift, 0.5, key="drift")
    with_default = [kind for kind in KINDS if getattr(chosen.anomalies, kind)]
    kinds = st.pills(
        "Anomalies",
        KINDS,
        selection_mode="multi",
        default=with_default,
        format_func=lambda kind: kind.replace("_", " "),
        key="kinds",
    )
    settings |= {f"synthetic.anomalies.{kind}": kind in kinds for kind in KINDS}
    settings["seed"] = int(st.number_input("Seed", 0, 2**31 - 1, defaults.seed, key="seed"))
    return settings


def _sample() -> dict[str, Any]:
    found = samples()
    name = st.selectbox("Series", found, key="sample")
    columns = found[name]
    column = st.selectbox("Column", columns, columns.index("close") if "close" in columns else 0, key="sample_column")
    return {"source": "csv", "csv.path": str(SAMPLES / name), "csv.columns": [column]}


def _upload() -> tuple[dict[str, Any], Upload | None]:
    file = st.file_uploader("csv, JSON lines or parquet; plain or gzipped", [suffix[1:] for suffix in SUFFIXES], key="upload")
    settings: dict[str, Any] = {"source": "csv"}
    help_ = "Leave it empty for the obvious one."
    if column := st.text_input(VALUE_COLUMN, key="value_column", help=help_).strip():
        settings["csv.columns"] = [column]
    if column := st.text_input(TIME_COLUMN, key="time_column", help=help_).strip():
        settings["csv.time_column"] = column
    return settings, Upload(file.name, file.getvalue()) if file else None


def _yahoo(defaults: Config) -> dict[str, Any]:
    ticker = st.text_input("Ticker", placeholder="AAPL", key="ticker").strip()
    settings: dict[str, Any] = {"source": "yfinance", "yfinance.ticker": ticker}
    settings["yfinance.period"] = st.selectbox("How far back", PERIODS, PERIODS.index(defaults.yfinance.period), key="period")
    settings["yfinance.interval"] = st.selectbox(
        "Length of a bar", INTERVALS, INTERVALS.index(defaults.yfinance.interval), key="interval"
    )
    return settings


def _folder() -> Path | None:
    found = {str(folder): folder for folder in run_folders(Path.cwd())}
    chosen = st.selectbox(
        "Run folder, newest first",
        found,
        format_func=lambda path: str(Path(path).relative_to(Path.cwd())),
        key="folder",
        help="Runs below runs/ and below the folder in which the dashboard was started.",
    )
    st.button("Look again", icon=":material/refresh:", key="look")
    if not found:
        st.info("No run folder is here yet. Start a run in this folder, then look again.")
    return found.get(chosen)
