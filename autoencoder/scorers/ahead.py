"""WorkAhead: what was begun on values that are still to come, for as long as they come as they were expected."""

from __future__ import annotations

from typing import Generic, TypeVar

from autoencoder.scorers.base import Array

Work = TypeVar("Work")


class WorkAhead(Generic[Work]):
    """Work on the values that come next, and on those that come after them. Values are told apart as arrays, not by what they hold."""

    def __init__(self) -> None:
        self._next: tuple[Array, Work] | None = None
        self._next_but_one: tuple[Array, Array, Work] | None = None

    def expect(self, after: Array, values: Array, work: Work) -> None:
        """This work was begun on values (N, F) that come after others (M, F), which are next."""
        self._next_but_one = after, values, work

    def take(self, values: Array) -> Work | None:
        """Values (N, F) have come: the work on them, None where there is none. What was expected after other values is forgotten."""
        work = self._next[1] if self._next and self._next[0] is values else None
        later = self._next_but_one
        self._next = later[1:] if later and later[0] is values else None
        self._next_but_one = None
        return work
