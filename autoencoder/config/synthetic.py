"""Synthetic: the settings of the synthetic stream."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from autoencoder.config.section import Count, NotNegative, Positive, Section

MAX_STREAM_SECONDS = 7e9  # of a synthetic stream: times are counted in nanoseconds, which end in 2262


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
