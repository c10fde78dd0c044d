"""Hostile files: run folders and data made to run code, to fill the memory, or to reach beyond their folder.

Each is given to the program as a process of its own. It must be refused with a sentence and exit code 2, or do no harm and be used; the
process may not take much memory, nothing outside the run folder may change, and no trap may go off: traps write a file, the canary.
"""

from __future__ import annotations

import pickle
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from stress.harness import LSTM, Count, Process, noisy_wave, run
from stress.hostile_data import DATA, DATA_OPTIONS
from stress.hostile_runs import MODELS, RUNS, TRAINED_ON, Prepare, Trap

MEMORY = 2000  # MB that a process may take; the largest thing that may be unpacked is half a gigabyte
FORMULA = re.compile(r"(^|[,;\t|])[=@+]", re.MULTILINE)  # a cell, whatever a spreadsheet takes for the end of one
ADAPTING = ("enabled=true", "synchronous=true", "retrain_every=5000")
TRAIN_ON = tuple(part for text in ADAPTING for part in ("--set", f"adaptation.{text}"))
# may be used where they do no harm; all others must be refused
USABLE = {
    "lzma",
    "a zip bomb below the limit",
    "every number 10^15",
    "every number of the checkpoint 10^15",
    "a Lambda layer in model.keras",
    "a pickle instead of model.keras",
    "metrics.json that is a link to another file",
    "a draft that is a link to another file",
    "a log that is a link to another file",
    "100,000 columns",
    "formulas and commands for names",
    "formulas for labels",
    "numbers of 100,000 digits",
    "nested JSON lines",
}


def attack(folder: Path, tries: int, model: Path | None = None) -> list[Count]:
    """Every attack once, or about ``tries`` of each kind; a count for saved models, one for runs to resume, one for data.

    Args:
        folder: where to work.
        tries: of each kind, evenly spread.
        model: the folder of a run with an LSTM on one column; None: one is trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wave = folder / "wave.csv"
    wave.write_text("value\n" + "".join(f"{value}\n" for value in noisy_wave(12_000, 1)))
    if not model:
        model = folder / "model"
        made = run(folder, "train", "--source", "csv", "--path", wave, *LSTM, "--out", model)
        assert made.code == 0, made.said
    use = ("--source", "csv", "--path", wave, "--plot", "none", "--model")
    broken_off = _break_off(folder, (*use, model))
    _require_that_traps_work(folder / "canary")
    out = ("--out", folder / "o")
    groups: list[tuple[str, dict[str, Prepare], Path, Callable[[Path], tuple[object, ...]]]] = [
        ("hostile model given to --model", MODELS, model, lambda bad: (*use, bad, *out)),
        ("hostile model that is trained on", TRAINED_ON, model, lambda bad: (*use, bad, *out, *TRAIN_ON)),
        ("hostile run given to --resume", RUNS, broken_off, lambda bad: ("--resume", "--out", bad)),
    ]
    counts = [_count(folder, name, _some(attacks, tries), sound, arguments) for name, attacks, sound, arguments in groups]
    data = Count("hostile data given to --path")
    for name, make in _some(DATA, tries):
        path = folder / f"data-{name.replace(' ', '-')}"
        make(path, folder / "canary")
        options = ("--detector", "windowed_gaussian", *DATA_OPTIONS.get(name, ()))
        _judge(data, name, folder, ("--source", "csv", "--path", path, *out, *options), {})
        path.unlink()
    return [*counts, data]


def _break_off(folder: Path, arguments: tuple[object, ...]) -> Path:
    """The folder of a run that was killed after its first checkpoint."""
    out = folder / "broken-off"
    process = Process(folder, *arguments, "--set", "checkpoint.every=250", "--out", out)
    while process.poll() and not (out / "checkpoint.npz").exists():
        time.sleep(0)
    process.signal(signal.SIGKILL)
    ended = process.wait()
    assert ended.code == -signal.SIGKILL, ended.said
    return out


def _require_that_traps_work(canary: Path) -> None:
    """A trap that does not go off where it is let would prove nothing."""
    pickle.loads(pickle.dumps(Trap(canary)))
    assert canary.exists()
    canary.unlink()


def _some(attacks: dict[str, Prepare], tries: int) -> list[tuple[str, Prepare]]:
    items = list(attacks.items())
    return items[:: max(1, len(items) // tries)]


def _count(
    folder: Path, group: str, attacks: list[tuple[str, Prepare]], sound: Path, arguments: Callable[[Path], tuple[object, ...]]
) -> Count:
    count, bad = Count(group), folder / "bad"
    outside = {folder / "outside.txt": b"not yours", **{path: path.read_bytes() for path in sound.iterdir()}}
    for name, spoil in attacks:
        shutil.copytree(sound, bad)
        (folder / "outside.txt").write_bytes(b"not yours")
        spoil(bad, folder / "canary")
        _judge(count, name, folder, arguments(bad), outside)
        shutil.rmtree(bad)
    return count


def _judge(count: Count, name: str, folder: Path, arguments: tuple[object, ...], outside: dict[Path, bytes]) -> None:
    ended = run(folder, *arguments)
    count.hear(ended)
    canary = folder / "canary"
    count.code_run += canary.exists()
    canary.unlink(missing_ok=True)
    complaint = None
    if ended.code not in (0, 2):
        complaint = f"exit code {ended.code} ({ended.said[-300:]})"
    elif ended.memory > MEMORY:
        complaint = f"{ended.memory:,} MB"
    elif any(path.read_bytes() != content for path, content in outside.items()):
        complaint = "something outside the folder changed"
    elif name not in USABLE and ended.code != 2:
        complaint = "it was not refused"
    elif (scores := folder / "o/scores.csv").exists() and FORMULA.search(scores.read_text()):
        complaint = "a formula came through"
    count.judge(name, complaint)
    shutil.rmtree(folder / "o", ignore_errors=True)
