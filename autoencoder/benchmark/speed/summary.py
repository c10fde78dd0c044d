"""Summary of ``bench speed``: tables for people, everything for programs, and the bars that it is measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from autoencoder.benchmark.bars import Bar, at_least, at_most, bars_table, below, within
from autoencoder.benchmark.results import Summary, table
from autoencoder.benchmark.speed.contestants import TORCH, KerasPredict
from autoencoder.benchmark.speed.growth import Curve
from autoencoder.benchmark.speed.measure import Spread, machine_line, number, ratio
from autoencoder.benchmark.speed.results import QUICK, Results

SHORT_STREAM = 10_000  # points that the memory of the longest stream is compared with


def speed_summary(results: Results) -> Summary:
    """Summary of a run."""
    bars = judge_bars(results)
    parts = [
        "# Speed\n\n" + machine_line(dict(results.machine)) + ". Medians of repeated rounds, and their lowest and highest.\n",
        "Bars:\n\n" + bars_table(bars),
        "One point at a time, microseconds:\n\n" + _latency_table(results),
        "All points at once, points a second:\n\n" + _bulk_table(results),
        "Training to the same validation loss, start, memory, and what the network must cost:\n\n" + _other_table(results),
    ]
    if results.sizes == QUICK:
        parts.insert(1, "With --quick: it shows that everything runs; the figures say little.\n")
    details = "As the work grows (growth.png):\n\n" + "\n".join(map(_curve_table, growth_panels(results).values()))
    return Summary("\n".join(parts), details, _data(results, bars))


def growth_panels(results: Results) -> dict[str, Curve]:
    """What grows, by title."""
    return {
        "number of points": results.points,
        "length of the window": results.windows,
        "number of streams": results.streams,
        "memory": results.memory,
    }


def judge_bars(results: Results) -> list[Bar]:
    """The figures beside what they should be."""
    ours, whole = results.latency[0], results.bulk[0].rounds
    predict = next(latency for latency in results.latency if latency.name == KerasPredict.name)
    twins = [rate.rounds for rate in results.bulk if rate.name.startswith(TORCH)]
    twin = [max(rounds) for rounds in zip(*twins, strict=True)] or [float("nan")] * len(whole)  # the fastest of each round
    streams, per_tick = results.streams.sizes[-1], results.streams.values[-1]
    bound = "" if all(race.reached for race in results.races) else " (or more)"
    starts = next(iter(results.starts.values()))
    memory = dict(zip(results.memory.sizes, results.memory.values, strict=True))
    short, long = SHORT_STREAM if SHORT_STREAM in memory else min(memory), max(memory)
    return [
        at_least("model.predict / this program, one point", 300, ratio(predict.medians, ours.medians)),
        below("99th percentile / median, one point", 5, ratio(ours.tails, ours.medians)),
        at_least("points a second, file to scores.csv, as a process", 50_000, Spread.of(whole), aim=100_000),
        at_least("the same / the fastest PyTorch twin's network alone", 1, ratio(whole, twin)),
        at_least(f"points a second, {streams:,} streams with one model", 30_000, per_tick.under(1e3 * streams)),
        at_least(f"Keras fit / this program, time to the same loss{bound}", 2.5, Spread.of(race.gain for race in results.races)),
        at_most("seconds from process start to first detection", 1, Spread.of(start.seconds for start in starts), aim=0.5),
        at_most(f"memory at {long:,} points / at {short:,}", 1.3, Spread.of([memory[long].median / memory[short].median])),
        within("growth of time with points, exponent", 0.95, 1.05, Spread.of([results.points.exponent])),
    ]


def _latency_table(results: Results) -> str:
    ours = results.latency[0].medians
    rows = []
    for latency in results.latency:
        median, tail = Spread.of(latency.medians), Spread.of(latency.tails)
        times = str(ratio(latency.medians, ours))
        rows.append(
            [latency.name, latency.covers, str(median), median.extent(), str(tail), tail.extent(), number(latency.worst), times]
        )
    rows += [[name, why, "-", "", "-", "", "-", "-"] for name, why in results.absent.items()]
    header = ["one by one", "timed", "median", "lowest to highest", "99 %", "lowest to highest", "worst", "times ours"]
    return table(header, rows)


def _bulk_table(results: Results) -> str:
    ours = results.bulk[0].rounds
    rows = []
    for entry in results.bulk:
        found = Spread.of(entry.rounds)
        rows.append([entry.name, entry.covers, str(found), found.extent(), str(ratio(entry.rounds, ours))])
    rows += [[name, why, "-", "", "-"] for name, why in results.absent.items()]
    streams = results.streams
    for size, value in zip(streams.sizes, streams.values, strict=True):
        rate = value.under(1e3 * size)
        rows.append([f"streams with one model: {size:,}", "a point each at every tick", str(rate), rate.extent(), ""])
    return table(["in bulk", "timed", "points a second", "lowest to highest", "share of ours"], rows)


def _other_table(results: Results) -> str:
    races, floor = results.races, results.floor
    bound = "" if all(race.reached for race in races) else "at least "
    rows = [
        _spread_row("training, this program, to its lowest loss", "s", Spread.of(race.ours for race in races)),
        _spread_row("training, this program, until it stops", "s", Spread.of(race.stopped for race in races)),
        _spread_row("training, Keras fit, to the same loss", "s", Spread.of(race.fit for race in races), bound),
        _spread_row("validation loss, this program", "", Spread.of(race.loss for race in races)),
        _spread_row("validation loss, Keras fit by then", "", Spread.of(race.fit_loss for race in races)),
    ]
    for name, starts in results.starts.items():
        rows.append(_spread_row(f"cold start, {name}", "s", Spread.of(start.seconds for start in starts)))
        rows.append(_spread_row(f"its peak memory, {name}", "MB", Spread.of(start.peak / 1e6 for start in starts)))
    for points, value in zip(results.memory.sizes, results.memory.values, strict=True):
        rows.append(_spread_row(f"peak memory, {points:,} points through a pipe", "MB", value))
    rows += [
        ["multiply-adds of a window", "", f"{floor.multiply_adds:,}", ""],
        _spread_row("matrix rate of one core", "10^9 / s", _scaled(floor.matrix_rate, 1e-9)),
        ["floor of a window on one core", "us", number(floor.microseconds), ""],
    ]
    return table(["what", "unit", "median", "lowest to highest"], rows)


def _spread_row(what: str, unit: str, found: Spread, bound: str = "") -> list[str]:
    return [what, unit, f"{bound}{found}", found.extent()]


def _scaled(spread: Spread, factor: float) -> Spread:
    return Spread(spread.median * factor, spread.low * factor, spread.high * factor)


def _curve_table(curve: Curve) -> str:
    rows = [[f"{size:,}", str(value), value.extent()] for size, value in zip(curve.sizes, curve.values, strict=True)]
    rows.append(["exponent", f"{curve.exponent:.2f}", ""])
    return table([curve.work, curve.unit, "lowest to highest"], rows)


def _data(results: Results, bars: Sequence[Bar]) -> dict[str, Any]:
    data = asdict(results)
    for name in ("points", "windows", "streams", "memory"):
        data[name]["exponent"] = getattr(results, name).exponent
    for race, found in zip(data["races"], results.races, strict=True):
        race["reached"] = found.reached
    data["floor"]["microseconds"] = results.floor.microseconds
    return {"benchmark": "speed", "bars": [asdict(bar) for bar in bars], **data}
