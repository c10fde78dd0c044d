"""Serving: SIGKILL at random moments while clients send points; what was acknowledged must be there, once, as it was answered."""

from __future__ import annotations

import csv
import http.client
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.http import Client, free_port

from stress.harness import Count, Process, noisy_wave, settings, torn

CLIENTS = 3
SERIES = 2  # of each client
POLITE = 6  # one in so many kills is a SIGTERM
DETECTOR = (
    "--detector",
    "windowed_gaussian",
    *settings("windowed_gaussian.window=64", "training.points=200", "checkpoint.every=700"),
)
FIRST = 1_704_067_200  # epoch seconds of the first point of each series
FIELDS = ("value", "prediction", "error", "threshold", "score")


class Sender(threading.Thread):
    """A client that sends each batch until it is answered, and keeps the answers."""

    def __init__(self, number: int, port: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._names = [f"client-{number}/{each}" for each in range(SERIES)]
        self._port, self._dice, self._values = port, random.Random(f"{seed} {number}"), noisy_wave(5000, number)
        self.answers: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.again = 0  # requests that were sent once more
        self.stop = threading.Event()

    def run(self) -> None:
        client = Client(self._port)
        for batch in self._batches():
            while not self.stop.is_set():
                try:
                    status, answer = client.post(batch)
                except (OSError, http.client.HTTPException):
                    self.again += 1
                    time.sleep(0.01)
                    continue
                if status == 200:
                    self.answers += answer["detections"]
                    break
                if status not in (429, 503):
                    self.refused.append(f"{status} {answer}")
                    return
                time.sleep(0.01)
            if self.stop.is_set():
                return

    def _batches(self) -> Iterator[list[dict[str, Any]]]:
        point = 0
        while True:
            count = self._dice.choice((1, 2, 10, 60))
            rows = range(point, point + count)
            yield [
                {"series": name, "time": FIRST + 60 * row, "value": self._values[row % len(self._values)]}
                for row in rows
                for name in self._names
            ]
            point += count


def kill(folder: Path, seed: int, kills: int) -> list[Count]:
    """Kill a server under load with SIGKILL so often, and now and then with SIGTERM; a count."""
    count, port, dice = Count("SIGKILL, serving under load"), free_port(), random.Random(seed)
    out = folder / "o"
    command = ("serve", "--out", out, "--port", port, *DETECTOR)
    senders = [Sender(number, port, seed) for number in range(CLIENTS)]
    for sender in senders:
        sender.start()
    for number in range(kills * POLITE // (POLITE - 1)):
        process = Process(folder, *command)
        process.wait_while(lambda: "serving on" not in process.said(), 0.005)  # noqa: B023 - asked before the next one
        time.sleep(dice.uniform(0.0, 1.0))
        is_polite = number % POLITE == POLITE - 1
        ended = count.hear(process.end(signal.SIGTERM if is_polite else signal.SIGKILL))
        is_right = ended.code == (0 if is_polite else -signal.SIGKILL)
        count.judge(f"kill {number}", None if is_right else f"exit code {ended.code} ({ended.said[-300:]})")
    process = Process(folder, *command)
    acknowledged = len(senders[0].answers)
    process.wait_while(lambda: len(senders[0].answers) <= acknowledged, 0.01)  # it goes on
    for sender in senders:
        sender.stop.set()
    for sender in senders:
        sender.join()
    ended = count.hear(process.end(signal.SIGTERM))
    count.judge("SIGTERM", None if ended.code == 0 else f"exit code {ended.code} ({ended.said[-300:]})")
    count.judge("rows", torn(out) or _compare(count, out, senders))
    return [count]


def _compare(count: Count, out: Path, senders: list[Sender]) -> str | None:
    """Whether every acknowledged point has one row, which says what was answered."""
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    answers = [answer for sender in senders for answer in sender.answers]
    refused = [refusal for sender in senders for refusal in sender.refused]
    keys = [(row["series"], row["time"]) for row in rows]
    found = dict(zip(keys, rows, strict=True))
    count.lost += sum((answer["series"], answer["time"]) not in found for answer in answers)
    count.doubled += len(keys) - len(found)
    differ = [
        answer
        for answer in answers
        if (row := found.get((answer["series"], answer["time"])))
        and [answer[key] for key in FIELDS] != [json.loads(row[key] or "null") for key in FIELDS]
    ]
    again = sum(sender.again for sender in senders)
    seen = sum(answer["seen"] for answer in answers)
    count.notes.append(f"{len(answers):,} points acknowledged, {again:,} requests sent again, {seen:,} points of them were there")
    if refused:
        return f"refused: {refused[0]}"
    if differ:
        return f"{len(differ):,} answers differ from scores.csv: {differ[0]}"
    return f"{count.lost} lost, {count.doubled} doubled" if count.lost or count.doubled else None
