"""``make torture``: every group at full size, and a table of what became of it in docs/reliability.md."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stress import faults, fuzz, hostile, kills, soak
from stress.harness import ROOT, Count

REPORT = ROOT / "docs" / "reliability.md"
# name -> folder, seed and share of the full size -> counts
GROUPS: dict[str, Callable[[Path, int, float], Sequence[Count]]] = {
    "kills": lambda folder, seed, share: kills.kill(folder, seed, max(5, round(100 * share))),
    "signals": lambda folder, seed, share: [kills.interrupt(folder, seed, max(3, round(48 * share)))],
    "faults": lambda folder, seed, share: faults.suffer(folder, seed, max(1, round(3 * share))),
    "hostile": lambda folder, seed, share: hostile.attack(folder, round(1000 * share)),
    "fuzz": lambda folder, seed, share: fuzz.shake(folder, seed, round(20_000 * share)),
    "soak": lambda folder, seed, share: soak.soak(folder, seed, round(1e7 * share), lstm_points=round(5e5 * share)),
}
BESIDE = "soak"  # takes long and one core; the others go on beside it


def main() -> int:
    """Run the groups; returns 0 where everything survived."""
    parser = argparse.ArgumentParser(prog="python -m stress")
    parser.add_argument("--group", action="append", choices=[*GROUPS], help="only this one; repeatable; writes no report")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="of the full size; the report is written at 1 only")
    arguments = parser.parse_args()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    try:
        counts = _run(arguments.group or [*GROUPS], folder, arguments.seed, arguments.share)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    minutes = (time.monotonic() - began) / 60
    if arguments.group or arguments.share != 1:
        sys.stdout.write("\n".join([*table(counts), ""]))
    else:
        REPORT.write_text(report(counts, arguments.seed, minutes), encoding="utf-8")
        sys.stdout.write(f"{REPORT}\n")
    return 0 if all(count.is_clean for count in counts) else 1


def _run(groups: Sequence[str], folder: Path, seed: int, share: float) -> list[Count]:
    def work(group: str) -> Sequence[Count]:
        began = time.monotonic()
        counts = GROUPS[group](folder / group, seed, share)
        for count in counts:
            sys.stderr.write(f"{count.group}: {count.survived} of {count.tries} survived {' '.join(count.complaints)}\n")
        sys.stderr.write(f"{group}: {time.monotonic() - began:.0f} s\n")
        return counts

    with ThreadPoolExecutor(1) as pool:
        beside = [pool.submit(work, group) for group in groups if group == BESIDE]
        counts = [count for group in groups if group != BESIDE for count in work(group)]
        return counts + [count for future in beside for count in future.result()]


def table(counts: Sequence[Count]) -> list[str]:
    """Rows of the report, and what was not as it should be."""
    rows = [
        f"| {count.group} | {count.tries:,} | {count.survived:,} | {count.lost:,} | {count.doubled:,} | {count.tracebacks:,} | "
        f"{count.code_run:,} | {'; '.join(count.notes)} |"
        for count in counts
    ]
    complaints = [f"- {complaint.strip().replace(chr(10), ' ')[:300]}" for count in counts for complaint in count.complaints[:5]]
    return [*rows, "", *(["Not as it should be:", "", *complaints, ""] if complaints else [])]


def report(counts: Sequence[Count], seed: int, minutes: float) -> str:
    """docs/reliability.md."""
    done = f"Seed {seed}, {os.cpu_count()} cores, {minutes:.0f} minutes."
    return "\n".join([_HEAD, *table(counts), done, "", _TAIL])


_HEAD = """# Reliability

Nothing lost, nothing let in. This table is made by one command, which kills, starves, cheats and feeds the program as a process of its
own, and counts:

```sh
make torture
```

A try survived when the run said what was wrong, ended with the right exit code, left whole files, and, where it could be resumed,
ended with files that equal those of a run that was left alone, byte for byte: `scores.csv`, `incidents.jsonl`, `anomalies.log`,
`config.yaml`, the values in `detector.npz` and the counts in `metrics.json`. `make test` runs a short form of every group.

| group | tries | survived | rows lost | rows doubled | tracebacks | code run | |
|---|---|---|---|---|---|---|---|"""

_TAIL = """## What is done to it

**SIGKILL.** Runs are killed up to four times each, at random moments, and resumed until they are done: while they score, in the middle of
the writing of a checkpoint, while a network trains, while other models are put in place, with a saved network, and fed by a pipe. What was
done about the model (`adaptations.jsonl`) must be the same, too. Resuming a pipe prints
`N rows are done; the producer must begin with row N + 1` before anything is read, and the producer begins there.

**SIGTERM, SIGINT, SIGHUP** end a run with exit code 130, whole rows and a checkpoint.

**Faults of the world.** A full disk ends a run with exit code 1 and whole rows; once there is room, `--resume` goes on. A checkpoint that
cannot be written is told of once, and the run goes on as long as its rows can be written. A second run in the same folder is refused.

**Hostile files.** Run folders: pickles, zip bombs, shapes of a terabyte, two million names, links and pipes in place of files, networks
with weights in other files, loops, operators of their own, giant constants, Lambda layers, yaml that builds objects. Data: gzip and parquet
that unpack to gigabytes, endless lines, formulas and commands for names. Every trap would write a file; that the traps work is tried first.
No process may take more than 2 GB.

**Fuzzing.** Sound input of every reader, settings file and saved state with bits turned, parts doubled, cut or replaced.

**Soak.** Points through a pipe at full speed; memory and open files are read four times a second.

## What keeps it so

- A checkpoint is written to a draft, flushed, synced and renamed, and then the folder is synced. It holds the whole state, the settings,
  checksums of the rows done, and how long the files of rows were; on `--resume` they are cut to that.
- The rows of a chunk are written whole, or what was written of them is cut off again.
- A checkpoint of another version, configuration or network is refused, with the difference named; so is a source whose first rows are
  no longer what they were (prices that were adjusted since are only told of).
- State files are archives of plain arrays and one JSON text; every size is looked at before anything is made of it. There is no pickle.
- `model.onnx` is looked through before it is loaded: known operators only, no graphs within nodes, no other files, no tensor larger than
  its content. Its activations come from an arena of bounded size. `model.keras` is never loaded.
- Nothing is read from or written to the target of a link that leads out of a run folder.

## What it does not do

- A run folder from a stranger can still be wrong: it may hold a network that sees nothing. With `--resume` it also says, in `config.yaml`,
  which file is read and where prices are cached: look at it first.
- A log that is rotated twice, or cut and written anew, between two looks (`csv.poll_seconds`) loses what was in between, as with `tail -F`.
  A followed file that was rotated while the run was down cannot be resumed, which is told at once.
- The power was not cut; what the disk does with `fsync` is up to the disk.
"""


if __name__ == "__main__":
    raise SystemExit(main())
