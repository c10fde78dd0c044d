"""Schema of config.yaml: a typed model for each section, with defaults and ranges."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from autoencoder.config.alerts import Alerts
from autoencoder.config.rules import MAX_GAP, Rule
from autoencoder.config.section import Count, Section, Share
from autoencoder.config.sources import Csv, Input, Prometheus, Synthetic, Yahoo
from autoencoder.core.durations import seconds_of
from autoencoder.core.errors import ConfigError
from autoencoder.thresholds.budget import Budget


class Columns(Section):
    """How several columns are judged."""

    joint: bool | None = None


class Training(Section):
    """How much of the stream trains, and how long."""

    points: Count | None = None
    fraction: Share = 0.25
    newcomers: Literal["model", "own"] = "model"
    max_steps: Count = 1200
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.003
    validation_split: Annotated[float, Field(gt=0, le=0.5)] = 0.15
    patience: Count = 8


class Network(Section):
    """The LSTM autoencoder and its window."""

    window: Literal["auto"] | Annotated[int, Field(ge=8, le=100_000)] = "auto"
    sequence_length: Annotated[int, Field(ge=8, le=4096)] = 48
    window_periods: Annotated[float, Field(gt=0, le=10)] = 1.0
    units: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=8)] = (32,)
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = 8
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    horizon: Annotated[int, Field(ge=0, le=4)] = 1
    threads: Annotated[int, Field(ge=1, le=256)] | None = None


class Forest(Section):
    """The isolation forests."""

    window: Annotated[int, Field(ge=4, le=10_000)] = 16
    n_estimators: Annotated[int, Field(ge=1, le=10_000)] = 100
    max_samples: Annotated[int, Field(ge=2, le=100_000)] = 256
    refit_window: Annotated[int, Field(ge=64, le=1_000_000)] = 1000
    refit_every: Count = 250


class HalfSpaceTrees(Section):
    """River's half-space trees."""

    window: Annotated[int, Field(ge=1, le=1000)] = 2
    n_trees: Annotated[int, Field(ge=1, le=1000)] = 25
    height: Annotated[int, Field(ge=1, le=15)] = 8
    window_size: Annotated[int, Field(ge=32, le=1_000_000)] = 250


class WindowedGaussian(Section):
    """The moving normal distribution."""

    window: Annotated[int, Field(ge=32, le=100_000)] = 6400


USUAL_BUDGET, PRICE_BUDGET = 0.001, 0.004  # of daily prices one day in 250, a year of trading


