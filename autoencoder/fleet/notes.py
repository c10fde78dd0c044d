"""Notes: what there is to tell of series, of thousands of which the same may be told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Notes: TypeAlias = dict[str, tuple[str, int]]  # by kind: the first note, and how many there are


def gather(notes: Iterable[tuple[str, int]]) -> Notes:
    """Notes with their numbers, by kind.

    >>> gather([("series 'a': begins at 3: late", 1), ("series 'b': begins at 4: late", 2)])
    {'late': ("series 'a': begins at 3: late", 3)}
    """
    found: Notes = {}
    for note, count in notes:
        kind = note.rpartition(": ")[2]
        first, before = found.get(kind, (note, 0))
        found[kind] = first, before + count
    return found


def sentences(notes: Notes) -> list[str]:
    """A sentence for each kind."""
    return [first + (f" (and {count - 1:,} more like it)" if count > 1 else "") for first, count in notes.values()]
