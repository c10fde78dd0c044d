"""Kills: SIGKILL at random moments, from the first on, and the same command again, until the run is done. And polite signals.

What it ends with must equal what a run leaves that was left alone.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stress.harness import GAUSSIAN, LONG, LSTM, Count, Process, in_pairs, noisy_wave, run, settings, torn, train_lstm, write_wave

CHAIN = 4  # kills that one run goes through
ATTEMPTS = 12  # runs that may end before they have had them


class Scenario(NamedTuple):
    """A run that is killed."""

    name: str  # what goes on when it dies
    kills: int
    arguments: tuple[object, ...]  # of the program, but for --out
    in_draft: bool = False  # kill it while a checkpoint is written, and not at a random moment
    rows: Sequence[str] = ()  # what a producer writes to its stdin, line by line; it begins where the program says


def scenarios(folder: Path, kills: int) -> list[Scenario]:
    """About so many kills: of runs that score, write checkpoints, change their model, train, use a saved network, are fed by a pipe."""
    file = ("--source", "csv", "--path", write_wave(folder / "wave.csv", 9000))
    wave = noisy_wave(9000, 1)
    changing = [10 + (1 + row // 1500 % 2 * 3) * (value - 10) for row, value in enumerate(wave)]
    (folder / "changing.csv").write_text("value\n" + "".join(f"{value}\n" for value in changing))
    adapting = ("enabled=true", "synchronous=true", "cold_start_points=null", "confirm_windows=4", "buffer_points=1000")
    adapts = settings(*(f"adaptation.{text}" for text in adapting))
    changes = ("--source", "csv", "--path", folder / "changing.csv", *GAUSSIAN, *adapts)
    found = [
        Scenario("scoring", kills * 5 // 20, LONG),
        Scenario("writing a checkpoint", kills * 4 // 20, LONG, in_draft=True),
        Scenario("putting other models in place", kills * 3 // 20, changes),
        Scenario("fed by a pipe", kills * 3 // 20, ("--source", "stdin", *GAUSSIAN), rows=[f"{value}\n" for value in wave]),
    ]
    if kills >= 20:
        saved = ("--model", train_lstm(folder, folder / "wave.csv"), "--plot", "none", *settings("checkpoint.every=250"))
        found.append(Scenario("scoring with a saved LSTM", kills * 3 // 20, (*file, *saved)))
        found.append(Scenario("training an LSTM", kills * 2 // 20, (*file, *LSTM)))
    return found


def kill(folder: Path, seed: int, kills: int) -> list[Count]:
    """Kill runs at random moments; a count a scenario."""
    return [_count(folder / scenario.name.replace(" ", "-"), scenario, seed) for scenario in scenarios(folder, kills)]


def _count(folder: Path, scenario: Scenario, seed: int) -> Count:
    count, whole = Count(f"SIGKILL, {scenario.name}"), folder / "whole"
    reference = _start(folder, scenario, whole).wait()
    assert reference.code == 0, reference.said
    half_written: list[int] = []

    def chain(number: int) -> None:
        wanted = min(CHAIN, scenario.kills - number * CHAIN)
        dice = random.Random(f"{seed} {scenario.name} {number}")
        for attempt in range(ATTEMPTS):
            out = folder / f"run-{number}-{attempt}"
            kills, drafts, complaint = _killed_and_resumed(count, scenario, out, dice, wanted, reference.seconds)
            count.judge(f"{scenario.name}, {out.name}", complaint or count.compare(out, whole), kills)
            half_written.append(drafts)
            shutil.rmtree(out, ignore_errors=True)
            wanted -= kills
            if wanted <= 0:
                break

    in_pairs(chain, -(-scenario.kills // CHAIN))
    if sum(half_written):
        count.notes.append(f"{sum(half_written)} left a half-written file")
    return count


def _killed_and_resumed(
    count: Count, scenario: Scenario, out: Path, dice: random.Random, wanted: int, seconds: float
) -> tuple[int, int, str | None]:
    """Kill and resume a run until it has had its kills or is over; the kills that hit, the drafts they left, and what went wrong."""
    kills = drafts = 0
    while kills < wanted:
        process = _start(out.parent, scenario, out)
        if scenario.in_draft:
            time.sleep(dice.uniform(0.2, 0.7) * seconds)
            process.wait_while(lambda: not (out / ".checkpoint.npz.part").exists())
        else:
            time.sleep(dice.uniform(0.0, 1.0) * seconds)
        ended = count.hear(process.end(signal.SIGKILL))
        if ended.is_over:  # it was quicker; what it leaves is compared all the same
            return kills, drafts, None
        if ended.code != -signal.SIGKILL:
            return kills, drafts, f"exit code {ended.code} ({ended.said[-300:]})"
        kills += 1
        drafts += any(out.glob(".*.part"))
    ended = count.hear(_start(out.parent, scenario, out).wait())
    return kills, drafts, None if ended.is_over else f"exit code {ended.code} on --resume ({ended.said[-300:]})"


def _start(folder: Path, scenario: Scenario, out: Path) -> Process:
    """Begin, or go on where it was killed, with one command."""
    arguments = ("--out", out, "--resume", *scenario.arguments)
    process = Process(folder, *arguments, stdin=subprocess.PIPE if scenario.rows else subprocess.DEVNULL)
    if scenario.rows:
        threading.Thread(target=_produce, args=(process, scenario.rows), daemon=True).start()
    return process


def _produce(process: Process, rows: Sequence[str]) -> None:
    """Write rows into a process, from the row on that it asks for before it reads the first."""
    stream, first = process.popen.stdin, None
    assert stream
    while first is None and process.runs():
        with contextlib.suppress(OSError):
            asked = re.search(r"the producer must begin with row ([\d,]+)\n", process.said())
            first = int(asked[1].replace(",", "")) - 1 if asked else None
        time.sleep(0.005)
    with contextlib.suppress(OSError), stream:
        for row in range(first or 0, len(rows), 100):
            stream.write("".join(rows[row : row + 100]).encode())
            stream.flush()
            time.sleep(0.004)


def interrupt(folder: Path, seed: int, tries: int) -> Count:
    """SIGTERM, SIGINT and SIGHUP at random moments: exit code 130, whole rows, and a resumed run that equals one left alone."""
    count, whole = Count("SIGTERM, SIGINT, SIGHUP"), folder / "whole"
    seconds = run(folder, "--out", whole, *LONG).seconds
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def once(number: int) -> None:
        dice, out = random.Random(f"{seed} signal {number}"), folder / f"run-{number}"
        process = Process(folder, "--out", out, *LONG)
        process.wait_while(lambda: not (out / "config.yaml").exists())
        time.sleep(dice.uniform(0.0, 1.1) * seconds)  # also when all is done but the goodbye
        ended = count.hear(process.end(numbers[number % 3]))
        complaint = torn(out) if ended.code in (0, 130) else f"exit code {ended.code}"
        if not complaint and ended.code == 130 and out.exists():
            resumed = count.run(folder, "--out", out, "--resume")
            complaint = f"exit code {resumed.code} on --resume ({resumed.said[-300:]})" if resumed.code else None
        if not complaint and out.exists():
            complaint = count.compare(out, whole)
        count.judge(f"{numbers[number % 3].name} {number}", complaint)
        shutil.rmtree(out, ignore_errors=True)

    in_pairs(once, tries)
    return count
