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
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stress.harness import GAUSSIAN, LONG, Count, Ended, Process, count_rows, in_pairs, noisy_wave, run, settings, torn

_LIBC = ctypes.CDLL(None)  # made here: nothing may be imported between a fork and what follows it
FOLLOW = ("--source", "csv", "--follow", *settings("csv.poll_seconds=0.01"), *GAUSSIAN)


class Try(NamedTuple):
    """One try of a fault; the complaint of a fault is None where all was as it should be."""

    count: Count
    folder: Path
    dice: random.Random  # for moments and sizes
    whole: Path  # the folder of a run that was left alone
    out: Path

    def run(self, *arguments: object, **options: object) -> Ended:
        return self.count.run(self.folder, *arguments, "--out", self.out, **options)

    def said_and_resumed(self, ended: Ended, *words: str) -> str | None:
        """A run that failed, once what it failed of is over: it said so in one line, left whole rows, and goes on."""
        if ended.code != 1 or not all(word in ended.said for word in words):
            return f"exit code {ended.code}, said {ended.said[-300:]!r}"
        if complaint := torn(self.out):
            return complaint
        resumed = self.run("--resume")
        failed = f"exit code {resumed.code} on --resume ({resumed.said[-300:]})"
        return failed if resumed.code else self.count.compare(self.out, self.whole)

    def said_and_done(self, ended: Ended, word: str) -> str | None:
        """A run of 3,000 rows that told of something and went on."""
        if ended.code or word not in ended.said:
            return f"exit code {ended.code}, said {ended.said[-400:]!r}"
        return self.count.rows(count_rows(self.out), 3000)


def suffer(folder: Path, seed: int, tries: int) -> list[Count]:
    """Every fault ``tries`` times, with other moments and sizes; a count a fault."""
    whole = folder / "whole"
    run(folder, "--out", whole, *LONG)
    counts = [Count(name) for name in FAULTS]

    def work(number: int) -> None:
        count = counts[number]
        if FAULTS[count.group] is _disk_full and os.geteuid() != 0:
            count.notes.append("not tried: mounting a tmpfs needs root")
            return
        for each in range(tries):
            place = folder / count.group.replace(" ", "-") / str(each)
            place.mkdir(parents=True)
            what = f"{count.group} {each}"
            count.judge(what, FAULTS[count.group](Try(count, place, random.Random(f"{seed} {what}"), whole, place / "o")))
            shutil.rmtree(place, ignore_errors=True)

    in_pairs(work, len(counts))
    return counts


def _file_too_large(one: Try) -> str | None:
    """No file may be larger than this: a full disk that every user can have."""
    size = one.dice.randrange(40_000, 2_000_000)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return one.said_and_resumed(one.run(*LONG, preexec_fn=limit), "cannot be written", "--resume")


def _disk_full(one: Try) -> str | None:
    disk = one.folder / "disk"
    disk.mkdir()
    size = one.dice.randrange(100_000, 2_200_000)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        one = one._replace(out=disk / "o")
        ended = one.run(*LONG)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        return one.said_and_resumed(ended, "No space left on device", "free space")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def _heed_permissions() -> None:
    """Have even root's next program heed the permissions of files."""
    drop_from_bounding_set, override_permissions = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE
    _LIBC.prctl(drop_from_bounding_set, override_permissions, 0, 0, 0)


def _read_only(one: Try) -> str | None:
    """No file can be made or renamed in the folder any more; those that are open can be written."""
    process = Process(one.folder, "--out", one.out, *LONG, preexec_fn=_heed_permissions)
    process.wait_for_rows(one.out, one.dice.randrange(2000, 12_000))
    one.out.chmod(0o555)
    ended = one.count.hear(process.wait())
    one.out.chmod(0o755)
    if ended.code == 1 and count_rows(one.out) != count_rows(one.whole):
        return f"it stopped after {count_rows(one.out):,} rows"  # the rows could be written all the time
    last = "adaptations.jsonl" if "adaptations.jsonl" in ended.said else "detector.npz"  # where a change was declared meanwhile
    return one.said_and_resumed(ended, "checkpoint.npz cannot be written", "the run goes on", f"{last} cannot be written")


def _gone(one: Try) -> str | None:
    process = Process(one.folder, "--out", one.out, *LONG)
    process.wait_for_rows(one.out, one.dice.randrange(2000, 12_000))
    one.out.rename(one.folder / "moved")
    ended = one.count.hear(process.wait())
    (one.folder / "moved").rename(one.out)
    return one.said_and_resumed(ended, "was moved or removed")


def _rotated(one: Try) -> str | None:
    """The file is renamed and another one begun, several times, while lines come: not one of them is lost."""

    def rotate(log: Path, number: int) -> None:
        log.rename(log.with_suffix(f".{number}"))
        log.write_text("timestamp,value\n")

    return _followed(one, rotate, behind=900)  # a file that comes and goes between two looks is missed, as with tail


