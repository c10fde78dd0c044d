"""Soak: millions of points through a pipe; memory and open files must stay as they are, and every point must come out once."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np

from stress.harness import Count, Process, noisy_wave, settings, train_lstm, write_wave

BLOCK = 100_000  # rows that are written over and over
GROWTH = 8.0  # MB a million points that memory may grow by, and the noise of measuring it
ALONE = ("--plot", "none", *settings("alerts.log=false", "synthetic.season.period=24"))
CHEAP = ("--detector", "windowed_gaussian", *settings("windowed_gaussian.window=256", "training.points=1500"))


def soak(folder: Path, seed: int, points: int, *, lstm_points: int = 0) -> list[Count]:
    """So many points through a cheap detector, and ``lstm_points`` through a saved LSTM; a count each."""
    counts = [_count(folder, f"soak: {points:,} points, windowed_gaussian", CHEAP, seed, points)]
    if lstm_points:
        use = ("--model", train_lstm(folder, write_wave(folder / "wave.csv", 3000, seed)))
        counts.append(_count(folder, f"soak: {lstm_points:,} points, saved lstm_autoencoder", use, seed, lstm_points))
    return counts


def _count(folder: Path, name: str, arguments: tuple[object, ...], seed: int, points: int) -> Count:
    count, out = Count(name), folder / "o"
    process = Process(folder, "--source", "stdin", "--out", out, *arguments, *ALONE, stdin=subprocess.PIPE)
    written = [0]  # points
    threading.Thread(target=_feed, args=(process, seed, points, written), daemon=True).start()
    samples: list[tuple[int, int, int]] = []  # points, MB, open files
    while process.runs():
        with contextlib.suppress(OSError):
            files = len(list(Path(f"/proc/{process.popen.pid}/fd").iterdir()))
            samples.append((written[0], process.memory("VmRSS"), files))
        time.sleep(0.25)
    ended = count.hear(process.wait())
    with (out / "scores.csv").open("rb") as file:
        count.rows(sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1, points)
    steady = np.array([sample for sample in samples if 0.2 * points <= sample[0] < points]).reshape(-1, 3)
    growth = float(np.polyfit(steady[:, 0] / 1e6, steady[:, 1], 1)[0]) if len(steady) > 4 else 0.0
    complaint = f"exit code {ended.code} ({ended.said[-300:]})" if ended.code else None
    if growth * points / 1e6 > max(40.0, GROWTH * points / 1e6):
        complaint = f"memory grows by {growth:.1f} MB a million points"
    if len(steady):
        fewest, most = steady[:, 2].min(), steady[:, 2].max()
        if most > fewest + 2:  # a checkpoint opens a draft, and its folder
            complaint = f"open files: {fewest} to {most}"
        memory = f"{steady[0, 1]} MB after a fifth, {steady[-1, 1]} MB at the end ({growth:+.2f} MB a million points)"
        count.notes.append(f"{memory}; {fewest} to {most} open files; {points / ended.seconds:,.0f} points a second")
    count.judge(name, complaint)
    shutil.rmtree(out)
    return count


def _feed(process: Process, seed: int, points: int, written: list[int]) -> None:
    rows = [f"{value}\n".encode() for value in noisy_wave(BLOCK, seed)]
    stream = process.popen.stdin
    assert stream
    with contextlib.suppress(OSError), stream:
        while written[0] < points:
            first = written[0] % BLOCK
            part = rows[first : min(first + 5000, first + points - written[0])]
            stream.write(b"".join(part))
            written[0] += len(part)
