"""What every group needs: the program as a process that is watched, runs that are compared, and the counts of a group."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from helpers.cli import ROOT, settings

PATIENCE = 240.0  # seconds after which a process hangs
SAME = ("scores.csv", "incidents.jsonl", "anomalies.log", "adaptations.jsonl", "config.yaml")  # to the byte


# under which a run is short and still has checkpoints all the time
COMMON = ("plot.kind=none", "training.points=1500", "checkpoint.every=250")
GAUSSIAN = ("--detector", "windowed_gaussian", *settings("windowed_gaussian.window=64", *COMMON))
LSTM = settings("training.max_steps=150", "network.units=[8]", "network.sequence_length=16", *COMMON)
LONG = (*settings("synthetic.points=30000"), *GAUSSIAN)


class Ended(NamedTuple):
    """How a process ended: exit code (negative: the signal), what it said, seconds, and the most memory it had, in MB."""

    code: int
    said: str
    seconds: float
    memory: int

    @property
    def is_over(self) -> bool:
        """Whether a run ended by itself, this time or, with the kill that followed, the time before."""
        return self.code == 0


@dataclass
class Count:
    """What became of the tries of a group."""

    group: str
    tries: int = 0  # kills, faults, files or inputs
    survived: int = 0  # tries after which everything was as it should be
    lost: int = 0  # rows that are missing
    doubled: int = 0  # rows that are there twice, or should not be there
    tracebacks: int = 0  # processes that showed one, or spoke of a fault of the program
    code_run: int = 0  # traps that went off
    complaints: list[str] = field(default_factory=list)  # what was not as it should be, a sentence each
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return self.survived == self.tries and not any((self.lost, self.doubled, self.tracebacks, self.code_run, self.complaints))

    def judge(self, what: str, complaint: str | None, tries: int = 1) -> None:
        """Count tries, of which nothing was wrong if there is no complaint."""
        self.tries += tries
        self.survived += 0 if complaint else tries
        if complaint:
            self.complaints.append(f"{what}: {complaint}")

    def hear(self, ended: Ended) -> Ended:
        """Count a traceback in what a process said."""
        if any(mark in ended.said for mark in ("Traceback", "the program has a fault", "Exception ignored")):
            self.tracebacks += 1
            self.complaints.append(f"said: {ended.said[-600:]}")
        return ended

    def run(self, folder: Path, *arguments: object, **options: Any) -> Ended:
        """Run the program to its end."""
        return self.hear(Process(folder, *arguments, **options).wait())

    def rows(self, found: int, wanted: int) -> str | None:
        """Count rows that are missing or too many."""
        self.lost += max(0, wanted - found)
        self.doubled += max(0, found - wanted)
        return None if found == wanted else f"{found:,} rows"

    def compare(self, found: Path, wanted: Path) -> str | None:
        """In what a run differs from the one it should equal; lost and doubled rows are counted."""
        have, want = ((content(folder / "scores.csv") or b"").splitlines(keepends=True) for folder in (found, wanted))
        differ = sum(one != other for one, other in zip(have, want, strict=False))
        self.lost += differ + max(0, len(want) - len(have))
        self.doubled += differ + max(0, len(have) - len(want))
        for name in SAME:
            if content(found / name) != content(wanted / name):
                return f"{name} differs"
        if _learnt(found) != _learnt(wanted):
            return "detector.npz differs"
        one, other = (json.loads(content(folder / "metrics.json") or b"{}") for folder in (found, wanted))
        for key in ("status", "counts", "quality", "training"):
            if one.get(key) != other.get(key):
                return f"metrics.json differs in {key}"
        names = [{path.name for path in folder.iterdir()} for folder in (found, wanted)]
        return None if names[0] == names[1] else f"files differ: {sorted(names[0] ^ names[1])}"


class Process:
    """The program at work in a folder."""

    def __init__(self, folder: Path, *arguments: object, environment: dict[str, str] | None = None, **options: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / f".said-{random.SystemRandom().getrandbits(40):x}"
        command = [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]
        whole = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}
        with self.output.open("wb") as output:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, **options}
            self.popen = subprocess.Popen(command, cwd=folder, env=whole, **pipes)
        self.began = time.monotonic()

    def runs(self) -> bool:
        return self.popen.poll() is None

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def memory(self, field: str = "VmHWM") -> int:
        """Most memory it has had so far, in MB; 0 where that cannot be told."""
        try:
            status = Path(f"/proc/{self.popen.pid}/status").read_text()
        except OSError:
            return 0
        return next((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith(field)), 0)

    def wait_while(self, what: Callable[[], bool], pause: float = 0.0) -> None:
        """Wait while something holds and it still runs, for at most 30 seconds; without a pause no short moment is missed."""
        end = time.monotonic() + 30
        while self.runs() and what() and time.monotonic() < end:
            time.sleep(pause)

    def wait_for_rows(self, folder: Path, rows: int) -> None:
        self.wait_while(lambda: count_rows(folder) < rows, 0.002)

    def end(self, number: int) -> Ended:
        """Send a signal and wait for its end."""
        self.popen.send_signal(number)
        return self.wait()

    def wait(self) -> Ended:
        """Wait for its end; one that hangs is killed and told of."""
        memory = 0
        while self.runs() and time.monotonic() < self.began + PATIENCE:
            memory = max(memory, self.memory())
            time.sleep(0.01)
        hung = "Traceback: it hung\n" if self.runs() else ""
        if hung:
            self.popen.kill()
        ended = Ended(self.popen.wait(), hung + self.said(), time.monotonic() - self.began, memory)
        self.output.unlink()
        return ended


def run(folder: Path, *arguments: object) -> Ended:
    """A run that must go well."""
    ended = Process(folder, *arguments).wait()
    assert ended.code == 0, ended.said
    return ended


def in_pairs(work: Callable[[int], None], count: int) -> None:
    """Do work 0, 1, ... two at a time, for two cores."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(count)))


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def count_rows(folder: Path) -> int:
    return max(0, (content(folder / "scores.csv") or b"").count(b"\n") - 1)


