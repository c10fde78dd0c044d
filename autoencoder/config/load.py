"""Loader: files and flags in layers -> one configuration; a fault is one sentence that names the layer it is in.

Former names of settings are read for one release.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from autoencoder.config.rules import QuietWindow, Rule
from autoencoder.config.schema import Config
from autoencoder.core.errors import ConfigError

MAX_FILE_BYTES = 1 << 20
# what a saved model was made with
MODEL_KEYS = ("detector", "network", "forest", "half_space_trees", "windowed_gaussian", "threshold")
# may change between the parts of a resumed run, but for alerts.log
FREE_KEYS = tuple("plot. checkpoint. alerts. metrics. prometheus.url prometheus.http. serve. input.dates input.decimal".split())
RULES = {  # by the start of the fault's type, where pydantic's own words speak to programmers
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "model": "a group of settings, each with its own key",
    "string": "text (put quotes around it)",
    "tuple": "a list such as [a, b]",
}
# of a setting of two types
BRANCHES = ("constrained-int", "constrained-str", "literal['auto']", "bool", "int", "str", "float", "tuple")
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


def load(
    path: Path | None,
    changes: Tree | None = None,
    texts: Sequence[str] = (),
    *,
    saved: Path | None = None,
    whole: bool = False,
    warn: Warn = str,
    where: str = "the command line",
) -> Config:
    """The configuration: each layer over the one before.

    Args:
        path: yaml file of the user; None: config.yaml of the project, if it is there.
        changes: dotted key -> value.
        texts: "key=value" with a yaml value.
        saved: config.yaml of a run folder; it lies between the project's file and everything the user gave.
        whole: take all of ``saved``, else only ``MODEL_KEYS``.
        warn: given a sentence for every key that the user gave by its old name.
        where: what ``changes`` and ``texts`` come from, for messages.

    Raises:
        ConfigError: a file cannot be read, or a setting is unknown, of the wrong type or out of range.
    """
    layers: list[tuple[str, Tree]] = []
    project = project_file() if path is None or saved else None
    for file in (project, saved, path):
        if file:
            tree = renamed(_read(file), str(file), str if file is saved else warn)
            layers.append((str(file), {key: tree[key] for key in tree if file is not saved or whole or key in MODEL_KEYS}))
    given: Tree = {}
    for key, value in [*(changes or {}).items(), *map(_assignment, texts)]:
        given = _merged(given, reduce(lambda tree, group: {group: tree}, reversed(key.split(".")), value))
    return _resolved([*layers, (where, renamed(given, where, warn))])


def project_file() -> Path | None:
    """config.yaml at the top of a clone, or inside an installed package; None where it was removed."""
    package = Path(__file__).resolve().parents[1]
    file = package / "config.yaml"
    if not file.is_file() and (package.parent / "pyproject.toml").is_file():  # beside an installed one lie the files of others
        file = package.parent / "config.yaml"
    return file if file.is_file() else None


def validate(tree: Tree, where: str) -> Config:
    """The configuration that a mapping describes; ``where`` it came from, for messages."""
    return _resolved([(where, renamed(tree, where))])


def dump(config: Config) -> str:
    """The resolved configuration as yaml; reading it back gives the same configuration."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def keys() -> list[str]:
    """All dotted keys."""
    return [key for key, _ in leaves(Config().model_dump())]


def difference(then: str, now: str) -> str | None:
    """First setting, but for ``FREE_KEYS``, in which two resolved configurations differ, as the start of a sentence.

    Raises:
        ConfigError: one of the texts is damaged.
    """
    where = "the saved configuration"
    defaults = dict(leaves(_parse(dump(Config()), where)))  # hold for a setting that was not known then
    trees = [_parse(text, where) for text in (then, now)]
    given = [dict(leaves(renamed(tree, where) if isinstance(tree, dict) else {})) for tree in trees]
    before, after = (_carried({**one, **{key: defaults[key] for key in defaults if key not in one}}) for one in given)
    for key in (*after, *before):
        is_free = key.startswith(FREE_KEYS) and key != "alerts.log"
        if not is_free and before.get(key) != after.get(key):
            return f"{key} was {_shown(before.get(key))} and is {_shown(after.get(key))} now"
    return None


