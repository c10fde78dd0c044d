"""The configuration: config.yaml says what the program does, layers lie in order, and faults are told in a sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from program import ROOT

from autoencoder.assembly import make_scorer
from autoencoder.config import Config, difference, dump, keys, load
from autoencoder.core.errors import ConfigError
from autoencoder.scorers import SCORERS
from autoencoder.thresholds import THRESHOLDS
from autoencoder.thresholds.budget import Budget, interval_of
from data.synthetic import KINDS

FILE = ROOT / "config.yaml"
quick = settings(deadline=None, max_examples=50, derandomize=True)


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in tree.items():
        out |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return out


def test_config_yaml_holds_every_setting_with_its_default() -> None:
    tree = yaml.safe_load(FILE.read_text())
    assert list(leaves(tree)) == keys()
    assert Config.model_validate(tree) == Config()


def test_every_setting_in_config_yaml_is_explained() -> None:
    """A line that sets something says what it is, in which unit; those of a group of switches may go without."""
    for line in FILE.read_text().splitlines():
        setting = re.match(r"\s*([a-z_]+):\s*\S", line)
        if setting and setting[1] not in (*KINDS, "end", "long_season"):
            assert re.search(r"#\s*\S", line), f"no word about {line.strip()!r}"


def test_every_scorer_and_threshold_can_be_chosen_and_is_named_in_config_yaml() -> None:
    text = FILE.read_text()
    for name in SCORERS:
        assert name in text and type(make_scorer(load(None, {"detector": name}))).__module__.startswith("autoencoder.scorers")
    for name in THRESHOLDS:
        assert name in text and load(None, {"threshold.kind": name}).threshold.kind == name


def test_a_dumped_configuration_read_back_is_the_same(tmp_path: Path) -> None:
    config = load(
        None, {"csv.columns": ["a", "b"], "threshold.budget": "3 per day", "yfinance.ticker": "BRK-B", "training.points": 5}
    )
    path = tmp_path / "dumped.yaml"
    path.write_text(dump(config))
    assert load(path) == config
    assert difference(dump(config), dump(load(path))) is None


def test_later_layers_lie_over_earlier_ones(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("seed: 5\nthreshold: {budget: 0.25}\nnetwork: {latent: 3}\n")
    config = load(path, {"seed": 6}, ["seed=7", "network.hidden=[4, 2]"])
    assert config.seed == 7
    assert config.threshold.budget == 0.25
    assert config.network.latent == 3
    assert config.network.hidden == (4, 2)
    assert config.network.steps == Config().network.steps


def test_of_a_saved_model_only_what_the_model_was_made_with_is_taken(tmp_path: Path) -> None:
    saved = tmp_path / "config.yaml"
    saved.write_text("seed: 5\ndetector: isolation_forest\nforest: {trees: 7}\ncsv: {path: old.csv}\n")
    config = load(None, {"csv.path": "new.csv"}, saved=saved)
    assert (config.detector, config.forest.trees, config.seed, config.csv.path) == ("isolation_forest", 7, 0, "new.csv")
    assert load(None, saved=saved, whole=True).csv.path == "old.csv"


def test_a_fault_is_told_with_the_file_it_is_in(tmp_path: Path) -> None:
    saved, mine = tmp_path / "saved.yaml", tmp_path / "mine.yaml"
    saved.write_text("forest: {trees: none}\n")
    mine.write_text("seed: 1\n")
    with pytest.raises(ConfigError, match=r"saved\.yaml: forest\.trees is 'none'"):
        load(mine, saved=saved)


@quick
@given(key=st.sampled_from(keys()), place=st.integers(0, 30), letter=st.sampled_from("abcxyz"))
def test_a_misspelt_setting_is_answered_with_the_one_that_was_meant(key: str, place: int, letter: str) -> None:
    *groups, name = key.split(".")
    if len(name) < 4:
        return
    place %= len(name) + 1
    misspelt = ".".join([*groups, name[:place] + letter + name[place:]])
    if misspelt in keys():
        return
    with pytest.raises(ConfigError) as error:
        load(None, texts=[f"{misspelt}=1"])
    message = str(error.value)
    assert f"{misspelt} is not a setting" in message
    assert "did you mean" in message


@quick
@given(key=st.sampled_from(keys()), value=st.sampled_from([[], {"a": 1}, -1e300, "?", "", True, None, float("inf")]))
def test_whatever_a_setting_is_given_it_is_taken_or_refused_in_one_line(key: str, value: object) -> None:
    try:
        config = load(None, {key: value})
    except ConfigError as error:
        assert key.split(".")[-1] in str(error)
        assert "\n" not in str(error)
    else:
        assert difference(dump(config), dump(load(None, {key: value}))) is None


def test_dates_need_no_quotes() -> None:
    config = load(None, texts=["yfinance.start=2020-01-31", "yfinance.end='2021-01-31'"])
    assert (config.yfinance.start, config.yfinance.end) == ("2020-01-31", "2021-01-31")


def test_one_column_may_be_given_without_a_list() -> None:
    config = load(None, texts=["csv.columns=cpu", "yfinance.column=Open"])
    assert (config.csv.columns, config.yfinance.column) == (("cpu",), ("Open",))


def test_the_first_difference_of_two_configurations_is_named_but_for_what_may_change() -> None:
    then = load(None)
    assert difference(dump(then), dump(load(None, {"plot.kind": "none", "checkpoint.every": 5}))) is None
    changed = difference(dump(then), dump(load(None, {"threshold.kind": "sigma", "csv.path": "x"})))
    assert changed == "threshold.kind was 'tail' and is 'sigma' now"
    assert difference(dump(then), dump(load(None, {"alerts.webhook.enabled": True, "alerts.webhook.queue": 9}))) is None
    assert difference(dump(then), dump(load(None, {"alerts.log": False}))) == "alerts.log was true and is false now"


# --- budgets ---


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [
        (0.01, 0.01, None),
        ("0.01", 0.01, None),
        ("1e-3", 1e-3, None),
        ("1 per day", 1, 86_400),
        ("2.5/hours", 2.5, 3600),
        ("3 a week", 3, 604_800),
    ],
)
def test_a_budget_is_a_share_or_a_rate(text: float | str, amount: float, seconds: float | None) -> None:
    budget = Budget.parse(text)
    assert (budget.amount, budget.seconds) == (amount, seconds)


@pytest.mark.parametrize(
    "text", [0, 1, -0.1, 2, "", "often", "1 per fortnight", "0 per day", "-1 per day", "per day", float("nan")]
)
def test_what_is_no_budget_is_refused(text: float | str) -> None:
    with pytest.raises(ConfigError, match=r"it must be a share in \(0, 1\), e\.g\. 0\.001, or a rate such as '1 per day'"):
        Budget.parse(text)


@quick
@given(minutes=st.integers(1, 200), count=st.integers(1, 3))
def test_a_rate_becomes_the_share_that_keeps_it(minutes: int, count: int) -> None:
    time = np.datetime64("2024-01-01", "ns") + np.arange(50) * np.timedelta64(minutes, "m")
    time[30:] += np.timedelta64(9, "D")  # a gap does not count
    assert interval_of(time) == 60 * minutes
    assert Budget.parse(f"{count} per day").share(interval_of(time)) == pytest.approx(count * minutes / 1440)


def test_points_without_times_or_without_a_distance_have_no_interval() -> None:
    assert interval_of(np.arange(9)) == interval_of(np.array(["2024-01-01"], "datetime64[ns]")) == 0


def test_a_rate_that_the_points_come_too_seldom_for_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"lie 604800 seconds apart.* ask for fewer"):
        Budget.parse("1 per day").share(604_800)
    with pytest.raises(ConfigError, match="no timestamps"):
        Budget.parse("1 per day").share(0)
    assert Budget.parse(0.25).share(0) == 0.25