class Threshold(Section):
    """The dynamic threshold."""

    kind: Literal["tail", "quantile", "nonparametric", "sigma"] = "tail"
    budget: float | str = "auto"
    window: Annotated[int, Field(ge=64, le=1_000_000)] = 4000

    @field_validator("budget")
    @classmethod
    def _readable(cls, value: float | str) -> float | str:
        try:
            Budget.parse(0.001 if value == "auto" else value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value


class Incidents(Section):
    """When flagged points are one incident."""

    merge_gap: int | str = "auto"
    hysteresis: Annotated[float, Field(gt=0, le=1)] = 1.0
    cooldown: int | str = "auto"
    min_length: int | str = 1
    min_severity: Literal["auto", "low", "medium", "high", "critical"] = "auto"

    @field_validator("merge_gap", "cooldown", "min_length", mode="before")
    @classmethod
    def _is_gap(cls, value: object, info: ValidationInfo) -> object:
        name = info.field_name
        least, auto = (1, "") if name == "min_length" else (0, "auto")
        is_duration = isinstance(value, str) and ((value == auto != "") or seconds_of(value) is not None)
        is_count = isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_GAP
        if not (is_duration or is_count):
            rule = f"{auto and 'auto, '}a number of points from {least} to {MAX_GAP:,}, or a duration such as '30 min'"
            raise ValueError(f"incidents.{name} is {value!r}; it must be {rule}")
        return value


class Metrics(Section):
    """The page that Prometheus scrapes."""

    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    max_series: Count = 10_000


class Serve(Section):
    """Points over HTTP; the token is a secret, so the settings hold the name of an environment variable."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    token_env: str | None = None
    fsync: bool = False
    max_body_bytes: Annotated[int, Field(ge=1000, le=1 << 30)] = 8_388_608
    max_points: Count = 10_000
    max_waiting: Count = 100_000
    max_series: Annotated[int, Field(ge=1, le=50_000)] = 10_000


class Plot(Section):
    """The plot."""

    kind: Literal["live", "file", "none"] = "file"
    window: Annotated[int, Field(ge=50, le=1_000_000)] = 1000


class Checkpoint(Section):
    """How often a run saves its state."""

    every: Count = 10_000


COLD_START = 50  # points before the first detection of a forecast
FOLLOWING = ("isolation_forest_sliding", "half_space_trees")  # detectors that follow a stream by themselves


class Adaptation(Section):
    """Retraining when the stream changes for good."""

    enabled: bool | Literal["auto"] = "auto"
    synchronous: bool | None = None
    confirm_windows: Annotated[int, Field(ge=3, le=1000)] | Literal["auto"] = "auto"
    retrain_every: Count | None = None
    buffer_points: Annotated[int, Field(ge=500, le=1_000_000)] = 4000
    cold_start_points: Annotated[int, Field(ge=40, le=100_000)] | Literal["auto"] | None = "auto"

    @property
    def confirmed(self) -> tuple[int, int]:
        """Windows, and days, for which a change must stay; those of ``auto`` outlast a night of minutes."""
        return (10, 2) if self.confirm_windows == "auto" else (self.confirm_windows, 0)

    @property
    def is_asked_for(self) -> bool:
        """Whether it was switched on by hand: then it may change more than what comes after a change."""
        return self.enabled is True

    @property
    def cold_start(self) -> int | None:
        """Points after which a baseline detects until the detector is trained; None for no baseline."""
        if self.cold_start_points == "auto":
            return COLD_START if self.is_asked_for else None
        return self.cold_start_points


class Config(Section):
    """Every setting of a run."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    source: Literal["synthetic", "yfinance", "csv", "stdin", "prometheus", "http"] = "synthetic"
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
    rules: tuple[Rule, ...] = ()
    alerts: Alerts = Alerts()
    metrics: Metrics = Metrics()
    serve: Serve = Serve()
    plot: Plot = Plot()
    checkpoint: Checkpoint = Checkpoint()
    adaptation: Adaptation = Adaptation()
    synthetic: Synthetic = Synthetic()
    yfinance: Yahoo = Yahoo()
    csv: Csv = Csv()
    prometheus: Prometheus = Prometheus()
    input: Input = Input()
    columns: Columns = Columns()

    @property
    def judges_prices(self) -> bool:
        """Whether values are judged as prices, by their returns."""
        if self.input.transform != "auto":
            return self.input.transform == "prices"
        return self.source == "yfinance" and "volume" not in map(str.lower, self.yfinance.column)

    def adapts(self, *, of_many: bool = False) -> bool:
        """Whether the model of a stream is replaced when that changes for good; the stream is one of one series, or ``of_many``.

        Prices are judged by their volatility, which is followed anyway. Each of many series would have to remember thousands of points.
        """
        if self.judges_prices or self.adaptation.enabled != "auto":
            return self.adaptation.is_asked_for and not self.judges_prices
        return not of_many and self.detector not in FOLLOWING

    def starts_early(self, *, of_many: bool = False) -> bool:
        """Whether a baseline detects until the detector of such a stream is trained."""
        return self.adaptation.cold_start is not None and self.adapts(of_many=of_many)

    @model_validator(mode="after")
    def _resolved(self) -> Self:
        """``auto`` becomes what it stands for, which is then a setting like any other."""
        if self.threshold.budget == "auto":
            is_intraday = self.source == "yfinance" and self.yfinance.interval[-1:] in "mh"
            share = PRICE_BUDGET if self.judges_prices and not is_intraday else USUAL_BUDGET
            object.__setattr__(self, "threshold", self.threshold.model_copy(update={"budget": share}))
        if self.incidents.min_severity == "auto":
            least = "low" if self.judges_prices else "medium"  # a jump is a single bar
            object.__setattr__(self, "incidents", self.incidents.model_copy(update={"min_severity": least}))
        return self
