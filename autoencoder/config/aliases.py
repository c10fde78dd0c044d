"""Aliases: former names of settings, which are read for one release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autoencoder.core.errors import ConfigError

Tree = Mapping[str, Any]
Warn = Callable[[str], object]

OLD_NAMES: dict[str, dict[str, str]] = {  # group -> former name -> present name
    "training": {"steps": "max_steps", "batch": "batch_size", "validation": "validation_split"},
    "network": {"steps": "sequence_length", "periods": "window_periods", "hidden": "units", "latent": "latent_dim"}
    | {"hide": "horizon"},
    "forest": {"trees": "n_estimators", "samples": "max_samples", "history": "refit_window"},
    "half_space_trees": {"trees": "n_trees", "samples": "window_size"},
    "incidents": {"refractory": "cooldown"},
    "adaptation": {"patience": "confirm_windows", "every": "retrain_every", "history": "buffer_points"}
    | {"early": "cold_start_points", "deterministic": "synchronous"},
    "synthetic": {"pace": "points_per_second"},
    "synthetic.anomalies": {"clean": "start_after"},
    "yfinance": {"deadline": "timeout", "cache_age": "cache_ttl", "poll": "poll_seconds"},
    "csv": {"poll": "poll_seconds"},
}
MOVED: dict[str, dict[str, str]] = {  # group -> former name -> present name in the group around it
    "alerts.webhook": {"retry": "backoff", "longest_retry": "max_backoff", "queue": "max_queue", "deadline": "drain_seconds"}
    | {name: name for name in ("alarms_only", "timeout", "backoff", "max_backoff", "max_queue", "drain_seconds")},
}


def renamed(tree: Tree, where: str, warn: Warn = str, group: str = "") -> dict[str, Any]:
    """A layer under the present names of its keys. Raises ConfigError: a setting is there under both of its names."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        name = OLD_NAMES.get(group, {}).get(key, key)
        if name != key:
            _tell(f"{where}: {group}.{key} is now {group}.{name}", name in tree, warn)
        inner = f"{group}.{key}".lstrip(".")
        for former, present in MOVED.get(inner, {}).items() if isinstance(value, Mapping) else ():
            if former in value:
                _tell(f"{where}: {inner}.{former} is now {group}.{present}", present in tree or present in out, warn)
                out[present] = value[former]
                value = {each: value[each] for each in value if each != former}
        out[name] = renamed(value, where, warn, inner) if isinstance(value, Mapping) else value
    return out


def _tell(news: str, is_twice: bool, warn: Warn) -> None:
    if is_twice:
        raise ConfigError(f"{news}; give one of the two")
    warn(news)
