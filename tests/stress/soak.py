"""Soak: millions of points through a pipe; memory and open files must stay as they are, and every point must come out once."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path

import numpy as np

from stress.harness import LSTM, Count, Process, noisy_wave, run

BLOCK = 100_000  # rows that are written over and over
GROWTH = 8.0  # MB a million points that memory may grow by, and the noise of measuring it
ALONE = ("--plot", "none", "--set", "alerts.log=false", "--set", "synthetic.season.period=24")


def soak(folder: Path, seed: int, points: int, *, lstm_points: int = 0) -> list[Count]:
    """So many points through a cheap detector, and ``lstm_points`` through a saved LSTM; a count each."""
    folder.mkdir(parents=True, exist_ok=True)
    cheap = ("--detector", "windowed_gaussian", "--set", "windowed_gaussian.window=256", "--set", "training.points=1500")
    counts = [_count(folder, f"soak: {points:,} points, windowed_gaussian", cheap, seed, points)]
    if lstm_points:
        wave = folder / "wave.csv"
        wave.write_text("value\n" + "".join(f"{value}\n" for value in noisy_wave(3000, seed)))
        made = run(folder, "train", "--source", "csv", "--path", wave, *LSTM, "--out", folder / "model")
        assert made.code == 0, made.said
        name = f"soak: {lstm_points:,} points, saved lstm_autoencoder"
        counts.append(_count(folder, name, ("--model", folder / "model"), seed, lstm_points))
    return counts


def _count(folder: Path, name: str, arguments: tuple[object, ...], seed: int, points: int) -> Count:
    count = Count(name)
    out = folder / "o"
    process = Process(folder, "--source", "stdin", "--out", out, *arguments, *ALONE, stdin=subprocess.PIPE)
    written = [0]  # points
    threading.Thread(target=_feed, args=(process, seed, points, written), daemon=True).start()
    samples: list[tuple[int, int, int]] = []  # points, MB, open files
    while process.poll():
        with contextlib.suppress(OSError):
            samples.append((written[0], process.memory("VmRSS"), len(os.listdir(f"/proc/{process.pid}/fd"))))  # noqa: PTH208
        time.sleep(0.25)
    ended = process.wait()
    count.hear(ended)
    rows = _rows(out / "scores.csv")
    count.lost, count.doubled = max(0, points - rows), max(0, rows - points)
    steady = [sample for sample in samples if 0.2 * points <= sample[0] < points]
    growth = (
        float(np.polyfit([sample[0] / 1e6 for sample in steady], [sample[1] for sample in steady], 1)[0])
        if len(steady) > 4
        else 0.0
    )
    files = [sample[2] for sample in steady]
    complaint = f"exit code {ended.code} ({ended.said[-300:]})" if ended.code else None
    if growth * points / 1e6 > max(40.0, GROWTH * points / 1e6):
        complaint = f"memory grows by {growth:.1f} MB a million points"
    if files and max(files) > min(files) + 2:  # a checkpoint opens a draft, and its folder
        complaint = f"open files: {min(files)} to {max(files)}"
    count.judge(name, complaint)
    if steady:
        memory = f"{steady[0][1]} MB after a fifth, {steady[-1][1]} MB at the end ({growth:+.2f} MB a million points)"
        count.notes.append(f"{memory}; {min(files)} to {max(files)} open files; {points / ended.seconds:,.0f} points a second")
    for path in out.iterdir():
        path.unlink()
    out.rmdir()
    return count


def _feed(process: Process, seed: int, points: int, written: list[int]) -> None:
    rows = [f"{value}\n".encode() for value in noisy_wave(BLOCK, seed)]
    stream = process.popen.stdin
    assert stream
    with contextlib.suppress(OSError), stream:
        while written[0] < points:
            count = min(BLOCK, points - written[0])
            for first in range(0, count, 5000):
                part = rows[first : min(count, first + 5000)]
                stream.write(b"".join(part))
                written[0] += len(part)


def _rows(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1