def _learnt(folder: Path) -> bytes | None:
    """What detector.npz holds, but for the checksum of model.onnx: the exporter names the same nodes in another way each time."""
    from autoencoder.core.state import pack, unpack

    data = content(folder / "detector.npz")
    if data is None:
        return None
    state = unpack(data, "detector.npz")
    if isinstance(scorer := state.get("scorer"), dict):
        scorer.pop("network", None)
    return pack(state)


def torn(folder: Path) -> str | None:
    """What is not whole in scores.csv and incidents.jsonl, as a sentence."""
    lines = (content(folder / "scores.csv") or b"").splitlines(keepends=True)
    if lines and (not lines[-1].endswith(b"\n") or len({line.count(b",") for line in lines}) > 1):
        return "a row of scores.csv is torn"
    try:
        for line in (content(folder / "incidents.jsonl") or b"").splitlines():
            json.loads(line)
    except ValueError:
        return "a line of incidents.jsonl is torn"
    return None


def noisy_wave(count: int, seed: int) -> list[float]:
    """A season with noise and now and then a spike."""
    noise, place = np.random.default_rng(seed).normal(size=count), np.arange(count)
    values = 10 + 3 * np.sin(2 * np.pi * place / 24) + 0.3 * noise + 8 * (place % 977 == 0)
    return [float(value) for value in np.round(values, 4)]


def write_wave(path: Path, count: int, seed: int = 1) -> Path:
    """A csv file of a noisy wave."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("value\n" + "".join(f"{value}\n" for value in noisy_wave(count, seed)))
    return path


def train_lstm(folder: Path, wave: Path) -> Path:
    """The folder of a saved LSTM."""
    run(folder, "train", "--source", "csv", "--path", wave, *LSTM, "--out", folder / "model")
    return folder / "model"
