"""Wrong settings: one line that names the file or the command line, the key, what was found and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.cli import FOREST, Program, assert_refused

RUN = ("--out", "o", *FOREST)
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


@pytest.mark.parametrize("fault", sorted(CONFIGS))
def test_a_wrong_configuration_is_refused(program: Program, fault: str) -> None:
    content, words = CONFIGS[fault]
    Path("c.yaml").write_bytes(content)
    assert_refused(program("--config", "c.yaml", *RUN), words)
    assert [path.name for path in Path.cwd().iterdir()] == ["c.yaml"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("threshold.bugdet=0.1", ["threshold.bugdet", "did you mean threshold.budget?"]),
        ("network.window=abc", ["network.window is 'abc'", "'auto' or a whole number"]),
        ("network.units=[a]", ["network.units.0 is 'a'", "a whole number"]),
        ("network.units=8", ["network.units is 8", "a list"]),
        ("seed=-1", ["seed is -1", "greater than or equal to 0"]),
        ("seed.x=1", ["seed is {'x': 1}"]),
        ("checkpoint.every=0", ["checkpoint.every is 0"]),
        ("yfinance.ticker=1", ["yfinance.ticker is 1", "text (put quotes around it)"]),
    ],
)
def test_a_wrong_setting_is_refused(program: Program, text: str, words: list[str]) -> None:
    assert_refused(program("--set", text, *RUN), ["the command line", *words])


def test_a_missing_configuration_is_refused(program: Program) -> None:
    Path("folder").mkdir()
    assert_refused(program("--config", "missing.yaml", *RUN), ["missing.yaml does not exist", "--config"])
    assert_refused(program("--config", "folder", *RUN), ["folder cannot be read", "--config"])