def _cut_short(one: Try) -> str | None:
    """The file is cut to nothing once all of it is read, and written anew."""

    def empty(log: Path, number: int) -> None:
        os.truncate(log, 0)
        time.sleep(0.1)

    return _followed(one, empty, behind=0)


def _followed(one: Try, turn: Callable[[Path, int], None], behind: int) -> str | None:
    log = one.folder / "growing.csv"
    lines = [f"{1_700_000_000 + 60 * row},{value}\n" for row, value in enumerate(noisy_wave(6000, 3))]
    log.write_text("timestamp,value\n" + "".join(lines[:2000]))
    process = Process(one.folder, "--path", log, "--out", one.out, *FOLLOW)
    for number in range(4):
        wanted = 2000 + 1000 * number
        process.wait_for_rows(one.out, wanted - behind if number else wanted)
        turn(log, number)
        for first in range(wanted, wanted + 1000, 100):
            with log.open("a") as file:
                file.write("".join(lines[first : first + 100]))
            time.sleep(one.dice.uniform(0, 0.005))
    process.wait_for_rows(one.out, len(lines))
    ended = one.count.hear(process.end(signal.SIGTERM))
    values = [line.split(",")[1] for line in (one.out / "scores.csv").read_text().splitlines()[1:]]
    one.count.rows(len(values), len(lines))
    same = values == [line.split(",")[1].strip() for line in lines]
    return None if ended.code == 0 and same else f"exit code {ended.code}, {len(values):,} rows of {len(lines):,}"


def _closed_in_a_line(one: Try) -> str | None:
    """The producer dies within a line: that line is left out and told of, the run ends as it should."""
    lines = [f"{1_700_000_000 + 60 * row},{value}\n" for row, value in enumerate(noisy_wave(3000, 4))]
    (one.folder / "input").write_text("".join(lines) + lines[-1][: one.dice.randrange(1, 10)])  # within the time
    with (one.folder / "input").open("rb") as file:
        return one.said_and_done(one.run("--source", "stdin", *GAUSSIAN, stdin=file), "cut off")


def _clock_back(one: Try) -> str | None:
    """The computer's clock falls back an hour a second, and the timestamps fall back too: told of once, and every row is there."""
    clock = "import time\nreal = time.time\nbegan = real()\ntime.time = lambda: real() - 3600 * (real() - began)\n"
    (one.folder / "sitecustomize.py").write_text(clock)
    back = one.dice.randrange(1800, 2800)
    times = [1_700_000_000 + 60 * (row if row < back else row - 1000) for row in range(3000)]
    lines = [f"{time},{value}\n" for time, value in zip(times, noisy_wave(3000, 4), strict=True)]
    (one.folder / "input.csv").write_text("timestamp,value\n" + "".join(lines))
    file, path = ("--source", "csv", "--path", "input.csv"), {"PYTHONPATH": str(one.folder)}
    return one.said_and_done(one.run(*file, *GAUSSIAN, environment=path), "is not after")


def _webhook_down(one: Try) -> str | None:
    """Nobody listens at the webhook's address: the run is the same, says so, and keeps the alerts."""
    alerts = settings("alerts.webhook.enabled=true", "alerts.backoff=0.01", "alerts.drain_seconds=0.2")
    ended = one.run(*LONG, *alerts, environment={"ANOMALY_WEBHOOK_URL": "http://127.0.0.1:9/nobody"})
    if "webhook" not in ended.said:
        return f"said {ended.said[-300:]!r}"
    if (one.out / "scores.csv").read_bytes() != (one.whole / "scores.csv").read_bytes():
        return "scores.csv differs"
    return None if (one.out / "alerts.sqlite").exists() else "the alerts are lost"


def _two_runs(one: Try) -> str | None:
    """A second run in the folder of one that still goes on is refused; the first one does not notice."""
    process = Process(one.folder, "--out", one.out, *LONG)
    process.wait_for_rows(one.out, 2000)
    process.popen.send_signal(signal.SIGSTOP)  # so that it certainly still goes on
    second = one.run("--resume")
    first = one.count.hear(process.end(signal.SIGCONT))
    if first.code or second.code != 2 or "still going on" not in second.said:
        return f"exit codes {first.code} and {second.code}, said {second.said[-300:]!r}"
    return one.count.compare(one.out, one.whole)


FAULTS: dict[str, Callable[[Try], str | None]] = {
    "largest size of a file reached": _file_too_large,
    "disk full (tmpfs), then room again": _disk_full,
    "folder read-only, then writable again": _read_only,
    "folder taken away": _gone,
    "followed file rotated": _rotated,
    "followed file cut short": _cut_short,
    "stdin closed in the middle of a line": _closed_in_a_line,
    "clock and timestamps going back": _clock_back,
    "webhook that nobody answers": _webhook_down,
    "two runs in one folder": _two_runs,
}
