"""Faults of the world: full disks, folders read-only or gone, files that turn, pipes that break, clocks that go back.

The run must say so, keep what it has, go on where that makes sense, and end with the right exit code.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stress.harness import GAUSSIAN, Count, Ended, Process, in_pairs, noisy_wave, run, torn

_LIBC = ctypes.CDLL(None)  # made here: nothing may be imported between a fork and what follows it
LONG = ("--set", "synthetic.points=30000", *GAUSSIAN)
FOLLOW = ("--source", "csv", "--follow", "--set", "csv.poll_seconds=0.01", *GAUSSIAN)

Fault = Callable[[Count, Path, random.Random, Path], str | None]  # count, folder, moments, folder of a whole run


def suffer(folder: Path, seed: int, tries: int) -> list[Count]:
    """Every fault ``tries`` times, with other moments and sizes; a count a fault."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / "whole"
    reference = run(folder, "--out", whole, *LONG)
    assert reference.code == 0, reference.said
    faults: dict[str, Fault] = {
        "largest size of a file reached": _file_too_large,
        "disk full (tmpfs), then room again": _disk_full,
        "folder read-only, then writable again": _read_only,
        "folder taken away": _gone,
        "followed file rotated": lambda count, folder, dice, _: _followed(count, folder, dice, _rotate),
        "followed file cut short": lambda count, folder, dice, _: _followed(count, folder, dice, _empty),
        "stdin closed in the middle of a line": _closed_in_a_line,
        "clock and timestamps going back": _clock_back,
        "webhook that nobody answers": _webhook_down,
        "two runs in one folder": _two_runs,
    }
    items = list(faults.items())
    counts: dict[str, Count] = {}

    def work(number: int) -> None:
        name, fault = items[number]
        counts[name] = _count(name, fault, folder / name.replace(" ", "-"), seed, tries, whole)

    in_pairs(work, len(items))
    return [counts[name] for name in faults]


def _count(name: str, fault: Fault, folder: Path, seed: int, tries: int, whole: Path) -> Count:
    count = Count(name)
    if fault is _disk_full and os.geteuid() != 0:
        count.notes.append("not tried: mounting a tmpfs needs root")
        return count
    for number in range(tries):
        place = folder / str(number)
        place.mkdir(parents=True)
        count.judge(f"{name} {number}", fault(count, place, random.Random(f"{seed} {name} {number}"), whole))
        shutil.rmtree(place, ignore_errors=True)
    return count


def _said_and_resumed(count: Count, ended: Ended, words: tuple[str, ...], out: Path, whole: Path) -> str | None:
    """A run that failed, once what it failed of is over: it said so in one line, left whole rows, and goes on."""
    count.hear(ended)
    if ended.code != 1 or not all(word in ended.said for word in words):
        return f"exit code {ended.code}, said {ended.said[-300:]!r}"
    if complaint := torn(out):
        return complaint
    resumed = run(out.parent, "--out", out, "--resume")
    count.hear(resumed)
    return count.compare(out, whole) if resumed.code == 0 else f"exit code {resumed.code} on --resume ({resumed.said[-300:]})"


def _file_too_large(count: Count, folder: Path, dice: random.Random, whole: Path) -> str | None:
    """No file may be larger than this: a full disk that every user can have."""
    size = dice.randrange(40_000, 2_000_000)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    ended = run(folder, "--out", folder / "o", *LONG, preexec_fn=limit)
    return _said_and_resumed(count, ended, ("cannot be written", "--resume"), folder / "o", whole)


def _disk_full(count: Count, folder: Path, dice: random.Random, whole: Path) -> str | None:
    with _tmpfs(folder / "disk", dice.randrange(100_000, 2_200_000)) as disk:
        ended = run(folder, "--out", disk / "o", *LONG)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        return _said_and_resumed(count, ended, ("No space left on device", "free space"), disk / "o", whole)


@contextmanager
def _tmpfs(path: Path, size: int) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def _read_only(count: Count, folder: Path, dice: random.Random, whole: Path) -> str | None:
    """No file can be made or renamed in the folder any more; those that are open can be written."""
    out = folder / "o"
    process = Process(folder, "--out", out, *LONG, preexec_fn=_heed_permissions)
    _wait_for_rows(process, out, dice.randrange(2000, 12_000))
    if out.exists():
        out.chmod(0o555)
    ended = process.wait()
    out.chmod(0o755)
    if ended.code == 1 and _rows(out) != _rows(whole):
        return f"it stopped after {_rows(out):,} rows"  # the rows could be written all the time
    return _said_and_resumed(count, ended, ("checkpoint.npz cannot be written", "the run goes on", "metrics.json"), out, whole)


def _heed_permissions() -> None:
    """Have even root's next program heed the permissions of files."""
    drop_from_bounding_set, override_permissions = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
    _LIBC.prctl(drop_from_bounding_set, override_permissions, 0, 0, 0)


def _gone(count: Count, folder: Path, dice: random.Random, whole: Path) -> str | None:
    out = folder / "o"
    process = Process(folder, "--out", out, *LONG)
    _wait_for_rows(process, out, dice.randrange(2000, 12_000))
    out.rename(folder / "moved")
    ended = process.wait()
    (folder / "moved").rename(out)
    return _said_and_resumed(count, ended, ("was moved or removed",), out, whole)


def _rotate(log: Path, number: int) -> None:
    """The file is renamed and another one begun, several times, while lines come: not one of them is lost."""
    log.rename(log.with_suffix(f".{number}"))
    log.write_text("timestamp,value\n")


