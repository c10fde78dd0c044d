"""``make torture``: every group at full size; writes the table in docs/reliability.md."""

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

from stress import faults, fuzz, hostile, kills, serving, soak
from stress.harness import ROOT, Count

REPORT = ROOT / "docs" / "reliability.md"
# name -> folder, seed and share of the full size -> counts
GROUPS: dict[str, Callable[[Path, int, float], Sequence[Count]]] = {
    "kills": lambda folder, seed, share: kills.kill(folder, seed, max(5, round(200 * share))),
    "signals": lambda folder, seed, share: [kills.interrupt(folder, seed, max(3, round(48 * share)))],
    "serve": lambda folder, seed, share: serving.kill(folder, seed, max(3, round(50 * share))),
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
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="torture-"))

    def work(group: str) -> Sequence[Count]:
        counts = GROUPS[group](folder / group, arguments.seed, arguments.share)
        for count in counts:
            sys.stderr.write(f"{count.group}: {count.survived} of {count.tries} survived {' '.join(count.complaints)}\n")
        sys.stderr.write(f"{group}: done after {time.monotonic() - began:.0f} s\n")
        return counts

    groups = arguments.group or [*GROUPS]
    try:
        with ThreadPoolExecutor(1) as pool:
            beside = [pool.submit(work, group) for group in groups if group == BESIDE]
            counts = [count for group in groups if group != BESIDE for count in work(group)]
            counts += [count for future in beside for count in future.result()]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.group or arguments.share != 1:
        sys.stdout.write("\n".join([*table(counts), ""]))
    else:
        done = f"Seed {arguments.seed}, {os.cpu_count()} cores, {(time.monotonic() - began) / 60:.0f} minutes."
        head, mark, rest = REPORT.read_text(encoding="utf-8").partition("|---|---|---|---|---|---|---|---|\n")
        rest = rest[rest.index("## What is done to it") :]
        REPORT.write_text(head + mark + "\n".join([*table(counts), done, "", ""]) + rest, encoding="utf-8")
        sys.stdout.write(f"{REPORT}\n")
    return 0 if all(count.is_clean for count in counts) else 1


def table(counts: Sequence[Count]) -> list[str]:
    """Rows of the report, and what was not as it should be."""
    rows = []
    for count in counts:
        numbers = (count.tries, count.survived, count.lost, count.doubled, count.tracebacks, count.code_run)
        rows.append(f"| {count.group} | {' | '.join(f'{number:,}' for number in numbers)} | {'; '.join(count.notes)} |")
    complaints = [f"- {complaint.strip().replace(chr(10), ' ')[:300]}" for count in counts for complaint in count.complaints[:5]]
    return [*rows, "", *(["Not as it should be:", "", *complaints, ""] if complaints else [])]


if __name__ == "__main__":
    raise SystemExit(main())
