"""What the scorers of recent points have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.series import noise, series

from autoencoder.config import Config, validate
from autoencoder.core.errors import ConfigError, ModelFileError, TrainingError
from autoencoder.factory.detectors import make_scorer
from autoencoder.scorers import SCORERS, Scorer

SMALL: dict[str, dict[str, Any]] = {
    "isolation_forest": {"window": 8, "n_estimators": 10},
    "isolation_forest_sliding": {"window": 8, "n_estimators": 10, "refit_window": 150, "refit_every": 70},
    "half_space_trees": {"n_trees": 5, "height": 4, "window_size": 50},
    "windowed_gaussian": {"window": 50},
}
GROUPS = {kind: "forest" if "isolation" in kind else kind for kind in SMALL}

every_kind = pytest.mark.parametrize("kind", sorted(SMALL))


def make(kind: str, **chosen: int) -> Scorer:
    return SCORERS[kind](**{**SMALL[kind], **chosen})


@every_kind
def test_infinite_and_huge_values(kind: str) -> None:
    values = series(300, seed=1)
    values[50], values[100], values[150] = np.inf, 1e308, -1e308
    errors, _ = make(kind).fit(series(300)).process(values)
    assert np.isnan(errors[50])
    assert np.isfinite(np.delete(errors, 50)).all()


@every_kind
def test_another_width_is_refused(kind: str) -> None:
    scorer = make(kind).fit(noise(200))
    with pytest.raises(ModelFileError, match="2 columns, the model was trained on 1"):
        scorer.process(noise(10, 2))


@every_kind
def test_other_settings_or_another_kind_are_refused(kind: str) -> None:
    scorer = make(kind, window=40).fit(noise(300)) if kind != "isolation_forest_sliding" else make(kind).fit(noise(300))
    window = scorer.info()["window"]
    with pytest.raises(ModelFileError, match=rf"made with {GROUPS[kind]}\.window {window}, this run asks for 36"):
        make(kind, window=36, **({"refit_window": 200} if "sliding" in kind else {})).load(scorer.state())
    with pytest.raises(ModelFileError, match=r"of kind 'other'; this run asks for " + kind):
        make(kind).load({**scorer.state(), "kind": "other"})


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        ("isolation_forest", "isolation_forest with a window of 8 needs 64: train on more points or take a smaller window"),
        ("half_space_trees", "half_space_trees with a window of 2 needs 66"),
        ("windowed_gaussian", "windowed_gaussian needs 64: train on more points$"),
    ],
)
def test_short_training_says_how_much_is_needed(kind: str, needed: str) -> None:
    with pytest.raises(TrainingError, match=rf"60 complete points of 61; {needed}"):
        make(kind).fit(np.append(series(60), [[np.nan]], axis=0))


def test_a_history_too_short_to_grow_a_forest_from() -> None:
    with pytest.raises(ConfigError, match=r"refit_window is 95; it must be at least 96"):
        SCORERS["isolation_forest_sliding"](refit_window=95)


def test_the_configuration_reaches_them() -> None:
    changed = validate({"half_space_trees": {"trees": 7}, "windowed_gaussian": {"window": 77}}, "here")
    for kind, (name, value) in {"half_space_trees": ("n_trees", 7), "windowed_gaussian": ("window", 77)}.items():
        assert make_scorer(changed.model_copy(update={"detector": kind})).info()[name] == value
        assert make_scorer(Config(detector=kind)).info() == SCORERS[kind]().info()