def _empty(log: Path, number: int) -> None:
    """The file is cut to nothing once all of it is read, and written anew."""
    os.truncate(log, 0)


def _followed(count: Count, folder: Path, dice: random.Random, turn: Callable[[Path, int], None]) -> str | None:
    log, out = folder / "growing.csv", folder / "o"
    lines = [f"{1_700_000_000 + 60 * row},{value}\n" for row, value in enumerate(noisy_wave(6000, 3))]
    log.write_text("timestamp,value\n" + "".join(lines[:2000]))
    process = Process(folder, "--path", log, "--out", out, *FOLLOW)
    for number in range(4):
        wanted = 2000 + 1000 * number
        # a file that comes and goes between two looks is missed, as with tail
        _wait_for_rows(process, out, wanted if turn is _empty or not number else wanted - 900)
        turn(log, number)
        if turn is _empty:
            time.sleep(0.1)
        for first in range(wanted, wanted + 1000, 100):
            with log.open("a") as file:
                file.write("".join(lines[first : first + 100]))
            time.sleep(dice.uniform(0, 0.005))
    _wait_for_rows(process, out, len(lines))
    process.signal(signal.SIGTERM)
    ended = process.wait()
    count.hear(ended)
    values = [line.split(",")[1] for line in (out / "scores.csv").read_text().splitlines()[1:]]
    expected = [line.split(",")[1].strip() for line in lines]
    count.lost += max(0, len(expected) - len(values))
    count.doubled += max(0, len(values) - len(expected))
    return None if ended.code == 0 and values == expected else f"exit code {ended.code}, {len(values):,} rows of {len(lines):,}"


def _closed_in_a_line(count: Count, folder: Path, dice: random.Random, whole: Path) -> str | None:
    """The producer dies within a line: that line is left out and told of, the run ends as it should."""
    lines = [f"{1_700_000_000 + 60 * row},{value}\n" for row, value in enumerate(noisy_wave(3000, 4))]
    cut = dice.randrange(1, 10)  # within the time
    (folder / "input").write_text("".join(lines) + lines[-1][:cut])
    with (folder / "input").open("rb") as file:
        ended = run(folder, "--source", "stdin", "--out", folder / "o", *GAUSSIAN, stdin=file)
    count.hear(ended)
    count.lost += max(0, 3000 - _rows(folder / "o"))
    count.doubled += max(0, _rows(folder / "o") - 3000)
    if ended.code or "cut off" not in ended.said:
        return f"exit code {ended.code}, said {ended.said[-300:]!r}"
    return None if _rows(folder / "o") == 3000 else f"{_rows(folder / 'o'):,} rows"


def _clock_back(count: Count, folder: Path, dice: random.Random, whole: Path) -> str | None:
    """The computer's clock falls back an hour a second, and the timestamps fall back too: told of once, and every row is there."""
    (folder / "sitecustomize.py").write_text(
        "import time\nreal = time.time\nbegan = real()\ntime.time = lambda: real() - 3600 * (real() - began)\n"
    )
    back = dice.randrange(1800, 2800)
    lines = [
        f"{1_700_000_000 + 60 * (row if row < back else row - 1000)},{value}\n" for row, value in enumerate(noisy_wave(3000, 4))
    ]
    (folder / "input.csv").write_text("timestamp,value\n" + "".join(lines))
    path = {"PYTHONPATH": str(folder)}
    ended = run(folder, "--source", "csv", "--path", "input.csv", "--out", folder / "o", *GAUSSIAN, environment=path)
    count.hear(ended)
    if ended.code or "is not after" not in ended.said:
        return f"exit code {ended.code}, said {ended.said[-400:]!r}"
    return None if _rows(folder / "o") == 3000 else f"{_rows(folder / 'o'):,} rows"


def _webhook_down(count: Count, folder: Path, dice: random.Random, whole: Path) -> str | None:
    """Nobody listens at the webhook's address: the run is the same, says so, and keeps the alerts."""
    alerts = [part for text in ("enabled=true", "retry=0.01", "deadline=0.2") for part in ("--set", f"alerts.webhook.{text}")]
    address = {"ANOMALY_WEBHOOK_URL": "http://127.0.0.1:9/nobody"}
    ended = run(folder, "--out", folder / "o", *LONG, *alerts, environment=address)
    count.hear(ended)
    same = (folder / "o/scores.csv").read_bytes() == (whole / "scores.csv").read_bytes()
    if "webhook" not in ended.said or not same:
        return f"said {ended.said[-300:]!r}" if same else "scores.csv differs"
    return None if (folder / "o/alerts.sqlite").exists() else "the alerts are lost"


def _two_runs(count: Count, folder: Path, dice: random.Random, whole: Path) -> str | None:
    """A second run in the folder of one that still goes on is refused; the first one does not notice."""
    out = folder / "o"
    process = Process(folder, "--out", out, *LONG)
    _wait_for_rows(process, out, 2000)
    process.signal(signal.SIGSTOP)  # so that it certainly still goes on
    second = run(folder, "--out", out, "--resume")
    process.signal(signal.SIGCONT)
    first = process.wait()
    count.hear(first)
    count.hear(second)
    if first.code or second.code != 2 or "still going on" not in second.said:
        return f"exit codes {first.code} and {second.code}, said {second.said[-300:]!r}"
    return count.compare(out, whole)


def _rows(folder: Path) -> int:
    path = folder / "scores.csv"
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def _wait_for_rows(process: Process, folder: Path, rows: int) -> None:
    end = time.monotonic() + 30
    while process.poll() and _rows(folder) < rows and time.monotonic() < end:
        time.sleep(0.002)
