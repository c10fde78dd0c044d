"""A real Prometheus on both sides: it is followed, scrapes what was found, and alerts."""

from __future__ import annotations

import math
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from helpers.alertmanager import BINARY, AlertmanagerServer
from helpers.cli import GAUSSIAN, ROOT, count_lines, rows, start, stop, wait_until
from helpers.prometheus_server import Exporter, Prometheus, backfill, needs_prometheus
from helpers.webhook_server import closed_port, isolate

pytestmark = [
    needs_prometheus,
    pytest.mark.skipif(BINARY is None, reason="Alertmanager is not installed: apt install prometheus-alertmanager"),
    pytest.mark.timeout(120),
]
SCRAPE = 1.0  # seconds between two scrapes
STEP = 0.25
HISTORY = 400  # seconds
QUERY = 'load{job="demo"}'


def documented() -> tuple[str, str]:
    """The configuration in docs/prometheus.md, and the rules that it names."""
    (config,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "prometheus.md").read_text(), re.DOTALL)
    return config, (ROOT / "deploy" / "prometheus" / "anomalies.yml").read_text()


def test_the_example_configuration_and_rules_are_good(tmp_path: Path) -> None:
    config, rules = documented()
    (tmp_path / "prometheus.yml").write_text(config)
    (tmp_path / "anomalies.yml").write_text(rules)
    check = subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert check.returncode == 0 and "5 rules found" in check.stdout, check.stdout + check.stderr


class World(NamedTuple):
    """An exporter, the Prometheus that scrapes it and the program, its Alertmanager, and the program's port."""

    exporter: Exporter
    prometheus: Prometheus
    alertmanager: AlertmanagerServer
    port: int
    set_value: Callable[[float | None], None]  # None: a wave again; NaN: the series is gone


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The configuration of docs/prometheus.md and the rules, faster; the past of the exporter is there already."""
    folder, noise, fixed = tmp_path_factory.mktemp("world"), random.Random(3), list[float | None]([None])

    def usual(at: float) -> float:
        return 10 + 3 * math.sin(at / 10) + noise.gauss(0, 0.3)

    def value() -> float | None:
        return usual(time.time()) if fixed[0] is None else None if math.isnan(fixed[0]) else fixed[0]

    config, rules = documented()
    port, now = closed_port(), time.time()
    with Exporter("load", value) as exporter, AlertmanagerServer(folder / "alertmanager", "http://127.0.0.1:9") as alertmanager:
        labels = f'{{instance="{exporter.target}",job="demo"}}'
        past = [now - HISTORY - 10 + second for second in range(HISTORY + 10)]
        backfill(folder, ["# TYPE load gauge", *(f"load{labels} {usual(at)} {at:.3f}" for at in past)])
        (folder / "anomalies.yml").write_text(rules)
        config = config.replace("15s", f"{SCRAPE:g}s").replace("5s", "200ms").replace("localhost:9464", f"127.0.0.1:{port}")
        config = config.replace("localhost:9093", f"127.0.0.1:{alertmanager.port}")
        config += f'  - {{job_name: demo, static_configs: [{{targets: ["{exporter.target}"]}}]}}\n'
        with Prometheus(folder, config) as prometheus:
            yield World(exporter, prometheus, alertmanager, port, lambda each: fixed.__setitem__(0, each))


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


def follow(world: World, folder: Path, *more: str) -> subprocess.Popen[str]:
    call = [
        "--source",
        "prometheus",
        "--url",
        world.prometheus.url,
        "--query",
        QUERY,
        "--step",
        str(STEP),
        "--follow",
        "--out",
        "o",
    ]
    settings = {"prometheus.history": HISTORY, "prometheus.delay": 0.1, "metrics.port": world.port, "training.points": 900}
    settings |= {"incidents.merge_gap": 0, "windowed_gaussian.window": 600, "checkpoint.every": 5, "threshold.budget": 1e-5}
    flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return start(*call, *GAUSSIAN, *flags, *more, folder=folder)


@pytest.mark.slow
def test_a_metric_that_misbehaves_is_an_alert_within_two_scrapes_and_resolves(world: World, tmp_path: Path) -> None:
    def told() -> set[str]:
        """What Alertmanager has, and has not seen resolved."""
        return {each["labels"]["alertname"] for each in world.alertmanager.get("alerts")}

    process = follow(world, tmp_path)
    try:
        held = f"autoencoder_points_total{{series=~'load.*',job='demo',instance='{world.exporter.target}'}}"
        wait_until(lambda: bool(world.prometheus.ask("query", query=held)["result"]), process)
        assert told() == set()
        took = []
        for wrong in (80.0, None):
            scraped = len(world.exporter.scrapes)
            world.set_value(wrong)
            wait_until(lambda wrong=wrong: ("Anomaly" in told()) == (wrong is not None), process)
            seen = time.time()
            changed = next(at for at, value in world.exporter.scrapes[scraped:] if (value == wrong) == (wrong is not None))
            took.append(seen - changed)
        print(f"firing after {took[0]:.2f} s, resolved after {took[1]:.2f} s, of scrapes every {SCRAPE:g} s")
        assert max(took) <= 2 * SCRAPE
    finally:
        assert stop(process, signal.SIGTERM).code == 0


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_follows_loses_and_doubles_nothing(world: World, tmp_path: Path) -> None:
    world.set_value(None)
    out = tmp_path / "o" / "scores.csv"
    for value in (None, math.nan):
        world.set_value(value)
        process = follow(world, tmp_path, "--resume", "--set", "prometheus.delay=1")
        time.sleep(1.5 * SCRAPE)
        world.set_value(None)
        before = count_lines(out)
        wait_until(lambda before=before: count_lines(out) > max(before, HISTORY / STEP) + 5, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    process = follow(world, tmp_path, "--resume", "--set", "prometheus.delay=1")
    before = count_lines(out)
    wait_until(lambda: count_lines(out) > before + 5, process)
    outcome = stop(process, signal.SIGTERM)
    assert outcome.code == 0 and "interrupted" in outcome.err, outcome.err
    found = [(row["time"].removesuffix("Z"), float(row["value"])) for row in rows(tmp_path / "o")]
    begin, end = found[0][0], found[-1][0]
    assert np.diff(np.array([at for at, _ in found], "datetime64[ms]")).max() >= np.timedelta64(
        int(SCRAPE * 1000), "ms"
    )  # it was gone
    (series,) = world.prometheus.ask("query_range", query=QUERY, start=f"{begin}Z", end=f"{end}Z", step=STEP)["result"]
    expected = [(at, float(value)) for at, value in series["values"]]
    assert len(found) == len(expected) == len({at for at, _ in found})
    assert [value for _, value in found] == [value for _, value in expected]
