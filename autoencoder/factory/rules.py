"""Rules: what the configuration says of a series -> its settings, and the policy of its incidents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from autoencoder.config import Config
from autoencoder.config.rules import deviation_of
from autoencoder.core.durations import seconds_of
from autoencoder.core.errors import ConfigError
from autoencoder.feedback.label import Label
from autoencoder.feedback.policy import Silencer
from autoencoder.rules.rule import Calendar, first_match, holidays_of, zone_named


def settings_of(config: Config, series: str | None) -> Config:
    """The settings of a series: those of all, but for what its rule says of its budget and the least length of its incidents."""
    place = _place(config, series)
    rule = None if place is None else config.rules[place]
    if rule and rule.budget is not None:
        config = config.model_copy(update={"threshold": config.threshold.model_copy(update={"budget": rule.budget})})
    if rule and rule.min_length is not None:
        config = config.model_copy(update={"incidents": config.incidents.model_copy(update={"min_length": rule.min_length})})
    return config


def make_policy(
    config: Config, series: str | None, *, is_zoned: bool, labels: Callable[[str | None], Sequence[Label]] | None = None
) -> Silencer | None:
    """What keeps incidents of a series from ringing, its rule and its ``labels``; None where there can be nothing.

    Times of a stream that is not ``is_zoned`` are local.
    """
    place, said = _place(config, series), partial(labels, series) if labels else tuple
    if place is None:
        return Silencer(labels=said) if labels else None
    chosen = config.rules[place]
    windows = [window.recurrence(chosen.zone) for window in chosen.quiet]
    days = holidays_of(chosen.holidays) if chosen.holidays else ()
    least, is_relative = deviation_of(chosen.min_deviation)
    return Silencer(
        chosen.name or f"rules[{place}]",  # what people know it by
        chosen.direction,
        least,
        is_relative,
        chosen.min_length is not None,
        Calendar(windows, days, zone_named(chosen.zone) if is_zoned else None) if windows or chosen.holidays else None,
        chosen.holiday_tolerance,
        (seconds_of(chosen.no_data) or 0.0) if chosen.no_data else 0.0,
        said,
    )


def require_times(config: Config, series: str | None, interval: float) -> None:
    """Raise ConfigError where a rule needs times and the stream's points, ``interval`` seconds apart, have none."""
    place = _place(config, series)
    if interval or place is None:
        return
    for key in ("quiet", "holidays", "no_data"):
        if getattr(config.rules[place], key):
            raise ConfigError(f"rules[{place}].{key} needs times, and the stream has no timestamps; leave it out")


def unused(config: Config, names: Iterable[str | None]) -> list[str]:
    """A sentence for each rule that none of the series of these names has."""
    used = {_place(config, name) for name in names}
    idle = [place for place in range(len(config.rules)) if place not in used]
    why = "no series has a name that matches {0!r}, or one of the rules before it holds for them"
    return [f"rules[{place}] held for nothing: {why.format(config.rules[place].series)}" for place in idle]


def _place(config: Config, series: str | None) -> int | None:
    return first_match([rule.series for rule in config.rules], series) if config.rules else None
