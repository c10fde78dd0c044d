"""Hostile files: run folders and data made to run code, to fill the memory, or to reach beyond their folder.

Each is given to the program as a process of its own. It must be refused with a sentence and exit code 2, or do no harm and be used; the
process may not take much memory, nothing outside the run folder may change, and no trap may go off: traps write a file, the canary.
"""

from __future__ import annotations

import gzip
import pickle
import re
import shutil
import signal
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from stress.harness import Count, Process, settings, train_lstm, write_wave
from stress.hostile_files import MODELS, RUNS, TRAINED_ON, Attack, Trap, holds, is_pickle

Item = TypeVar("Item")

MEMORY = 2000  # MB that a process may take; the largest thing that may be unpacked is half a gigabyte
FORMULA = re.compile(r"(^|[,;\t|])[=@+]", re.MULTILINE)  # a cell, whatever a spreadsheet takes for the end of one
TRAIN_ON = settings(*(f"adaptation.{text}" for text in ("enabled=true", "synchronous=true", "retrain_every=5000")))
# may be used where they do no harm; all others must be refused
USABLE = {
    *("lzma", "a zip bomb below the limit", "every number 10^15", "every number of the checkpoint 10^15"),
    *("a Lambda layer in model.keras", "a pickle instead of model.keras", "metrics.json that is a link to another file"),
    *("a draft that is a link to another file", "a log that is a link to another file", "100,000 columns"),
    *("formulas and commands for names", "formulas for labels", "numbers of 100,000 digits", "nested JSON lines"),
}


# --- data ---


def gzip_bomb(path: Path, canary: Path) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        file.write(deflate.compress(b"value\n"))
        for _ in range(600):
            file.write(deflate.compress(b"1\n" * (1 << 19)))
        file.write(deflate.flush())


def parquet_bomb(path: Path, canary: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1 << 27, np.int8)), pa.array([1.5]))
    pq.write_table(pa.table({"value": values}), path, compression="zstd")


NAMES = ("x;=HYPERLINK(1)\t=cmd|calc", "@sum", "%s%n{0}$(touch canary)`touch canary`")
HOSTILE_NAMES = ",".join(f'"{name}"' for name in NAMES).encode() + b"\n"
HOSTILE_NAMES += b"".join(b"%d,%d,%d\n" % (row, row % 7, row % 5) for row in range(500))
HOSTILE_LABELS = b"time,value,label\n" + b"".join(b"%d,%d,=1+1\n" % (row, row % 7) for row in range(500))
DATA_OPTIONS = {"formulas and commands for names": [part for name in NAMES for part in ("--column", name)]}
DATA: dict[str, Attack] = {
    "a gigabyte of parquet": parquet_bomb,
    "600 megabytes of gzip": gzip_bomb,
    "one line of 300 MB": holds(lambda: b"value\n" + b"1" * 300_000_000),
    "100,000 columns": holds(lambda: (",".join(f"c{i}" for i in range(100_000)) + "\n").encode()),
    "formulas and commands for names": holds(HOSTILE_NAMES),
    "formulas for labels": holds(HOSTILE_LABELS),
    "numbers of 100,000 digits": holds(b"value\n" + b"9" * 100_000 + b"\n" + b"1e" + b"9" * 100_000 + b"\n"),
    "a csv that is a pickle": is_pickle,
    "a gzip cut short": holds(lambda: gzip.compress(b"value\n" + b"1\n" * 100_000)[:-40]),
    "nested JSON lines": holds(b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n"),
}


def attack(folder: Path, tries: int, model: Path | None = None) -> list[Count]:
    """Every attack once, or about ``tries`` of each kind; a count for saved models, one for runs to resume, one for data.

    Args:
        folder: where to work.
        tries: of each kind, evenly spread.
        model: the folder of a run with an LSTM on one column; None: one is trained.
    """
    wave, canary, bad = write_wave(folder / "wave.csv", 12_000), folder / "canary", folder / "bad"
    model = model or train_lstm(folder, wave)
    use = ("--source", "csv", "--path", wave, "--plot", "none", "--model")
    long = write_wave(folder / "long.csv", 60_000)  # it must not be over before it is killed
    broken_off = _break_off(folder, ("--source", "csv", "--path", long, "--plot", "none", "--model", model))
    pickle.loads(pickle.dumps(Trap(canary)))
    assert canary.exists()  # a trap that does not go off where it is let would prove nothing
    canary.unlink()
    out = ("--out", folder / "o")
    trained_on = {name: MODELS[name] for name in TRAINED_ON}
    counts = [
        _spoil(Count("hostile model given to --model"), _some(MODELS, tries), model, bad, (*use, bad, *out)),
        _spoil(Count("hostile model that is trained on"), _some(trained_on, tries), model, bad, (*use, bad, *out, *TRAIN_ON)),
        _spoil(Count("hostile run given to --resume"), _some(RUNS, tries), broken_off, bad, ("--resume", "--out", bad)),
        Count("hostile data given to --path"),
    ]
    for name, make in _some(DATA, tries):
        path = folder / f"data-{name.replace(' ', '-')}"
        make(path, canary)
        options = ("--detector", "windowed_gaussian", *DATA_OPTIONS.get(name, ()))
        _judge(counts[-1], name, folder, ("--source", "csv", "--path", path, *out, *options), {})
        path.unlink()
    return counts


def _break_off(folder: Path, arguments: tuple[object, ...]) -> Path:
    """The folder of a run that was killed after its first checkpoint."""
    out = folder / "broken-off"
    process = Process(folder, *arguments, *settings("checkpoint.every=250", "adaptation.enabled=false"), "--out", out)
    process.wait_while(lambda: not (out / "checkpoint.npz").exists())
    ended = process.end(signal.SIGKILL)
    assert ended.code == -signal.SIGKILL and (out / "checkpoint.npz").exists(), ended.said
    return out


def _some(attacks: Mapping[str, Item], tries: int) -> list[tuple[str, Item]]:
    return list(attacks.items())[:: max(1, len(attacks) // tries)]


def _spoil(
    count: Count, attacks: Iterable[tuple[str, tuple[str, Attack]]], sound: Path, bad: Path, arguments: tuple[object, ...]
) -> Count:
    """Give the program a spoiled copy of a sound folder."""
    folder = bad.parent
    outside = {folder / "outside.txt": b"not yours", **{path: path.read_bytes() for path in sound.iterdir()}}
    for name, (file, spoil) in attacks:
        shutil.copytree(sound, bad)
        (folder / "outside.txt").write_bytes(b"not yours")
        spoil(bad / file, folder / "canary")
        _judge(count, name, folder, arguments, outside)
        shutil.rmtree(bad)
    return count


def _judge(count: Count, name: str, folder: Path, arguments: tuple[object, ...], outside: Mapping[Path, bytes]) -> None:
    ended = count.run(folder, *arguments)
    canary, scores = folder / "canary", folder / "o/scores.csv"
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
    elif scores.exists() and FORMULA.search(scores.read_text()):
        complaint = "a formula came through"
    count.judge(name, complaint)
    shutil.rmtree(folder / "o", ignore_errors=True)
