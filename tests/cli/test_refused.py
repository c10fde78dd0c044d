"""What is refused: one line that says where, what was found and what to do, exit code 2, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.cli import FOREST, Program, Run, assert_refused, wave

RUN = ("--out", "o", *FOREST)


def lines_of(values: list[object], header: str = "value\n") -> bytes:
    return (header + "".join(f"{value}\n" for value in values)).encode()


def changed(position: int, value: object, count: int = 400) -> list[object]:
    """The wave with another value at one position."""
    values: list[object] = [*wave(count)]
    values[position] = value
    return values


CONFIGS: dict[str, tuple[bytes, list[str]]] = {
    "an unknown key": (
        b"seed: 1\nthreshhold:\n  budget: 0.1\n",
        ["c.yaml", "threshhold is not a setting", "did you mean threshold?"],
    ),
    "an unknown key in a group": (
        b"threshold: {budgett: 0.1}\n",
        ["c.yaml", "threshold.budgett", "did you mean threshold.budget?"],
    ),
    "a key of another group": (b"budget: 0.1\n", ["c.yaml", "budget is not a setting", "did you mean threshold.budget?"]),
    "a wrong type": (b"seed: many\n", ["c.yaml", "seed is 'many'", "a whole number"]),
    "a switch for a number": (b"seed: true\n", ["c.yaml", "seed is true", "a number"]),
    "a group that is a value": (b"network: 3\n", ["c.yaml", "network is 3", "group of settings"]),
    "a value out of range": (b"training: {fraction: 1.5}\n", ["c.yaml", "training.fraction is 1.5", "less than 1"]),
    "a budget out of range": (b"threshold: {budget: 3}\n", ["c.yaml", "threshold.budget is 3", "share in (0, 1)"]),
    "a budget of words": (b"threshold: {budget: a few}\n", ["c.yaml", "threshold.budget is a few", "'1 per day'"]),
    "a choice that is not there": (b"detector: oracle\n", ["c.yaml", "detector is 'oracle'", "isolation_forest"]),
    "a number that is none": (b"synthetic: {level: .nan}\n", ["c.yaml", "synthetic.level is nan", "finite"]),
    "a list": (b"- seed\n- 1\n", ["c.yaml holds a list", "must be a mapping"]),
    "no yaml": (b"seed: 1\n  x: [\n", ["c.yaml, line 2", "yaml"]),
    "no text": (b"\xff\xfe\x00", ["c.yaml", "UTF-8"]),
    "an object to build": (b"!!python/object/apply:os.system ['touch built']\n", ["c.yaml, line 1", "plain yaml"]),
    "an object within": (b"seed: !!python/name:os.system\n", ["c.yaml, line 1", "plain yaml"]),
    "a key twice": (b"seed: 1\nseed: 2\n", ["c.yaml, line 2", "'seed' is there twice"]),
    "aliases": (b"csv:\n  columns: &a [x]\nyfinance:\n  column: *a\n", ["c.yaml, line 4", "alias"]),
    "brackets without end": (b"[" * 100_000, ["c.yaml", "plain yaml"]),
    "a page too long": (b"# " + b"x" * (1 << 20), ["c.yaml", "1,048,576"]),
    "times beyond the calendar": (b"synthetic: {interval: 1.0e+8}\n", ["c.yaml", "synthetic.interval", "2240", "fewer points"]),
}
TABLES: dict[str, tuple[bytes, list[str]]] = {
    "text among the numbers": (lines_of(changed(199, "abc")), ["x.csv, line 201, column 'value'", "'abc'", "must be a number"]),
    "a series shorter than a window": (lines_of([*wave(12)]), ["x.csv", "3 complete points", "train on more points"]),
    "a constant series": (lines_of([5] * 9000), ["x.csv", "constant", "are 5", "nothing can be learnt"]),
    "a series of nothing": (lines_of(["nan"] * 1000), ["x.csv", "0 complete points of 250"]),
    "a damaged parquet file": (b"PAR1" + bytes(100), ["x.csv", "parquet", "again"]),
}
FILES = [("c.yaml", *case) for case in CONFIGS.values()] + [("x.csv", *case) for case in TABLES.values()]


@pytest.mark.parametrize(("name", "content", "words"), FILES, ids=[*CONFIGS, *TABLES])
def test_an_unusable_file(program: Program, name: str, content: bytes, words: list[str]) -> None:
    Path(name).write_bytes(content)
    use = ("--config", name) if name == "c.yaml" else ("--source", "csv", "--path", name)
    assert_refused(program(*use, *RUN), words)
    assert [path.name for path in Path.cwd().iterdir()] == [name]


CSV, YAHOO = ("--source", "csv", "--path", "x.csv"), ("--source", "yfinance")
VALUE, SERIES = (*CSV, "--column", "value"), (*CSV, "--column", "value", "--series-column")
SETTINGS: list[tuple[str, list[str]]] = [
    ("threshold.bugdet=0.1", ["threshold.bugdet", "did you mean threshold.budget?"]),
    ("network.window=abc", ["network.window is 'abc'", "'auto' or a whole number"]),
    ("network.units=[a]", ["network.units[0] is 'a'", "a whole number"]),
    ("network.units=8", ["network.units is 8", "a list"]),
    ("seed=-1", ["seed is -1", "greater than or equal to 0"]),
    ("seed.x=1", ["seed is {'x': 1}"]),
    ("checkpoint.every=0", ["checkpoint.every is 0"]),
    ("yfinance.ticker=1", ["yfinance.ticker is 1", "text (put quotes around it)"]),
]
COMMANDS: list[tuple[tuple[str, ...], list[str]]] = [
    *((("--set", text), ["the command line", *words]) for text, words in SETTINGS),
    (("--config", "missing.yaml"), ["missing.yaml does not exist", "--config"]),
    (("--config", "folder"), ["folder cannot be read", "--config"]),
    (("--source", "csv", "--path", "missing.csv"), ["missing.csv: no such file", "check the path"]),
    (("--source", "csv", "--path", "folder"), ["folder is a folder", "give the path of one file"]),
    (("missing.csv",), ["missing.csv: no such file", "check the path"]),
    (("x.csv", "y.csv", "--column", "value"), ["y.csv: no such file"]),
    (("x.csv", "x.csv"), ["names a file twice"]),
    (("x.csv", "y.csv", "--follow"), ["--follow takes one file, and 2 are given"]),
    (("train", "folder"), ["folder is a folder", "give the path of one file"]),
    (("--source", "csv"), ["csv.path", "--path FILE"]),
    ((*CSV, "--column", "value", "--set", "input.transform=exp"), ["input.transform is 'exp'", "'log_return'"]),
    ((*CSV, "--column", "value", "--set", "input.dates=first"), ["input.dates is 'first'", "'day_first'"]),
    ((*CSV, "--column", "vlaue"), ["x.csv has no column 'vlaue'", "did you mean 'value'?", "memory"]),
    ((*VALUE, "--time-column", "when"), ["x.csv has no column 'when'", "value, memory"]),
    ((*VALUE, "--set", "training.points=500"), ["training.points is 500", "400 points", "ask for fewer"]),
    ((*VALUE, "--set", "threshold.budget=1 per day"), ["threshold.budget is '1 per day'", "no timestamps", "e.g. 0.001"]),
    ((*SERIES, "hots"), ["has no column 'hots'; did you mean 'host'?"]),
    ((*SERIES, "value"), ["column 'value' cannot be value and series at once"]),
    ((*SERIES, "host", "--time-column", "host"), ["column 'host' cannot be time and series at once"]),
    ((*SERIES, "host", "--label-column", "host"), ["column 'host' cannot be label and series at once"]),
    (YAHOO, ["yfinance.ticker", "--ticker AAPL"]),  # without a network
    ((*YAHOO, "--ticker", "a b/c"), ["a b/c"]),
    ((*YAHOO, "--ticker", "AAPL", "--interval", "7y"), ["7y", "1d"]),
    ((*YAHOO, "--ticker", "AAPL", "--column", "Closed"), ["Closed", "Close"]),
    (("--model", "nowhere"), ["nowhere", "not a folder"]),
    (("--model", "x" * 300), ["not a folder"]),
    (("--model", "."), ["detector.npz", "give the run folder"]),
    (("--model", "MODEL"), ["lstm_autoencoder", "isolation_forest", "--detector"]),
    (("--model", "MODEL", *CSV, "--set", "csv.columns=[value, memory]"), ["1 column", "2", "value, memory"]),
]


@pytest.mark.parametrize(("arguments", "words"), COMMANDS)
def test_an_unusable_argument(program: Program, lstm_run: Run, arguments: tuple[str, ...], words: list[str]) -> None:
    Path("folder").mkdir()
    Path("x.csv").write_text("value,memory,host\n" + "".join(f"{value},{value},host\n" for value in wave(400)))
    detector = RUN if "csv.columns=[value, memory]" not in arguments else ("--out", "o", "--plot", "none")
    given = [str(lstm_run[0]) if argument == "MODEL" else argument for argument in arguments]
    assert_refused(program(*given, *detector), words)
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["folder", "x.csv"]


USAGE: list[tuple[tuple[str, ...], list[str]]] = [
    (("bogus",), ["'bogus'", "run", "train", "bench", "--help"]),
    (("--source", "foo"), ["--source", "'foo'", "csv", "stdin"]),
    (("x.csv", "--path", "y.csv"), ["'x.csv'", "means nothing beside --path y.csv"]),
    (("x.csv", "y.csv", "--source", "synthetic"), ["'x.csv'", "means nothing beside --source synthetic"]),
    (("--seed", "x"), ["--seed", "'x'"]),
    (("--plot", "maybe"), ["--plot", "'maybe'", "live"]),
    (("--no-such-flag",), ["--no-such-flag"]),
    (("--set", "seed"), ["'seed'", "KEY=VALUE"]),
    (("--set", "=3"), ["KEY=VALUE"]),
    (("--set", "seed=[1"), ["--set seed=[1", "yaml"]),
    (("--resume",), ["--resume", "--out"]),
    (("train", "--model", "x"), ["--model", "train"]),
    (("train", "--resume", "--out", "x"), ["--resume", "train"]),
    (("--resume", "--out", "x"), ["--resume", "x holds no run", "--source"]),
    (("--resume", "--out", "x", "--model", "y"), ["--model y", "not a folder"]),
    (("--path", "x.csv"), ["means nothing to --source", "--source csv"]),
    (("--ticker", "AAPL"), ["means nothing to --source", "--source yfinance"]),
    (("--source", "csv", "--path", "x.csv", "--period", "5y"), ["means nothing to --source", "--source yfinance"]),
    (("--source", "stdin", "--label-column", "x"), ["means nothing to --source", "--source csv"]),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE)
def test_wrong_usage(program: Program, arguments: tuple[str, ...], words: list[str]) -> None:
    assert_refused(program(*arguments), words)
    assert not list(Path.cwd().iterdir())
