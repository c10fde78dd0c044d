"""Sidebar: the fields in which a person says what to watch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import streamlit as st

from autoencoder.config import Config, load
from autoencoder.dashboard.follow import run_folders
from autoencoder.dashboard.launch import BUDGET, SUFFIXES, Choice
from autoencoder.sources.synthetic import KINDS

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
SOURCES = {
    "synthetic": "Synthetic stream",
    "sample": "Sample series",
    "upload": "Uploaded file",
    "yfinance": "Yahoo Finance ticker",
    "folder": "Run folder of another process",
}
PERIODS = ("1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "max")
INTERVALS = ("1d", "1h", "30m", "15m", "5m", "1m", "1wk")
SPEEDS = {0.0: "as fast as possible", **{float(speed): f"{speed:,}" for speed in (5000, 2000, 1000, 500, 200, 100, 50)}}


def named(key: str) -> str:
    """What a detector is called."""
    return key.replace("_", " ").capitalize().replace("Lstm", "LSTM")


def choose() -> Choice | Path | None:
    """Show the fields; returns the run or the run folder that they name, None where that is not yet said."""
    defaults = load(None)
    st.subheader("Source", anchor=False)
    source = st.selectbox("Where the points come from", SOURCES, format_func=SOURCES.__getitem__, key="source")
    if source == "folder":
        return _folder()
    upload = _upload() if source == "upload" else None
    settings = FIELDS[source](defaults)
    st.subheader("Detection", anchor=False)
    settings["detector"] = _pick("Detector", Config, "detector", defaults.detector, format_func=named)
    settings["threshold.kind"] = _pick("Threshold", type(defaults.threshold), "kind", defaults.threshold.kind)
    help_ = "Share of normal points that may be flagged, e.g. 0.001, or a rate such as “1 per day”."
    settings[BUDGET] = st.text_input("False-alarm budget", str(defaults.threshold.budget), key="budget", help=help_)
    is_said = upload if source == "upload" else settings.get("yfinance.ticker", True)
    return Choice(settings, upload) if is_said else None


def _pick(label: str, section: type[Any], field: str, default: str, **options: Any) -> str:
    """One of the values that a setting may have."""
    known = get_args(section.model_fields[field].annotation)
    return str(st.selectbox(label, known, known.index(default), key=field, **options))


def _synthetic(defaults: Config) -> dict[str, Any]:
    chosen = defaults.synthetic
    settings: dict[str, Any] = {"source": "synthetic"}
    settings["synthetic.points"] = st.slider("Points", 2000, 50_000, chosen.points or 6000, 1000, key="points")
    speeds = sorted(SPEEDS, key=lambda speed: speed or float("inf"))
    settings["synthetic.points_per_second"] = st.select_slider(
        "Points a second", speeds, 500.0, format_func=SPEEDS.__getitem__, key="pace", help="Of the next run."
    )
    settings["synthetic.noise"] = st.slider("Noise (standard deviation)", 0.0, 5.0, chosen.noise, 0.1, key="noise")
    settings["synthetic.season.amplitude"] = st.slider(
        "Season (half its height)", 0.0, 20.0, chosen.season.amplitude, 0.5, key="season"
    )
    settings["synthetic.drift"] = st.slider("Drift (height of a slow wander)", 0.0, 20.0, chosen.drift, 0.5, key="drift")
    usual = [kind for kind in KINDS if getattr(chosen.anomalies, kind)]
    kinds = st.pills(
        "Anomalies", KINDS, selection_mode="multi", default=usual, format_func=lambda kind: kind.replace("_", " "), key="kinds"
    )
    settings |= {f"synthetic.anomalies.{kind}": kind in kinds for kind in KINDS}
    settings["seed"] = int(st.number_input("Seed", 0, 2**31 - 1, defaults.seed, key="seed"))
    return settings


def _sample(_: Config) -> dict[str, Any]:
    path = st.selectbox("Series", sorted(SAMPLES.glob("*.csv")), format_func=lambda path: path.name, key="sample")
    with path.open(encoding="utf-8") as file:
        columns = file.readline().strip().split(",")[1:]
    column = st.selectbox("Column", columns, columns.index("close") if "close" in columns else 0, key="sample_column")
    return {"source": "csv", "csv.path": str(path), "csv.columns": [column]}


def _upload() -> tuple[str, bytes] | None:
    file = st.file_uploader("csv, JSON lines or parquet; plain or gzipped", [suffix[1:] for suffix in SUFFIXES], key="upload")
    return (file.name, file.getvalue()) if file else None


def _columns(_: Config) -> dict[str, Any]:
    settings: dict[str, Any] = {"source": "csv"}
    help_ = "Leave it empty for the obvious one."
    if column := st.text_input("Value column (--column)", key="value_column", help=help_).strip():
        settings["csv.columns"] = [column]
    if column := st.text_input("Time column (--time-column)", key="time_column", help=help_).strip():
        settings["csv.time_column"] = column
    return settings


def _yahoo(defaults: Config) -> dict[str, Any]:
    chosen = defaults.yfinance
    return {
        "source": "yfinance",
        "yfinance.ticker": st.text_input("Ticker", placeholder="AAPL", key="ticker").strip(),
        "yfinance.period": st.selectbox("How far back", PERIODS, PERIODS.index(chosen.period), key="period"),
        "yfinance.interval": st.selectbox("Length of a bar", INTERVALS, INTERVALS.index(chosen.interval), key="interval"),
    }


FIELDS = {"synthetic": _synthetic, "sample": _sample, "upload": _columns, "yfinance": _yahoo}


def _folder() -> Path | None:
    found = [str(folder.relative_to(Path.cwd())) for folder in run_folders(Path.cwd())]
    help_ = "Runs below runs/ and below the folder in which the dashboard was started."
    chosen = st.selectbox("Run folder, newest first", found, key="folder", help=help_)
    st.button("Look again", icon=":material/refresh:", key="look")
    if not found:
        st.info("No run folder is here yet. Start a run in this folder, then look again.")
    return Path(chosen) if chosen else None
