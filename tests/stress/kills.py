"""Kills: SIGKILL at random moments, again and again, until the run is done; it must equal one that was left alone. And polite signals."""

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
from dataclasses import dataclass, field
from pathlib import Path

from stress.harness import GAUSSIAN, LSTM, Count, Ended, Process, in_pairs, noisy_wave, run, torn

CHAIN = 4  # kills that one run goes through
ATTEMPTS = 5  # runs that may end before they have had them
Arguments = tuple[object, ...]


@dataclass
class Scenario:
    """A run that is killed.

    Attributes:
        name: what goes on when it dies.
        arguments: of the program, but for --out.
        kills: how many.
        in_draft: kill it while a checkpoint is written, and not at a random moment.
        rows: what a producer writes to its stdin, line by line; it begins where the program says.
    """

    name: str
    arguments: Arguments
    kills: int
    in_draft: bool = False
    rows: Sequence[str] = field(default=())


def scenarios(folder: Path, kills: int) -> list[Scenario]:
    """About so many kills: of runs that score, write checkpoints, change their model, train, use a saved network, are fed by a pipe."""
    folder.mkdir(parents=True, exist_ok=True)
    wave = [f"{value}\n" for value in noisy_wave(9000, 1)]
    (folder / "wave.csv").write_text("value\n" + "".join(wave))
    file = ("--source", "csv", "--path", folder / "wave.csv")
    changing = [10 + (1 + row // 1500 % 2 * 3) * (float(value) - 10) for row, value in enumerate(wave)]
    (folder / "changing.csv").write_text("value\n" + "".join(f"{value}\n" for value in changing))
    adapting = ("enabled=true", "deterministic=true", "early=null", "patience=4", "history=1000")
    settings = [part for text in adapting for part in ("--set", f"adaptation.{text}")]
    found = [
        Scenario("scoring", ("--set", "synthetic.points=30000", *GAUSSIAN), kills * 5 // 20),
        Scenario("writing a checkpoint", ("--set", "synthetic.points=30000", *GAUSSIAN), kills * 4 // 20, in_draft=True),
        Scenario(
            "putting other models in place",
            ("--source", "csv", "--path", folder / "changing.csv", *GAUSSIAN, *settings),
            kills * 3 // 20,
        ),
        Scenario("fed by a pipe", ("--source", "stdin", *GAUSSIAN), kills * 3 // 20, rows=wave),
    ]
    if kills >= 20:
        saved = folder / "saved"
        made = run(folder, "train", *file, *LSTM, "--out", saved)
        assert made.code == 0, made.said
        found += [
            Scenario("scoring with a saved LSTM", (*file, "--model", saved, "--plot", "none", *LSTM[-2:]), kills * 3 // 20),
            Scenario("training an LSTM", (*file, *LSTM), kills * 2 // 20),
        ]
    return found


def kill(folder: Path, seed: int, kills: int) -> list[Count]:
    """Kill runs at random moments; a count a scenario."""
    return [_count(folder / scenario.name.replace(" ", "-"), scenario, seed) for scenario in scenarios(folder, kills)]


def _count(folder: Path, scenario: Scenario, seed: int) -> Count:
    count = Count(f"SIGKILL, {scenario.name}")
    whole = folder / "whole"
    reference = _start(folder, scenario, whole).wait()
    assert reference.code == 0, reference.said

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

    half_written: list[int] = []
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
            _wait_for_draft(process, out, dice.uniform(0.2, 0.7) * seconds)
        else:
            time.sleep(dice.uniform(0.1, 0.9) * seconds)
        process.signal(signal.SIGKILL)
        ended = process.wait()
        count.hear(ended)
        if _is_over(ended):  # it was quicker; what it leaves is compared all the same
            return kills, drafts, None
        if ended.code != -signal.SIGKILL:
            return kills, drafts, f"exit code {ended.code} ({ended.said[-300:]})"
        kills += 1
        drafts += any(out.glob(".*.part"))
    ended = _start(out.parent, scenario, out).wait()
    count.hear(ended)
    return kills, drafts, None if _is_over(ended) else f"exit code {ended.code} on --resume ({ended.said[-300:]})"


def _is_over(ended: Ended) -> bool:
    """Whether a run ended by itself, this time or, with the kill that followed, the time before."""
    return ended.code == 0 or "is done; there is nothing left to go on with" in ended.said


def _start(folder: Path, scenario: Scenario, out: Path) -> Process:
    """Begin, or go on where it was killed; what died before it wrote config.yaml had not begun."""
    resumed = (out / "config.yaml").exists()
    if not resumed:
        shutil.rmtree(out, ignore_errors=True)
    arguments = ("--out", out, "--resume") if resumed else ("--out", out, *scenario.arguments)
    if not scenario.rows:
        return Process(folder, *arguments)
    process = Process(folder, *arguments, stdin=subprocess.PIPE)
    threading.Thread(target=_produce, args=(process, scenario.rows, resumed), daemon=True).start()
    return process


def _produce(process: Process, rows: Sequence[str], resumed: bool) -> None:
    """Write rows into a process, from the row on that it asks for."""
    stream = process.popen.stdin
    assert stream
    first = _rows_done(process) if resumed else 0
    with contextlib.suppress(OSError), stream:
        for row in range(first, len(rows), 100):
            stream.write("".join(rows[row : row + 100]).encode())
            stream.flush()
            time.sleep(0.004)


def _rows_done(process: Process) -> int:
    """The program says which row it wants before it reads the first."""
    while process.poll():
        with contextlib.suppress(OSError):
            asked = re.search(r"the producer must begin with row ([\d,]+)\n", process.output.read_text(errors="replace"))
            if asked:
                return int(asked[1].replace(",", "")) - 1
        time.sleep(0.005)
    return 0


def _wait_for_draft(process: Process, out: Path, after: float) -> None:
    """Wait until a checkpoint is being written, some time after the start."""
    time.sleep(after)
    draft = out / ".checkpoint.npz.part"
    while process.poll() and not draft.exists():
        time.sleep(0)


def interrupt(folder: Path, seed: int, tries: int) -> Count:
    """SIGTERM, SIGINT and SIGHUP at random moments: exit code 130, whole rows, and a resumed run that equals one left alone."""
    count = Count("SIGTERM, SIGINT, SIGHUP")
    arguments = ("--set", "synthetic.points=30000", *GAUSSIAN)
    whole = folder / "whole"
    reference = run(folder, "--out", whole, *arguments)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def once(number: int) -> None:
        dice = random.Random(f"{seed} signal {number}")
        out = folder / f"run-{number}"
        process = Process(folder, "--out", out, *arguments)
        while process.poll() and not (out / "config.yaml").exists():
            time.sleep(0.002)
        time.sleep(dice.uniform(0.0, 1.1) * reference.seconds)  # also when all is done but the goodbye
        process.signal(numbers[number % 3])
        ended = process.wait()
        count.hear(ended)
        count.judge(f"{numbers[number % 3].name} {number}", _after_signal(count, ended, out, folder, whole))
        shutil.rmtree(out, ignore_errors=True)

    in_pairs(once, tries)
    return count


def _after_signal(count: Count, ended: Ended, out: Path, folder: Path, whole: Path) -> str | None:
    if ended.code not in (0, 130):
        return f"exit code {ended.code}"
    if complaint := torn(out):
        return complaint
    if ended.code == 130 and out.exists():
        resumed = run(folder, "--out", out, "--resume")
        count.hear(resumed)
        if resumed.code:
            return f"exit code {resumed.code} on --resume ({resumed.said[-300:]})"
    return count.compare(out, whole) if out.exists() else None
