"""Bars for prices: ``python tests/quotes/bars.py`` runs the program at its defaults and prints what it finds (about five minutes)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from helpers.sessions import minute_bars  # noqa: E402

from autoencoder.core.types import Detections  # noqa: E402
from autoencoder.reports.scores_csv import read_scores  # noqa: E402
from quotes.walks import DAYS, walk  # noqa: E402

Array = npt.NDArray[np.float64]
SAMPLE = ROOT / "data" / "samples" / "aapl.csv"


def run(path: Path, *options: str) -> Detections:
    """What the program says of the prices in a csv file."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "main.py", str(path), "--set", "input.transform=prices", "--plot", "none", *options]
        subprocess.run([*command, "--out", str(out)], cwd=ROOT, check=True, capture_output=True)
        return read_scores(out)


def largest_moves(prices: Array, first: int, count: int) -> npt.NDArray[np.int64]:
    """The rows from ``first`` on with the largest returns, in standard deviations of the 60 returns before."""
    returns = np.diff(np.log(prices), prepend=np.nan)
    sizes = np.array([abs(returns[row]) / np.std(returns[row - 60 : row]) for row in range(first, len(returns))])
    return first + np.argsort(-sizes)[:count]


def sample(column: str) -> str:
    """The ten largest moves of the AAPL sample, and other flags."""
    found = run(SAMPLE, "--column", column)
    first = int(np.searchsorted(found.time, np.datetime64("2002-01-01")))
    largest, flags = largest_moves(found.values[:, 0], first, 50), found.anomalies
    years = np.count_nonzero(np.isfinite(found.thresholds)) / 252
    others = (flags.sum() - flags[largest].sum()) / years
    return f"AAPL {column}: {flags[largest[:10]].sum()} of 10 flagged, {others:.2f} flags a year that are none of the largest 50"


def fall(seed: int, folder: Path) -> str:
    """A fall of 12 % within five years of a random walk."""
    prices, day = walk(1260, seed), int(np.random.default_rng(100 + seed).integers(700, 1200))
    prices[day:] *= 0.88
    path = folder / "walk.csv"
    path.write_text("day,close\n" + "".join(f"{str(d)[:10]},{p!r}\n" for d, p in zip(DAYS, prices.tolist(), strict=False)))
    found = run(path)
    others = (found.anomalies.sum() - found.anomalies[day]) / np.count_nonzero(np.isfinite(found.thresholds))
    return f"walk {seed}: fall {'found' if found.anomalies[day] else 'MISSED'}, {others:.2%} of other days flagged"


def minutes(seed: int, folder: Path, budget: str) -> str:
    """Twenty sessions of minutes with four faults."""
    bars, path = minute_bars(seed=seed), folder / "minutes.csv"
    lines = (f"{t}Z,{p!r}\n" for t, p in zip(bars.time.astype("datetime64[s]"), bars.price.tolist(), strict=True))
    path.write_text("time,close\n" + "".join(lines))
    found = run(path, "--set", f"threshold.budget={budget}").anomalies
    early, faults = found[bars.minute < 5].sum(), found[list(bars.planted)].sum()
    return f"minutes {seed}, budget {budget}: {found.sum()} flags, {early} in the first five minutes, {faults} of 4 faults found"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as text:
        for column in ("adj_close", "close"):
            print(sample(column), flush=True)
        for seed in range(4):
            print(fall(seed, Path(text)), flush=True)
        for seed in range(4):
            print(minutes(seed, Path(text), ("0.001", "auto")[seed % 2]), flush=True)
