"""Schema of the sources: what each one is asked for, and how cells are read."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from autoencoder.config.section import Count, Day, Names, NotNegative, Positive, Section
from autoencoder.core.durations import seconds_of
from autoencoder.core.http import is_web_address

MAX_STREAM_SECONDS = 7e9  # of a synthetic stream: times are counted in nanoseconds, which end in 2262
MAX_SECONDS = 3e9  # that a stretch of the past is long

Duration = str | float  # seconds, or text such as "5m"
Tickers = Annotated[
    str | Annotated[tuple[str, ...], Field(min_length=2)] | None,
    BeforeValidator(lambda value: value[0] if isinstance(value, list | tuple) and len(value) == 1 else value),
]


class Yahoo(Section):
    """Prices through yfinance."""

    ticker: Tickers = None
    period: str = "5y"
    start: Day = None
    end: Day = None
    interval: str = "1d"
    column: Names = ("Close",)
    adjusted: bool = True
    timeout: Positive = 20.0
    cache: str | None = None
    cache_ttl: NotNegative = 3600.0
    poll_seconds: Positive = 60.0


class Csv(Section):
    """csv, csv.gz and parquet files; the columns serve stdin too."""

    path: str | Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    columns: Names = ()
    time_column: str | None = None
    label_column: str | None = None
    series_column: str | None = None
    poll_seconds: Positive = 0.5


class Input(Section):
    """How the cells of files and pipes are read, and what of any source's values is judged."""

    transform: Literal["auto", "none", "rate", "difference", "log", "log_return", "prices"] = "auto"
    dates: Literal["auto", "day_first", "month_first"] = "auto"
    decimal: Literal["auto", "point", "comma"] = "auto"


class PrometheusHttp(Section):
    """How the server is reached; settings that end in _env name environment variables."""

    token_env: str | None = None
    user_env: str | None = None
    password_env: str | None = None
    ca_env: str | None = None
    insecure: bool = False
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30.0
    retries: Annotated[int, Field(ge=0, le=100)] = 4
    backoff: Positive = 0.5
    max_backoff: Annotated[float, Field(gt=0, le=86_400)] = 60.0

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if (self.user_env is None) != (self.password_env is None):
            raise ValueError("prometheus.http.user_env and password_env belong together; give both or none")
        return self


class Prometheus(Section):
    """Series that a Prometheus server is asked for."""

    url: str | None = None
    query: str | None = None
    step: Duration = "60s"
    history: Duration = "1w"
    delay: Duration = "5s"
    max_series: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    http: PrometheusHttp = PrometheusHttp()

    @field_validator("url")
    @classmethod
    def _plain_address(cls, value: str | None) -> str | None:
        """A password in the address would stand in the run folder, and in this message."""
        if value and set(value) & set("@?#"):
            raise ValueError(
                "prometheus.url holds more than an address; put user and password into environment variables and name these "
                "in prometheus.http.user_env and password_env"
            )
        if value is not None and not is_web_address(value):
            raise ValueError(f"prometheus.url is {value!r}; it must be an address such as http://localhost:9090")
        return value

    @field_validator("step", "history", "delay")
    @classmethod
    def _is_duration(cls, value: Duration, info: ValidationInfo) -> Duration:
        least = 0.001 if info.field_name == "step" else 0.0
        if not least <= duration(value) <= MAX_SECONDS:
            name = f"prometheus.{info.field_name}"
            raise ValueError(f"{name} is {value!r}; it must be seconds, or a duration such as 60s, 5m or 1w")
        return value


def duration(value: Duration) -> float:
    """Seconds of a setting; NaN where it is none.

    >>> duration("5m"), duration("0.5"), duration(7), duration("soon")
    (300.0, 0.5, 7.0, nan)
    """
    try:
        return float(value)
    except ValueError:
        return seconds_of(str(value)) or math.nan


class Season(Section):
    """One season of the synthetic stream."""

    period: Annotated[int, Field(ge=4, le=1_000_000)] = 48
    amplitude: NotNegative = 5.0


class Anomalies(Section):
    """Injected anomalies of the synthetic stream; each kind can be switched off."""

    rate: NotNegative = 1.66
    size: Positive = 10.0
    start_after: Annotated[int, Field(ge=0)] = 1800
    spike: bool = True
    dip: bool = True
    level_shift: bool = True
    variance: bool = True
    flat: bool = True
    season: bool = True
    slow_drift: bool = True


class Synthetic(Section):
    """The synthetic stream."""

    points: Count | None = 6000
    points_per_second: NotNegative = 0.0
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
        if self.points and self.points * self.interval > MAX_STREAM_SECONDS:
            raise ValueError(
                f"synthetic.points is {self.points:,} and synthetic.interval {self.interval:g} seconds, which leads beyond the year 2240; "
                "take fewer points or a shorter interval"
            )
        return self
