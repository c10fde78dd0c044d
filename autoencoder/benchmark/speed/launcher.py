"""Runs one command and prints, as JSON, how long it took and how much memory it held at most.

It is a process of its own, of the standard library only: on Linux a new process begins with its parent's peak, and the parent of a
measured one must therefore be small.

    launcher.py INPUT WATCHED LINES COMMAND...

INPUT is the file that the command reads as its standard input ("-": none). With WATCHED and LINES (else "-" and 0) the clock stops as
soon as that file holds so many lines; until then the input is held open behind what INPUT holds, as by a producer that waits.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 120.0  # seconds
POLL = 0.001  # seconds


def main(feed: str, watched: str, lines: int, command: list[str]) -> int:
    """Run the command; returns its exit code."""
    began = time.perf_counter()
    if watched == "-":
        with Path(os.devnull if feed == "-" else feed).open("rb") as source:
            process = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL)
            process.wait()
        seconds = time.perf_counter() - began
    else:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert process.stdin
        process.stdin.write(b"" if feed == "-" else Path(feed).read_bytes())
        process.stdin.flush()
        while process.poll() is None and _lines_of(watched) < lines and time.perf_counter() - began < PATIENCE:
            time.sleep(POLL)
        seconds = time.perf_counter() - began
        process.stdin.close()
        process.wait()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "peak": peak * unit}))
    return process.returncode


def _lines_of(path: str) -> int:
    try:
        return Path(path).read_bytes().count(b"\n")
    except OSError:  # not there yet
        return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
