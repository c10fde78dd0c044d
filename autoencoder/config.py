"""Typed models of config.yaml: every setting, its type, its range; unknown keys fail with the nearest known one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from autoencoder.budget import Budget
from autoencoder.config_faults import explain, keys_of, shown
from autoencoder.errors import ConfigError
from autoencoder.plain_yaml import parse_yaml, read_yaml

LONGEST_STREAM = 7e9  # seconds a synthetic stream may span: its times are counted in nanoseconds, and end in 2262

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
NotNegative = Annotated[float, Field(ge=0, le=1e12)]
Names: TypeAlias = tuple[str, ...]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Python takes true for 1; a person who writes it means something else."""
        kind = cls.model_fields[info.field_name or ""].annotation
        kinds = {getattr(part, "__origin__", part) for part in (kind, *get_args(kind))}
        if isinstance(value, bool) and kinds & {int, float}:
            raise PydanticCustomError("switch", "a number")
        return value


class Season(_Section):
    """One season of the synthetic stream."""

    period: Annotated[int, Field(ge=4, le=1_000_000)] = 48
    amplitude: NotNegative = 5.0


class Anomalies(_Section):
    """Injected anomalies of the synthetic stream; each kind can be switched off."""

    rate: NotNegative = 6.0
    size: Positive = 10.0
    clean: Annotated[int, Field(ge=0)] = 1800
    spike: bool = True
    dip: bool = True
    level_shift: bool = True
    variance: bool = True
    flat: bool = True
    season: bool = True
    slow_drift: bool = True


class Synthetic(_Section):
    """The synthetic stream."""

    points: Count | None = 6000
    pace: NotNegative = 0.0
    interval: Annotated[float, Field(ge=1e-6, le=1e9)] = 1800.0
    level: float = 50.0
    trend: float = 0.5
    drift: NotNegative = 1.0
    level_shift: float = 0.0
    level_shift_at: Annotated[float, Field(ge=0, le=1)] = 0.6
    season: Season = Season()
    long_season: Season = Season(period=336, amplitude=1.5)
    noise: NotNegative = 0.5
    missing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    anomalies: Anomalies = Anomalies()

    @model_validator(mode="after")
    def _within_time(self) -> Self:
        if self.points and self.points * self.interval > LONGEST_STREAM:
            raise ValueError(
                f"synthetic.points is {self.points:,} and synthetic.interval {self.interval:g} seconds, which leads beyond the year 2240; "
                "take fewer points or a shorter interval"
            )
        return self


class Yahoo(_Section):
    """Prices through yfinance."""

    ticker: str | None = None
    period: str = "5y"
    start: str | None = None
    end: str | None = None
    interval: str = "1d"
    column: Names = ("Close",)
    adjusted: bool = True
    deadline: Positive = 20.0
    cache: str | None = None
    cache_age: NotNegative = 3600.0
    poll: Positive = 60.0

    @field_validator("column", mode="before")
    @classmethod
    def _one_name(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("start", "end", mode="before")
    @classmethod
    def _date_as_text(cls, value: object) -> object:
        return value.isoformat() if isinstance(value, date) else value  # yaml reads 2020-01-31 as a date


class Csv(_Section):
    """csv, csv.gz and parquet files; the columns serve stdin too."""

    path: str | None = None
    columns: Names = ()
    time_column: str | None = None
    label_column: str | None = None
    poll: Positive = 0.5

    @field_validator("columns", mode="before")
    @classmethod
    def _one_name(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Training(_Section):
    """How much of the stream trains, and how long."""

    points: Count | None = None
    fraction: Share = 0.25
    steps: Count = 1200
    batch: Annotated[int, Field(ge=1, le=65_536)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.003
    validation: Annotated[float, Field(gt=0, le=0.5)] = 0.15
    patience: Count = 8


class Network(_Section):
    """The LSTM autoencoder and its window."""

    window: Literal["auto"] | Annotated[int, Field(ge=8, le=100_000)] = "auto"
    steps: Annotated[int, Field(ge=8, le=4096)] = 48
    periods: Annotated[float, Field(gt=0, le=10)] = 1.0
    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=8)] = (32,)
    latent: Annotated[int, Field(ge=1, le=1024)] = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    hide: Annotated[int, Field(ge=0, le=4)] = 1
    threads: Annotated[int, Field(ge=1, le=256)] = 1


class Forest(_Section):
    """The isolation forests."""

    window: Annotated[int, Field(ge=4, le=10_000)] = 16
    trees: Annotated[int, Field(ge=1, le=10_000)] = 100
    samples: Annotated[int, Field(ge=2, le=100_000)] = 256
    history: Annotated[int, Field(ge=64, le=1_000_000)] = 1000
    refit_every: Count = 250


class HalfSpaceTrees(_Section):
    """River's half-space trees."""

    window: Annotated[int, Field(ge=1, le=1000)] = 2
    trees: Annotated[int, Field(ge=1, le=1000)] = 25
    height: Annotated[int, Field(ge=1, le=15)] = 8
    samples: Annotated[int, Field(ge=32, le=1_000_000)] = 250


class WindowedGaussian(_Section):
    """The moving normal distribution."""

    window: Annotated[int, Field(ge=32, le=100_000)] = 6400


class Threshold(_Section):
    """The dynamic threshold."""

    kind: Literal["tail", "quantile", "nonparametric", "sigma"] = "tail"
    budget: float | str = 0.001
    window: Annotated[int, Field(ge=64, le=1_000_000)] = 4000

    @field_validator("budget")
    @classmethod
    def _readable(cls, value: float | str) -> float | str:
        try:
            Budget.parse(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value


class Incidents(_Section):
    """When flagged points are one incident."""

    merge_gap: Literal["auto"] | Annotated[int, Field(ge=0, le=1_000_000)] = "auto"
    hysteresis: Annotated[float, Field(gt=0, le=1)] = 1.0
    refractory: Annotated[int, Field(ge=1, le=1_000_000)] = 200


class Plot(_Section):
    """The picture."""

    kind: Literal["live", "file", "none"] = "file"
    window: Annotated[int, Field(ge=50, le=1_000_000)] = 1000


class Checkpoint(_Section):
    """How often a run writes down where it stands."""

    every: Count = 10_000


class Adaptation(_Section):
    """Retraining when the stream changes for good: not built yet, so it can only be off."""

    enabled: Literal[False] = False


class Config(_Section):
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
    plot: Plot = Plot()
    checkpoint: Checkpoint = Checkpoint()
    adaptation: Adaptation = Adaptation()
    synthetic: Synthetic = Synthetic()
    yfinance: Yahoo = Yahoo()
    csv: Csv = Csv()


# what a saved model was made with
MODEL_KEYS = ("detector", "network", "forest", "half_space_trees", "windowed_gaussian", "threshold")
FREE = ("plot", "checkpoint")  # what may change while a run is cut off


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
    before, after = (dict(_leaves(parse_yaml(text, "the saved configuration") or {})) for text in (then, now))
    for key in (*after, *before):
        if key.split(".")[0] not in FREE and before.get(key) != after.get(key):
            return f"{key} was {shown(before.get(key))} and is {shown(after.get(key))} now"
    return None


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def keys() -> list[str]:
    """All dotted keys."""
    return keys_of(Config)
