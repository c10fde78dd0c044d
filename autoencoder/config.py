"""Typed models of config.yaml: every setting, its type, its range; unknown keys fail with the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from autoencoder.budget import Budget
from autoencoder.errors import ConfigError

LARGEST_FILE = 1 << 20  # bytes; a configuration is a page, not a book

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
NotNegative = Annotated[float, Field(ge=0, le=1e12)]
Names: TypeAlias = tuple[str, ...]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


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
    interval: Positive = 1800.0
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


class Yahoo(_Section):
    """Prices through yfinance."""

    ticker: str | None = None
    period: str = "5y"
    start: str | None = None
    end: str | None = None
    interval: str = "1d"
    column: str = "Close"
    adjusted: bool = True
    deadline: Positive = 20.0
    cache: str | None = None
    cache_age: NotNegative = 3600.0
    poll: Positive = 60.0


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

    window: Annotated[int, Field(ge=2, le=10_000)] = 16
    trees: Annotated[int, Field(ge=1, le=10_000)] = 100
    samples: Annotated[int, Field(ge=2, le=100_000)] = 256
    history: Annotated[int, Field(ge=64, le=1_000_000)] = 1000
    refit_every: Count = 250


class Threshold(_Section):
    """The dynamic threshold."""

    kind: Literal["tail", "quantile", "nonparametric", "sigma"] = "tail"
    budget: float | str = 0.001
    window: Annotated[int, Field(ge=64, le=1_000_000)] = 1000

    @field_validator("budget")
    @classmethod
    def _readable(cls, value: float | str) -> float | str:
        Budget.parse(value)
        return value


class Incidents(_Section):
    """When flagged points are one incident."""

    merge_gap: Literal["auto"] | Annotated[int, Field(ge=0, le=1_000_000)] = "auto"


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
    detector: Literal["lstm_autoencoder", "isolation_forest", "isolation_forest_sliding"] = "lstm_autoencoder"
    training: Training = Training()
    network: Network = Network()
    forest: Forest = Forest()
    threshold: Threshold = Threshold()
    incidents: Incidents = Incidents()
    plot: Plot = Plot()
    checkpoint: Checkpoint = Checkpoint()
    adaptation: Adaptation = Adaptation()
    synthetic: Synthetic = Synthetic()
    yfinance: Yahoo = Yahoo()
    csv: Csv = Csv()


MODEL_KEYS = ("detector", "network", "forest", "threshold")  # what a saved model was made with


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
    where = "the command line"
    project = Path(__file__).resolve().parent.parent / "config.yaml"
    if project.is_file() and (path is None or saved is not None):
        tree, where = _read(project), str(project)
    if saved is not None:
        kept = _read(saved)
        tree, where = _merged(tree, kept if whole else {key: kept[key] for key in MODEL_KEYS if key in kept}), str(saved)
    if path is not None:
        tree, where = _merged(tree, _read(path)), str(path)
    if changes or texts:
        validate(tree, where)  # a fault in a file is told with the file's name
        where = "the command line"
    for key, value in (changes or {}).items():
        _put(tree, key, value)
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {text!r} is not KEY=VALUE, e.g. --set threshold.budget=0.001")
        _put(tree, key.strip(), _parse(value, f"--set {text}"))
    return validate(tree, where)


def validate(tree: Mapping[str, Any], where: str) -> Config:
    """The configuration that a mapping describes; ``where`` it came from, for messages."""
    try:
        return Config.model_validate(_merged(Config().model_dump(), tree))
    except ValidationError as error:
        raise ConfigError(_explain(error, where)) from None


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


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(f"{path} has {path.stat().st_size:,} bytes; a configuration has at most {LARGEST_FILE:,}")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; give --config a yaml file, or leave it out for the defaults") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or 'it is not UTF-8 text'}); give --config a yaml file"
        ) from None
    tree = _parse(text, str(path))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds a {type(tree).__name__}; it must be a mapping such as 'seed: 1'")
    return tree


def _parse(text: str, where: str) -> Any:
    if text.count("&") and text.count("*") > 64:
        raise ConfigError(f"{where}: yaml aliases are nested too deeply; write the values out")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise ConfigError(f"{where}{place}: not plain yaml ({problem}); write KEY: VALUE lines with plain values") from None


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for name in parents:
        child = tree.setdefault(name, {})
        if not isinstance(child, dict):
            child = tree[name] = {}
        tree = child
    tree[last] = value


def _explain(error: ValidationError, where: str) -> str:
    """First fault of a configuration, as one sentence."""
    fault = error.errors()[0]
    place = tuple(part for part in fault["loc"] if isinstance(part, str | int))
    if fault["type"] == "extra_forbidden":
        return f"{where}: {_dotted(place)} is not a setting; {_nearest(place)}"
    found = fault.get("input")
    if fault["type"] == "value_error":
        return f"{where}: {_message(fault)}"
    # a setting that may be of two types has a fault for each: tell both, at the setting itself
    place = tuple(
        part
        for part in place
        if part not in ("constrained-int", "constrained-str", "literal['auto']", "int", "str", "float", "tuple")
    )
    rules = dict.fromkeys(_message(other) for other in error.errors() if other["loc"][: len(place)] == fault["loc"][: len(place)])
    return f"{where}: {_dotted(place)} is {found!r:.60}; {' or '.join(rules)}"


def _message(fault: Mapping[str, Any]) -> str:
    message: str = fault["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _dotted(place: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in place)


def _nearest(place: Sequence[str | int]) -> str:
    """Hint at the setting that was meant."""
    model: Any = Config
    for part in place[:-1]:
        model = model.model_fields[str(part)].annotation
    known = list(model.model_fields)
    prefix = _dotted(place[:-1]) + "." if place[:-1] else ""
    close = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {prefix}{close[0]}?"
    everywhere = difflib.get_close_matches(str(place[-1]), [key.rsplit(".", 1)[-1] for key in keys()], n=1, cutoff=0.8)
    elsewhere = [key for key in keys() if everywhere and key.rsplit(".", 1)[-1] == everywhere[0]]
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    return f"known here: {', '.join(prefix + name for name in known)}"


def keys(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """All dotted keys."""
    out: list[str] = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            out += keys(annotation, f"{prefix}{name}.")
        else:
            out.append(prefix + name)
    return out
