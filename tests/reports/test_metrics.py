"""The metrics of a run: what a scrape finds."""

from __future__ import annotations

import socket
import urllib.request
from dataclasses import replace

import numpy as np
import pytest
from helpers.detections import INCIDENT
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from autoencoder.core.errors import ConfigError
from autoencoder.core.types import Detections
from autoencoder.reports.metrics import COUNTERS, GAUGES, RunMetrics, exposed, labels_of
from autoencoder.reports.sinks import Batch
from autoencoder.reports.statistics import RunStatistics

UP = 'up{host="a",series="the \\"x\\"\\nof it"}'
NOW = 1_700_000_000.0


def batch(series: list[str] | None, times: list[float], columns: int = 1, **changes: object) -> Batch:
    count = len(times)
    wide = np.arange(count * columns, dtype=float).reshape(count, columns)
    errors, thresholds, scores = (np.full(count, value) for value in (2.5, 2.0, 0.5))
    detections = Detections(
        (np.array(times) * 1e9).astype("datetime64[ns]"), wide, wide + 0.25, errors, thresholds, scores, errors > thresholds
    )
    return Batch(replace(detections, **changes), series=series)


def told(statistics: RunStatistics, metrics: RunMetrics, each: Batch) -> None:
    statistics.write(each)
    metrics.on_batch(each)


def scrape(registry: CollectorRegistry) -> dict[str, dict[str, float]]:
    """Name of a sample -> its labels, as one text, -> its value."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found.setdefault(sample.name.removeprefix("autoencoder_"), {})[labels] = sample.value
    return found


def test_a_scrape_finds_the_newest_point_and_the_counts_of_a_series_with_its_labels() -> None:
    statistics = RunStatistics()
    metrics = RunMetrics(statistics, lambda name: 0.01, info={"source": "x.csv"}, clock=lambda: NOW)
    told(statistics, metrics, replace(batch([UP, "b", UP], [NOW - 9, NOW - 8, NOW - 7]), open=[replace(INCIDENT, series="b")]))
    found, own = scrape(metrics.registry), 'exported_series=the "x"\nof it,host=a,series=' + UP
    assert found["value"] == {own: 2, "series=b": 1} and found["expected"][own] == 2.25
    assert found["error"][own] == 2.5 and found["threshold"][own] == 2 and found["score"][own] == 0.5
    assert found["anomaly"][own] == 1 and found["lag_seconds"] == {own: 7, "series=b": 8}
    assert found["last_time_seconds"]["series=b"] == NOW - 8
    assert found["points_total"][own] == found["judged_points_total"][own] == found["flagged_points_total"][own] == 2
    assert found["allowed_points_total"][own] == 0.02
    assert found["open_incidents"] == {own: 0, "series=b": 1} and found["incidents_total"] == {own: 0, "series=b": 1}
    assert found["series"] == {"": 2} and found["hidden_series"] == {"": 0} and found["run_info"] == {"source=x.csv": 1}
    assert set(found) == {*GAUGES, *(f"{key}_total" for key in COUNTERS), "series", "hidden_series", "run_info"}


def test_an_incident_is_counted_once_also_while_it_closes() -> None:
    statistics = RunStatistics()
    metrics = RunMetrics(statistics, lambda name: 0.01, open=[INCIDENT])
    told(statistics, metrics, replace(batch(None, [1.0]), open=[INCIDENT]))
    statistics.write(replace(batch(None, [2.0]), closed=[INCIDENT]))  # and a scrape comes before the callbacks are told
    found = scrape(metrics.registry)
    assert found["incidents_total"] == found["alarms_total"] == {"": 1} and found["open_alarms"] == {"": 0}


def test_what_is_not_known_has_no_sample() -> None:
    statistics = RunStatistics()
    metrics = RunMetrics(statistics, lambda name: float("nan"), columns=("a", "b"))
    nothing = np.full((1, 2), np.nan)
    told(
        statistics,
        metrics,
        batch(None, [1.0], 2, values=np.array([[np.nan, 3.0]]), predictions=nothing, thresholds=nothing[:, 0]),
    )
    found = scrape(metrics.registry)
    assert found["value"] == {"column=b": 3} and not {"expected", "threshold", "allowed_points_total"} & set(found)
    counted = replace(batch(None, [1.0], 2).detections, time=np.arange(1))
    told(statistics, metrics, Batch(counted))
    assert "last_time_seconds" not in scrape(metrics.registry)


def test_series_beyond_the_limit_are_hidden_but_not_those_with_an_incident() -> None:
    statistics = RunStatistics()
    metrics = RunMetrics(statistics, lambda name: 0.01, max_series=2)
    told(statistics, metrics, replace(batch(["a", "b", "c"], [1.0] * 3), open=[replace(INCIDENT, series="c")]))
    found = scrape(metrics.registry)
    assert set(found["points_total"]) == {"series=a", "series=c"} and found["hidden_series"] == {"": 1}


@pytest.mark.parametrize("name", ['x{__name__="a"}', 'x{a="b"', 'x{a="\\q"}', "plain", "x{}", 'x{a="b",}'])
def test_a_name_without_labels_is_a_label(name: str) -> None:
    assert labels_of(name) == {"series": name}


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with exposed(CollectorRegistry(), "127.0.0.1", 0) as address, urllib.request.urlopen(address) as page:
        assert page.status == 200
        port = int(address.split(":")[2].split("/")[0])
        with (
            pytest.raises(ConfigError, match=f"metrics.port is {port} on 127.0.0.1, .*in use"),
            exposed(CollectorRegistry(), "127.0.0.1", port),
        ):
            pass
    with socket.create_server(("127.0.0.1", port)):
        pass  # it is free again
    with (
        pytest.raises(ConfigError, match=r"metrics.port is 0 on no\.such\.host\.invalid"),
        exposed(CollectorRegistry(), "no.such.host.invalid", 0),
    ):
        pass
