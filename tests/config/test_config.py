"""The configuration: config.yaml says what the program does, layers lie in order, and faults are told in a sentence."""

from __future__ import annotations

import re
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.cli import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.config import Config, difference, dump, keys, load
from autoencoder.config.load import MOVED, OLD_NAMES
from autoencoder.core.errors import ConfigError
from autoencoder.factory.detectors import make_scorer
from autoencoder.scorers import SCORERS
from autoencoder.sources.synthetic import KINDS
from autoencoder.thresholds import THRESHOLDS

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
    path.write_text("seed: 5\nthreshold: {budget: 0.25}\nnetwork: {latent_dim: 3}\n")
    config = load(path, {"seed": 6}, ["seed=7", "network.units=[4, 2]"])
    assert config.seed == 7
    assert config.threshold.budget == 0.25
    assert config.network.latent_dim == 3
    assert config.network.units == (4, 2)
    assert config.network.sequence_length == Config().network.sequence_length
    texts = ["yfinance.start=2020-01-31", "yfinance.end='2021-01-31'", "csv.columns=cpu", "yfinance.column=Open"]
    config = load(None, texts=texts)  # dates need no quotes, one column no list
    assert (config.yfinance.start, config.yfinance.end) == ("2020-01-31", "2021-01-31")
    assert (config.csv.columns, config.yfinance.column) == (("cpu",), ("Open",))


def test_of_a_saved_model_only_what_the_model_was_made_with_is_taken(tmp_path: Path) -> None:
    saved, mine = tmp_path / "saved.yaml", tmp_path / "mine.yaml"
    saved.write_text("seed: 5\ndetector: isolation_forest\nforest: {n_estimators: 7}\ncsv: {path: old.csv}\n")
    config = load(None, {"csv.path": "new.csv"}, saved=saved)
    assert (config.detector, config.forest.n_estimators, config.seed, config.csv.path) == ("isolation_forest", 7, 0, "new.csv")
    assert load(None, saved=saved, whole=True).csv.path == "old.csv"
    saved.write_text("forest: {n_estimators: none}\n")
    mine.write_text("seed: 1\n")
    with pytest.raises(ConfigError, match=r"saved\.yaml: forest\.n_estimators is 'none'"):  # told with the file it is in
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


def test_the_first_difference_of_two_configurations_is_named_but_for_what_may_change() -> None:
    then = load(None)
    assert difference(dump(then), dump(load(None, {"plot.kind": "none", "checkpoint.every": 5}))) is None
    changed = difference(dump(then), dump(load(None, {"threshold.kind": "sigma", "csv.path": "x"})))
    assert changed == "threshold.kind was 'tail' and is 'sigma' now"
    assert difference(dump(then), dump(load(None, {"alerts.webhook.enabled": True, "alerts.max_queue": 9}))) is None
    assert difference(dump(then), dump(load(None, {"alerts.log": False}))) == "alerts.log was true and is false now"
    older = dump(then).replace("  hysteresis: 1.0\n", "")  # of a program without that setting
    assert older != dump(then) and difference(older, dump(then)) is None


# --- adaptation ---


@pytest.mark.parametrize(
    ("changes", "of_many", "adapts", "starts_early"),
    [
        ({}, False, True, False),
        ({"adaptation.enabled": True}, False, True, True),
        ({"adaptation.enabled": True}, True, True, True),
        ({"adaptation.enabled": False}, False, False, False),
        ({}, True, False, False),  # each would remember thousands of points
        ({"detector": "isolation_forest"}, False, True, False),
        ({"detector": "windowed_gaussian"}, False, True, False),
        ({"detector": "isolation_forest_sliding"}, False, False, False),  # follows by itself
        ({"detector": "half_space_trees"}, False, False, False),
        ({"source": "yfinance"}, False, False, False),
        ({"source": "yfinance", "adaptation.enabled": True}, False, False, False),
        ({"adaptation.cold_start_points": 60}, False, True, True),
        ({"adaptation.cold_start_points": 60}, True, False, False),
        ({"adaptation.enabled": True, "adaptation.cold_start_points": None}, False, True, False),
    ],
)
def test_adaptation_is_on_where_it_is_fit_to_be(changes: dict[str, Any], of_many: bool, adapts: bool, starts_early: bool) -> None:
    config = load(None, changes)
    assert (config.adapts(of_many=of_many), config.starts_early(of_many=of_many)) == (adapts, starts_early)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("enabled=maybe", "enabled is 'maybe'; it must be true or false or 'auto'"),
        ("enabled=null", "enabled is null; it must be true or false or 'auto'"),
        ("cold_start_points=soon", "cold_start_points is 'soon'; it must be a whole number or 'auto'"),
        ("cold_start_points=3", "cold_start_points is 3; it must be greater than or equal to 40 or 'auto'"),
    ],
)
def test_what_adaptation_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"the command line: adaptation.{message}") + "$"):
        load(None, {}, [f"adaptation.{text}"])


# --- former names ---

OLD_TO_NEW = {f"{group}.{old}": f"{group}.{new}" for group, names in OLD_NAMES.items() for old, new in names.items()}
OLD_TO_NEW |= {
    f"{group}.{old}": f"{group.rpartition('.')[0]}.{new}"
    for group, names in MOVED.items()
    for new, old in {new: old for old, new in names.items()}.items()  # one of the former names of each
}


def old_text(text: str) -> str:
    """A dumped configuration as the release before wrote it."""
    tree = yaml.safe_load(text)
    for key, new in OLD_TO_NEW.items():
        *groups, old = key.split(".")
        *present, name = new.split(".")
        reduce(dict.__getitem__, groups, tree)[old] = reduce(dict.__getitem__, present, tree).pop(name)
    return yaml.safe_dump(tree)


def test_saved_file_with_former_names(tmp_path: Path) -> None:
    assert set(OLD_TO_NEW.values()) <= set(keys())
    assert not set(OLD_TO_NEW) & set(keys())
    config = load(None, {"training.max_steps": 7, "alerts.backoff": 2.0, "synthetic.anomalies.start_after": 9})
    (tmp_path / "config.yaml").write_text(old_text(dump(config)))
    warnings: list[str] = []
    assert load(None, saved=tmp_path / "config.yaml", whole=True, warn=warnings.append) == config
    assert not warnings
    assert difference(old_text(dump(config)), dump(config)) is None
    assert difference(old_text(dump(config)), dump(load(None))) == "training.max_steps was 7 and is 1200 now"


def test_typed_former_name_is_read_with_a_warning(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("alerts: {webhook: {queue: 5, timeout: 3}}\ntraining: {steps: 8}\n")
    warnings: list[str] = []
    config = load(mine, texts=["training.max_steps=9", "csv.poll=2"], warn=warnings.append)
    assert (config.alerts.max_queue, config.alerts.timeout, config.training.max_steps, config.csv.poll_seconds) == (5, 3, 9, 2)
    assert warnings == [
        f"{mine}: alerts.webhook.queue is now alerts.max_queue",
        f"{mine}: alerts.webhook.timeout is now alerts.timeout",
        f"{mine}: training.steps is now training.max_steps",
        "the command line: csv.poll is now csv.poll_seconds",
    ]
    with pytest.raises(ConfigError, match=r"the command line: training\.steps is now training\.max_steps; give one of the two"):
        load(None, texts=["training.steps=1", "training.max_steps=2"])
