"""Typed configuration: config.yaml in layers; unknown keys fail with the nearest known one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from autoencoder.config_faults import explain, keys_of, shown
from autoencoder.core.errors import ConfigError
from autoencoder.plain_yaml import parse_yaml, read_yaml
from autoencoder.settings import (
    Adaptation,
    Alerts,
    Checkpoint,
    Csv,
    Forest,
    HalfSpaceTrees,
    Incidents,
    Network,
    Plot,
    Section,
    Synthetic,
    Threshold,
    Training,
    WindowedGaussian,
    Yahoo,
)


class Config(Section):
    """Every setting of a run."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    source: Literal["synthetic", "yfinance", "csv", "stdin"] = "synthetic"
    follow: bool = False
    detector: Literal[
        "lstm_autoencoder", "isolation_forest", "isolation_forest_sliding", "half_space_trees", "windowed_gaussian"
    ] = "lstm_autoencoder"
    training: Training = Training()
    network: Network = Network()
    forest: Forest = Forest()
    half_space_trees: HalfSpaceTrees = HalfSpaceTrees()
    windowed_gaussian: WindowedGaussian = WindowedGaussian()
    threshold: Threshold = Threshold()
    incidents: Incidents = Incidents()
    alerts: Alerts = Alerts()
    plot: Plot = Plot()
    checkpoint: Checkpoint = Checkpoint()
    adaptation: Adaptation = Adaptation()
    synthetic: Synthetic = Synthetic()
    yfinance: Yahoo = Yahoo()
    csv: Csv = Csv()


# what a saved model was made with
MODEL_KEYS = ("detector", "network", "forest", "half_space_trees", "windowed_gaussian", "threshold")
FREE = ("plot.", "checkpoint.", "alerts.webhook.")  # what may change while a run is cut off


def load(
    path: Path | None,
    changes: Mapping[str, Any] | None = None,
    texts: Sequence[str] = (),
    *,
    saved: Path | None = None,
    whole: bool = False,
) -> Config:
    """The configuration: each layer over the one before.

    Args:
        path: yaml file of the user; None: config.yaml of the project, if it is there.
        changes: dotted key -> value.
        texts: "key=value" with a yaml value.
        saved: config.yaml of a run folder; it lies between the project's file and everything the user gave.
        whole: take all of ``saved``, else only ``MODEL_KEYS``.

    Raises:
        ConfigError: a file cannot be read, or a setting is unknown, of the wrong type or out of range.
    """
    tree: dict[str, Any] = {}
    project = Path(__file__).resolve().parent.parent / "config.yaml"
    for file in (project if project.is_file() and (path is None or saved) else None, saved, path):
        if file is None:
            continue
        layer = read_yaml(file)
        if file is saved and not whole:
            layer = {key: layer[key] for key in MODEL_KEYS if key in layer}
        tree = _merged(tree, layer)
        validate(tree, str(file))  # a fault is told with the name of the file it is in
    for key, value in (changes or {}).items():
        _put(tree, key, value)
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {text!r} is not KEY=VALUE, e.g. --set threshold.budget=0.001")
        _put(tree, key.strip(), parse_yaml(value, f"--set {text}"))
    return validate(tree, "the command line")


def validate(tree: Mapping[str, Any], where: str) -> Config:
    """The configuration that a mapping describes; ``where`` it came from, for messages."""
    try:
        return Config.model_validate(_merged(Config().model_dump(), tree))
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(error, Config)}") from None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` laid over it, group by group."""
    out = dict(base)
    for key, value in over.items():
        here = out.get(key)
        out[key] = _merged(here, value) if isinstance(here, dict) and isinstance(value, Mapping) else value
    return out


def dump(config: Config) -> str:
    """The resolved configuration as yaml; reading it back gives the same configuration."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for name in parents:
        child = tree.setdefault(name, {})
        if not isinstance(child, dict):
            child = tree[name] = {}
        tree = child
    tree[last] = value


def difference(then: str, now: str) -> str | None:
    """First setting, but for those in ``FREE``, in which two resolved configurations differ, as the start of a sentence.

    Raises:
        ConfigError: one of the texts is damaged.
    """
    trees = [parse_yaml(text, "the saved configuration") for text in (then, now)]
    before, after = (dict(_leaves(tree if isinstance(tree, Mapping) else {})) for tree in trees)
    for key in (*after, *before):
        if not key.startswith(FREE) and before.get(key) != after.get(key):
            return f"{key} was {shown(before.get(key))} and is {shown(after.get(key))} now"
    return None


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def keys() -> list[str]:
    """All dotted keys."""
    return keys_of(Config)
