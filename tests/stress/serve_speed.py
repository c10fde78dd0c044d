"""What HTTP costs: one core judges points that come over HTTP, and the same detector judges them in process.

    PYTHONPATH=tests:. python -m stress.serve_speed --detector half_space_trees

The server has the first core to itself, the client the second one. Seconds are those of the wall and of the core (CPU), which tells more on
a machine that others use, too.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from helpers.http import LINES, start_server

from stress.harness import noisy_wave

TRAINING, BATCHED, SINGLE = 1000, 8000, 1500
FIRST = 1_704_067_200
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure in turns, and print medians of the rounds."""
    parser = argparse.ArgumentParser(prog="python -m stress.serve_speed")
    parser.add_argument("--detector", default="half_space_trees")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_process:
        sys.stdout.write(json.dumps(_in_process(arguments.detector, arguments.model)))
        return 0
    found: dict[str, list[dict[str, float]]] = {"in process": [], "HTTP": [], "HTTP, fsync": []}
    for _ in range(arguments.rounds):
        command = [sys.executable, "-m", "stress.serve_speed", *sys.argv[1:], "--in-process"]
        found["in process"].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        found["HTTP"].append(_http(arguments.detector, arguments.model))
        found["HTTP, fsync"].append(_http(arguments.detector, arguments.model, "--set", "serve.fsync=true"))
    keys = [*found["HTTP"][0]]
    sys.stdout.write(f"| {arguments.detector} | {' | '.join(keys)} |\n|---|{'---|' * len(keys)}\n")
    for name, rounds in found.items():
        sys.stdout.write(f"| {name} | {' | '.join(f'{np.median([each[key] for each in rounds]):,.2f}' for key in keys)} |\n")
    return 0


def _measured(judge: Callable[[int, int], object], core_seconds: Callable[[], float]) -> dict[str, float]:
    """Judge batches of 100 and single points behind the training part."""
    judge(0, TRAINING + 200)
    wall, core = time.perf_counter(), core_seconds()
    for row in range(TRAINING + 200, TRAINING + 200 + BATCHED, 100):
        judge(row, row + 100)
    wall, core = time.perf_counter() - wall, core_seconds() - core
    times = []
    for row in range(TRAINING + 200 + BATCHED, TRAINING + 200 + BATCHED + SINGLE):
        began = time.perf_counter()
        judge(row, row + 1)
        times.append(time.perf_counter() - began)
    median, most = (float(np.percentile(times, share)) * 1e3 for share in (50, 99))
    speed = {"points a second in batches of 100": BATCHED / wall, "points a CPU second": BATCHED / max(core, 1 / TICKS)}
    return {**speed, "one point, ms (median)": median, "one point, ms (99th percentile)": most}


def _in_process(detector: str, model: Path | None) -> dict[str, float]:
    import autoencoder as ae

    os.sched_setaffinity(0, {0})
    one = ae.load(model) if model else ae.Detector(config={"detector": detector, "training": {"points": TRAINING}})
    times = (np.arange(TRAINING + 200 + BATCHED + SINGLE) * 60 + FIRST).astype("datetime64[s]").astype("datetime64[ns]")
    values = np.array(noisy_wave(len(times), 1))
    return _measured(lambda begin, end: one.process((times[begin:end], values[begin:end])), time.process_time)


def _http(detector: str, model: Path | None, *more: object) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(prefix="serve-speed-"))
    use: Sequence[Any] = ("--model", model) if model else ("--detector", detector, "--set", f"training.points={TRAINING}")
    process, port = start_server(folder, *use, *more)
    os.sched_setaffinity(process.pid, {0})
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {0})
    os.sched_setaffinity(0, {1})
    client, values = http.client.HTTPConnection("127.0.0.1", port), noisy_wave(TRAINING + 200 + BATCHED + SINGLE, 1)
    points = [json.dumps({"series": "a", "time": FIRST + 60 * row, "value": value}).encode() for row, value in enumerate(values)]

    def judge(begin: int, end: int) -> None:
        client.request("POST", "/points", b"\n".join(points[begin:end]), {"Content-Type": LINES})
        answer = client.getresponse()
        text = answer.read()
        assert answer.status == 200, text

    def core_seconds() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    try:
        return _measured(judge, core_seconds)
    finally:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    raise SystemExit(main())
