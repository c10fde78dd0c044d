"""Seeded runs of the program, and the hashes of what they write: a change that moves no result leaves every hash as it is.

``PYTHONPATH=. python tests/goldens/runs.py`` records the hashes of this machine anew, for a change that means to move results.
Floating-point results differ between processors and library versions, so the file names the machine it was made on; on another one the
test skips.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import numpy as np

from autoencoder import cli

ROOT = Path(__file__).resolve().parents[2]
HASHES = Path(__file__).with_name("hashes.json")
BENCHMARKS = ROOT.parent / "shared" / "benchmarks"
WRITTEN = ("scores.csv", "incidents.jsonl", "adaptations.jsonl", "anomalies.log")
LSTM = ("--set", "training.steps=60", "--set", "network.hidden=[16]")
STREAM = (
    "--source",
    "synthetic",
    "--set",
    "synthetic.points=2500",
    "--set",
    "synthetic.anomalies.clean=700",
    "--set",
    "synthetic.anomalies.rate=6",
)


def run(*arguments: object, stdin: bytes = b"") -> None:
    """Run the program to its end, in this process, which imports TensorFlow once; RuntimeError where it fails."""
    with mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin))):
        code = cli.main(list(map(str, arguments)))
    if code:
        raise RuntimeError(f"exit code {code} of {arguments}")


def score(out: Path, *arguments: object, stdin: bytes = b"") -> None:
    """Score a source into the folder ``out``."""
    run(*arguments, "--plot", "none", "--out", out, stdin=stdin)


def waves(points: int, columns: int) -> np.ndarray:
    """(N, F) noisy waves with three spikes and a few missing values."""
    random = np.random.default_rng(3)
    phase = 2 * np.pi * np.arange(points)[:, None] / np.array([24, 36, 48])[:columns]
    values = 10 + 3 * np.sin(phase) + random.normal(scale=0.2, size=(points, columns))
    values[[points // 2, points * 2 // 3, points - 50], 0] += 6
    values[random.integers(0, points, 12), -1] = np.nan
    return np.round(values, 6)


def csv_lines(points: int, columns: int = 1, series: int = 0) -> bytes:
    """A csv file: minutes, values, and where there are series a column with the name of each row's."""
    text = "" if not series else "host,"
    lines = [text + "timestamp," + ",".join(f"value_{column}" if columns > 1 else "value" for column in range(columns))]
    for row, values in enumerate(waves(points, columns)):
        step = row // series if series else row
        moment = np.datetime64("2026-01-01T00:00") + np.timedelta64(step, "m")
        name = f"host-{row % series}," if series else ""
        lines.append(f"{name}{moment}," + ",".join("" if np.isnan(value) else repr(float(value)) for value in values))
    return ("\n".join(lines) + "\n").encode()


def _several_columns(folder: Path) -> None:
    (folder / "data.csv").write_bytes(csv_lines(2000, columns=2))
    score(folder / "out", "--source", "csv", "--path", folder / "data.csv", "--column", "value_0", "--column", "value_1", *LSTM)


def _series_column(folder: Path) -> None:
    (folder / "data.csv").write_bytes(csv_lines(3600, series=3))
    score(folder / "out", "--source", "csv", "--path", folder / "data.csv", "--series-column", "host", *LSTM)


def _resumed(folder: Path) -> None:
    """Killed after its first checkpoint with rows behind it, and resumed."""
    out = folder / "out"
    command = [*STREAM, "--detector", "isolation_forest", "--set", "checkpoint.every=400", "--plot", "none", "--out", str(out)]
    paced = [*command, "--set", "synthetic.pace=1500"]
    process = subprocess.Popen([sys.executable, str(ROOT / "main.py"), *paced], stderr=subprocess.DEVNULL)
    while not (out / "scores.csv").exists() or (out / "scores.csv").read_bytes().count(b"\n") < 1100:
        if process.poll() is not None:
            raise RuntimeError("the run ended before it could be killed")
        time.sleep(0.01)
    process.kill()
    process.wait()
    run("--out", out, "--resume")


def _adaptive(folder: Path) -> None:
    shift = ("--set", "synthetic.level_shift=25", "--set", "synthetic.level_shift_at=0.5", "--set", "synthetic.points=5000")
    adapting = ("--set", "adaptation.enabled=true", "--set", "adaptation.deterministic=true")
    score(folder / "out", *STREAM, *shift, *adapting, *LSTM)


def _detector(name: str, *settings: str) -> Callable[[Path], None]:
    def golden(folder: Path) -> None:
        score(folder / "out", *STREAM, "--detector", name, *(part for setting in settings for part in ("--set", setting)))

    return golden


def _saved_model(folder: Path) -> None:
    run("train", *STREAM, *LSTM, "--out", folder / "model")
    score(folder / "out", *STREAM, "--seed", "1", "--model", folder / "model", "--set", "threshold.kind=nonparametric")


RUNS: dict[str, Callable[[Path], None]] = {
    "lstm_autoencoder": lambda folder: score(folder / "out", *STREAM, *LSTM),
    "isolation_forest": _detector("isolation_forest", "threshold.kind=quantile", "threshold.budget=0.01"),
    "isolation_forest_sliding": _detector("isolation_forest_sliding", "synthetic.missing=0.01"),
    "half_space_trees": _detector("half_space_trees"),
    "windowed_gaussian": _detector("windowed_gaussian", "threshold.kind=sigma"),
    "several_columns": _several_columns,
    "series_column": _series_column,
    "resumed": _resumed,
    "adaptive": _adaptive,
    "saved_model": _saved_model,
    "stdin": lambda folder: score(folder / "out", "--source", "stdin", *LSTM, stdin=csv_lines(1500)),
}


def _bench_nab(folder: Path) -> None:
    for name in ("exchange-4_cpc_results", "art_daily_nojump"):
        run("bench", "nab", "--path", BENCHMARKS / "nab", "--file", name, *LSTM, "--out", folder / name)


def _bench_ucr(folder: Path) -> None:
    (folder / "ucr").mkdir()
    for path in sorted((BENCHMARKS / "ucr").iterdir(), key=lambda path: path.stat().st_size)[:2]:
        (folder / "ucr" / path.name).symlink_to(path)
    run("bench", "ucr", "--path", folder / "ucr", *LSTM, "--out", folder / "results")


BENCHES: dict[str, Callable[[Path], None]] = {"bench_nab": _bench_nab, "bench_ucr": _bench_ucr}


def hashes(name: str) -> dict[str, str]:
    """File name -> SHA-256 of its content, for the files that a run writes; seconds are left out."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (RUNS | BENCHES)[name](folder)
        if name in RUNS:
            written = [path for file in WRITTEN if (path := folder / "out" / file).exists()]
        else:
            written = sorted(path for path in folder.rglob("*.csv") if path.is_file())
        return {path.relative_to(folder).as_posix(): hashlib.sha256(_content(path)).hexdigest() for path in written}


def _content(path: Path) -> bytes:
    if path.name != "results.csv":
        return path.read_bytes()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    return json.dumps([{key: value for key, value in row.items() if key != "seconds"} for row in rows]).encode()


def machine() -> str:
    """What the last bits of a result depend on: the processor's features, how many there are, and the libraries' versions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "unknown")
    parts = [flags, str(os.cpu_count()), *(version(name) for name in ("numpy", "tensorflow", "onnxruntime", "scikit-learn"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


if __name__ == "__main__":
    found = {"machine": machine(), "runs": {name: hashes(name) for name in (*RUNS, *BENCHES)}}
    HASHES.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