def _carried(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with what a resumed run cannot change of its rules: which budget is for which series."""
    rules = [rule for rule in settings.get("rules") or () if isinstance(rule, Mapping)]
    budgets = [(rule.get("series"), rule.get("budget")) for rule in rules]
    return {**settings, "rules": budgets if any(budget for _, budget in budgets) else []}


def _resolved(layers: Sequence[tuple[str, Tree]]) -> Config:
    """The layers over one another; each is checked as it is laid, so that a fault is told with its layer's name."""
    tree, config = Config().model_dump(), Config()
    for where, layer in layers:
        tree = _merged(tree, layer)
        try:
            config = Config.model_validate(tree)
        except ValidationError as error:
            raise ConfigError(f"{where}: {_explain(error)}") from None
    return config


def _merged(base: Tree, over: Tree) -> dict[str, Any]:
    """``base`` with ``over`` laid over it, group by group."""
    out = dict(base)
    for key, value in over.items():
        here = out.get(key)
        out[key] = _merged(here, value) if isinstance(here, dict) and isinstance(value, Mapping) else value
    return out


def leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _assignment(text: str) -> tuple[str, Any]:
    """Key and value of a --set."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} is not KEY=VALUE, e.g. --set threshold.budget=0.001")
    return key.strip(), _parse(value, f"--set {text}")


def _explain(error: ValidationError) -> str:
    """The first fault: which setting, what was found, what it must be."""
    fault, *_ = faults = error.errors()
    place = _dotted(fault)
    if fault["type"] in ("extra_forbidden", "invalid_key"):
        return f"{place} is not a setting; {_nearest(place)}"
    if fault["type"] == "variable":  # what stands there may be the secret itself
        return f"{place} is no name of an environment variable; it must be one in capitals, e.g. MY_TOKEN, that holds the secret"
    if fault["type"] == "missing":
        return f"{place} is missing; every {place.rsplit('.', 2)[-2].split('[')[0]} window needs it"
    if fault["type"] == "value_error":  # one of our own, which says it all
        return fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "rrule":  # known only with the window's start and the rule's zone
        return f"{place}.quiet[{fault['ctx']['window']}].rrule is {_shown(fault['ctx']['found'])}; it must be {fault['msg']}"
    beside = [(other["type"].split("_")[0], other["msg"]) for other in faults if _dotted(other) == place]
    rules = dict.fromkeys(RULES.get(kind) or re.sub("^Input should (be )?", "", message) for kind, message in beside)
    return f"{place} is {_shown(fault['input'])}; it must be {' or '.join(rules)}"


def _dotted(fault: Mapping[str, Any]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"] if part not in BRANCHES)
    return "".join(parts).lstrip(".")


def _shown(value: object) -> str:
    """A value nearly as the user wrote it, on one line."""
    text = {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _nearest(place: str) -> str:
    """Hint at the setting that was meant: one beside it, or else one of that name in another group."""
    group, dot, name = place.rpartition(".")
    beside = list(dict.fromkeys(key.removeprefix(group + dot).split(".")[0] for key in keys() if key.startswith(group + dot)))
    if group.startswith("rules["):
        beside = [*(QuietWindow if ".quiet[" in group else Rule).model_fields]
    if close := difflib.get_close_matches(name, beside, n=1, cutoff=0.5):
        return f"did you mean {group}{dot}{close[0]}?"
    elsewhere = {key.rsplit(".", 1)[-1]: key for key in reversed(keys())}
    if close := difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.8):
        return f"did you mean {elsewhere[close[0]]}?"
    return f"known here: {', '.join(group + dot + key for key in beside)}"


class _PlainLoader(yaml.SafeLoader):
    """Takes no aliases, a page of which unfolds to gigabytes, and no key twice, of which one would be lost unseen."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.get_event()  # type: ignore[no-untyped-call]  # the stubs leave its types out
            raise yaml.MarkedYAMLError(problem="found an alias", problem_mark=alias.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is there twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _parse(text: str, where: str) -> Any:
    """What a text of plain yaml holds; ``where`` it stands, for messages."""
    try:
        return yaml.load(text, _PlainLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise ConfigError(f"{where}{place}: not plain yaml ({problem}); write KEY: VALUE lines with plain values") from None


def _read(path: Path) -> dict[str, Any]:
    """The mapping that a file holds; empty where the file is."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path} has {path.stat().st_size:,} bytes; a configuration has at most {MAX_FILE_BYTES:,}")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; give --config a yaml file, or leave it out for the defaults") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read ({reason}); give --config a yaml file") from None
    tree = _parse(text, str(path))
    if tree is not None and not isinstance(tree, dict):
        raise ConfigError(f"{path} holds a {type(tree).__name__}; it must be a mapping such as 'seed: 1'")
    return tree or {}


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
