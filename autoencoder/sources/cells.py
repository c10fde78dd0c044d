"""Cells: what the texts of a column look like, and their conversion, which names the text that is to blame."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeVar

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.core.types import Bools
from autoencoder.sources.numbers import MISSING, is_number
from autoencoder.sources.times import is_time

Result = TypeVar("Result")

BAD_LABEL = "every label must be 0 or 1"

_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?( ?[AaPp]\.?[Mm]\.?)?")
_LABELS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


class ColumnType(Enum):
    """What a column holds, as far as its first value tells."""

    NUMBER = "number"
    TIME = "time"  # a date; whether a number is a time only its column's name can tell
    CLOCK = "clock"  # a time of day
    MISSING = "missing"
    OTHER = "other"


def column_type(text: str) -> ColumnType:
    """What one text looks like; nan is missing, inf a number."""
    if text.strip().lower() in MISSING:
        return ColumnType.MISSING
    if is_number(text) or text.strip().lower().lstrip("+-") in ("inf", "infinity"):
        return ColumnType.NUMBER
    if _CLOCK.fullmatch(text.strip()):
        return ColumnType.CLOCK
    return ColumnType.TIME if is_time(text) else ColumnType.OTHER


def first_type(texts: Sequence[str]) -> ColumnType:
    """What a column looks like by its first text that is not missing."""
    return next((found for text in texts if (found := column_type(text)) is not ColumnType.MISSING), ColumnType.MISSING)


def convert_column(convert: Callable[[Sequence[str]], Result], texts: Sequence[str], place: Callable[[int], str]) -> Result:
    """Convert texts (N,) at once; where that fails, name the first text that fails on its own.

    ``convert`` raises ValueError with a remedy; ``place`` says where the text at a position stands.

    Raises:
        InputError: one of the texts cannot be converted.
    """
    try:
        return convert(texts)
    except ValueError:
        for position, text in enumerate(texts):
            try:
                convert((text,))
            except ValueError as error:
                raise InputError(f"{place(position)}: found {preview(text)}; {error}") from None
        raise


def preview(text: str) -> str:
    """What an error shows of a text: at most 40 characters, as Python would write it."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


def to_labels(texts: Sequence[str]) -> Bools:
    """Texts (N,) of 0 and 1 (or false and true) -> labels (N,)."""
    try:
        return np.array([_LABELS[text.strip().lower()] for text in texts], dtype=np.bool_)
    except KeyError:
        raise ValueError(BAD_LABEL) from None
