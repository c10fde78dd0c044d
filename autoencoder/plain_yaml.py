"""Plain yaml: mappings, lists and values from a text that nobody vouches for."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from autoencoder.core.errors import ConfigError

LARGEST_FILE = 1 << 20  # bytes; a configuration is a page, not a book


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


def parse_yaml(text: str, where: str) -> Any:
    """What a text of plain yaml holds; ``where`` it stands, for messages.

    Raises:
        ConfigError: it is no such text.
    """
    try:
        return yaml.load(text, _PlainLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise ConfigError(f"{where}{place}: not plain yaml ({problem}); write KEY: VALUE lines with plain values") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a file holds; empty where the file is.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigError(f"{path} has {path.stat().st_size:,} bytes; a configuration has at most {LARGEST_FILE:,}")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; give --config a yaml file, or leave it out for the defaults") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read ({reason}); give --config a yaml file") from None
    tree = parse_yaml(text, str(path))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} holds a {type(tree).__name__}; it must be a mapping such as 'seed: 1'")
    return tree
