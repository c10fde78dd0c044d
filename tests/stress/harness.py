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
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 240.0  # seconds after which a process hangs
SAME = ("scores.csv", "incidents.jsonl", "anomalies.log", "adaptations.jsonl", "config.yaml")  # to the byte

# settings under which a run is short and still has checkpoints all the time
SETTINGS = ("plot.kind=none", "windowed_gaussian.window=64", "training.points=1500", "checkpoint.every=250")
GAUSSIAN = ("--detector", "windowed_gaussian", *(part for text in SETTINGS for part in ("--set", text)))
LSTM_SETTINGS = (
    "plot.kind=none",
    "training.points=1500",
    "training.max_steps=150",
    "network.units=[8]",
    "network.sequence_length=16",
)
LSTM = tuple(part for text in (*LSTM_SETTINGS, "checkpoint.every=250") for part in ("--set", text))


@dataclass
class Count:
    """What became of the tries of a group.

    Attributes:
        group: its name.
        tries: kills, faults, files or inputs.
        survived: tries after which everything was as it should be.
        lost: rows that are missing.
        doubled: rows that are there twice, or should not be there.
        tracebacks: processes that showed one, or spoke of a fault of the program.
        code_run: traps that went off.
        complaints: what was not as it should be, a sentence each.
        notes: what else there is to say.
    """

    group: str
    tries: int = 0
    survived: int = 0
    lost: int = 0
    doubled: int = 0
    tracebacks: int = 0
    code_run: int = 0
    complaints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return self.survived == self.tries and not (
            self.lost or self.doubled or self.tracebacks or self.code_run or self.complaints
        )

    def judge(self, what: str, complaint: str | None, tries: int = 1) -> None:
        """Count tries, of which nothing was wrong if there is no complaint."""
        self.tries += tries
        self.survived += 0 if complaint else tries
        if complaint:
            self.complaints.append(f"{what}: {complaint}")

    def hear(self, ended: Ended) -> None:
        """Count a traceback in what a process said."""
        if any(mark in ended.said for mark in ("Traceback", "the program has a fault", "Exception ignored")):
            self.tracebacks += 1
            self.complaints.append(f"said: {ended.said[-600:]}")

    def compare(self, found: Path, wanted: Path) -> str | None:
        """In what a run differs from the one it should equal; lost and doubled rows are counted."""
        self.lost += missing(found / "scores.csv", wanted / "scores.csv")
        self.doubled += missing(wanted / "scores.csv", found / "scores.csv")
        for name in SAME:
            one, other = (content(folder / name) for folder in (found, wanted))
            if one != other:
                return f"{name} differs"
        if learnt(found) != learnt(wanted):
            return "detector.npz differs"
        for key in ("status", "counts", "quality", "training"):
            if metrics(found).get(key) != metrics(wanted).get(key):
                return f"metrics.json differs in {key}"
        names = [{path.name for path in folder.iterdir()} for folder in (found, wanted)]
        return None if names[0] == names[1] else f"files differ: {sorted(names[0] ^ names[1])}"


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code (negative: the signal), what it said, seconds, and the most memory it had, in MB."""

    code: int
    said: str
    seconds: float
    memory: int


class Process:
    """The program at work in a folder."""

    def __init__(self, folder: Path, *arguments: object, environment: dict[str, str] | None = None, **options: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / f".said-{random.SystemRandom().getrandbits(40):x}"
        with self.output.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, str(ROOT / "main.py"), *map(str, arguments)],
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
                stdout=output,
                stderr=output,
                **{"stdin": subprocess.DEVNULL, **options},
            )
        self.began = time.monotonic()

    @property
    def pid(self) -> int:
        return self.popen.pid

    def poll(self) -> bool:
        """Whether it still runs."""
        return self.popen.returncode is None and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def signal(self, number: int) -> None:
        if self.poll():
            self.popen.send_signal(number)

    def memory(self, field: str = "VmHWM") -> int:
        """Most memory it has had so far, in MB; 0 where that cannot be told."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0
        return next((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith(field)), 0)

    def wait(self, patience: float = PATIENCE) -> Ended:
        """Wait for its end; one that hangs is killed and told of."""
        end, hung, memory = time.monotonic() + patience, "", 0
        while self.poll():
            memory = max(memory, self.memory())
            if time.monotonic() > end:
                self.popen.kill()
                hung = "Traceback: it hung\n"
                break
            time.sleep(0.01)
        self.popen.wait()
        said = hung + self.output.read_text(errors="replace")
        self.output.unlink()
        return Ended(self.popen.returncode, said, time.monotonic() - self.began, memory)


def run(folder: Path, *arguments: object, patience: float = PATIENCE, **options: Any) -> Ended:
    """Run the program to its end."""
    return Process(folder, *arguments, **options).wait(patience)


def in_pairs(work: Callable[[int], None], count: int) -> None:
    """Do work 0, 1, ... two at a time, for two cores."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(count)))


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def learnt(folder: Path) -> bytes | None:
    """What detector.npz holds, but for the checksum of model.onnx: the exporter names the same nodes in another way each time."""
    from autoencoder.core.state import pack, unpack

    data = content(folder / "detector.npz")
    if data is None:
        return None
    state = unpack(data, "detector.npz")
    scorer = state.get("scorer")
    if isinstance(scorer, dict):
        scorer.pop("network", None)
    return pack(state)


def metrics(folder: Path) -> dict[str, Any]:
    data = content(folder / "metrics.json")
    return json.loads(data) if data else {}


def missing(found: Path, wanted: Path) -> int:
    """Rows of one file that are not where they are in the other."""
    have = (content(found) or b"").splitlines(keepends=True)
    want = (content(wanted) or b"").splitlines(keepends=True)
    differ = sum(one != other for one, other in zip(have, want, strict=False))
    return differ + max(0, len(want) - len(have))


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


def noisy_wave(count: int, seed: int, start: int = 0) -> list[float]:
    """A season with noise and now and then a spike."""
    import numpy as np

    noise = np.random.default_rng(seed).normal(size=count)
    place = np.arange(start, start + count)
    values = 10 + 3 * np.sin(2 * np.pi * place / 24) + 0.3 * noise + 8 * (place % 977 == 0)
    return [float(value) for value in np.round(values, 4)]
