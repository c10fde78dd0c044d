"""Schema of what has to do with Prometheus: the source that asks it, and the page that it scrapes."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from autoencoder.config.section import Count, Positive, Section
from autoencoder.core.durations import seconds_of
from autoencoder.core.http import is_web_address

Duration = str | float  # seconds, or text such as "5m"
MAX_SECONDS = 3e9  # that a stretch of the past is long


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


class Metrics(Section):
    """The page that Prometheus scrapes."""

    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    max_series: Count = 10_000


def duration(value: Duration) -> float:
    """Seconds of a setting; NaN where it is none.

    >>> duration("5m"), duration("0.5"), duration(7), duration("soon")
    (300.0, 0.5, 7.0, nan)
    """
    try:
        return float(value)
    except ValueError:
        return seconds_of(str(value)) or math.nan
