"""Points: what a caller hands over (pandas, numpy, plain numbers) as arrays."""

from __future__ import annotations

import contextlib
import sys
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autoencoder.core.errors import InputError
from autoencoder.core.types import Array, Time


@dataclass(frozen=True, slots=True)
class Points:
    """Points as a caller hands them over."""

    time: Time  # (N,) datetime64[ns] in UTC (or without a zone), or the int64 number of each row
    values: Array  # (N, F) NaN where a value is missing
    columns: tuple[str, ...]  # the F names
    is_named: bool  # the caller gave these names, so later ones must be the same
    timezone: str | None  # of the times; None where they carry none
    index: Any = None  # (N,) the caller's pandas index, or the times where there is none
    name: str = "series"  # for the title of a plot

    def after(self, newest: Points | None) -> Points:
        """The same points, which come after another one of their stream, or begin it; InputError where they cannot."""
        if newest is None:
            if not len(self.time):
                raise InputError("found no points; give at least one")
            return self
        found, known = (f"{len(each.columns)} ({', '.join(each.columns)[:200]})" for each in (self, newest))
        is_renamed = self.is_named and newest.is_named and self.columns != newest.columns
        if len(self.columns) != len(newest.columns) or is_renamed:
            raise InputError(f"found columns {found}, the stream has {known}; give the same columns in the same order")
        if self._times != newest._times:
            raise InputError(f"these points carry {self._times}, those before them {newest._times}; give all of them the same")
        return replace(self, columns=newest.columns, is_named=newest.is_named)

    def in_order_of(self, columns: tuple[str, ...]) -> Points:
        """The same points with their columns in this order, where the caller's are the same ones in another."""
        if not self.is_named or self.columns == columns or sorted(self.columns) != sorted(columns):
            return self
        listed = ", ".join(columns)
        warnings.warn(f"the columns are judged in the order in which the model was trained: {listed}", stacklevel=5)
        values = self.values[:, [self.columns.index(name) for name in columns]]
        return replace(self, columns=columns, values=np.ascontiguousarray(values))

    @property
    def _times(self) -> str:
        kind = "times" if self.time.dtype.kind == "M" else "no times"
        return f"{kind} with a zone" if self.timezone else kind


def to_points(data: Any, first_row: int) -> Points:
    """A Series, DataFrame, array (N,) or (N, F), or a pair (time, values) -> points; rows without times count on from ``first_row``."""
    pd = sys.modules.get("pandas")  # without it there is no pandas object either
    time, index, name = None, None, None
    if isinstance(data, tuple):
        if len(data) != 2:
            raise InputError(f"found a tuple of {len(data)}; give (time, values), or the values as an array")
        time, data = data
    elif pd is not None and isinstance(data, pd.Series | pd.DataFrame):
        index, name = data.index, getattr(data, "name", None)
        if isinstance(index, pd.DatetimeIndex):
            time = index
        elif not pd.api.types.is_integer_dtype(index.dtype):
            raise InputError(
                f"the index holds {index.dtype}, not times; give it a DatetimeIndex, e.g. with pandas.to_datetime, or reset_index"
            )
    if isinstance(data, str | bytes | dict | set):
        raise InputError(f"found {_preview(data)}; give a pandas Series or DataFrame, an array of numbers, or (time, values)")
    is_named = pd is not None and isinstance(data, pd.DataFrame)
    columns = _columns_of_table(data) if is_named else _columns_of_array(data, pd)
    places = [f"column {column!r}, " if is_named or len(columns) > 1 else "" for column in columns]
    values = np.column_stack([_numbers(cells, place) for cells, place in zip(columns.values(), places, strict=True)])
    counted = np.arange(first_row, first_row + len(values), dtype=np.int64)
    moments, zone = (counted, None) if time is None else to_times(time)
    if len(moments) != len(values):
        raise InputError(f"found {len(moments):,} times and {len(values):,} rows of values; there must be as many of both")
    index = moments if index is None else index
    return Points(moments, values, tuple(columns), is_named, zone, index, "series" if name is None else str(name))


def _columns_of_table(table: Any) -> dict[str, Any]:
    """The cells (N,) of each column of a DataFrame."""
    names = list(map(str, table.columns))
    if not names:
        raise InputError("found a table without columns; give at least one column of numbers")
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"two columns are called {min(twice)!r}; give each a name of its own")
    return {name: table.iloc[:, place] for place, name in enumerate(names)}


def _columns_of_array(data: Any, pd: Any) -> dict[str, Any]:
    """The cells (N,) of each column of a Series or of what numpy takes for an array, which have no names."""
    if pd is not None and isinstance(data, pd.Series):
        return {"value": data}
    try:
        array = np.asarray(data)
        if array.dtype.kind in "US":
            array = np.asarray(data, dtype=object)  # as they came: numpy makes text of numbers beside text
    except ValueError:
        raise InputError("the rows differ in length; every row must have as many values as the first") from None
    table = array[:, np.newaxis] if array.ndim == 1 else array
    if table.ndim != 2 or not table.shape[1]:
        raise InputError(f"found an array of shape {array.shape}; give (N,) for one column, (N, F) for several")
    return {"value": table[:, 0]} if table.shape[1] == 1 else {str(place): cells for place, cells in enumerate(table.T)}


def _numbers(cells: Any, place: str) -> Array:
    """Cells (N,) -> numbers (N,), NaN where one is missing; ``place`` is where errors say they are."""
    rule = "every value must be a number, or NaN where it is missing"
    kind = getattr(cells.dtype, "kind", "O")
    if kind in "biuf":
        to_numpy = getattr(cells, "to_numpy", None)  # pandas, whose own dtypes know of missing cells
        numbers = to_numpy(dtype=np.float64, na_value=np.nan) if to_numpy else cells.astype(np.float64)
    elif kind in "OUST":
        numbers = np.array([_number(cell, f"{place}row {row}", rule) for row, cell in enumerate(cells)], dtype=np.float64)
    else:
        raise InputError(f"{place or 'the values: '}found {cells.dtype}; {rule}")
    if np.isinf(numbers).any():
        row = int(np.isinf(numbers).argmax())
        raise InputError(f"{place}row {row}: found {numbers[row]}; {rule.replace('a number', 'a finite number')}")
    return np.asarray(numbers, dtype=np.float64)


def _number(cell: Any, place: str, rule: str) -> float:
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return float("nan")
    if isinstance(cell, str | bytes):
        raise InputError(f"{place}: found the text {_preview(cell)}; give numbers, e.g. with pandas.to_numeric")
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{place}: found {_preview(cell)}; {rule}") from None


def to_times(time: Any) -> tuple[Time, str | None]:
    """Times of any kind (N,) -> datetime64[ns] in UTC or int64 (N,), and their zone."""
    zone = getattr(getattr(time, "dtype", None), "tz", None)
    array = np.asarray(time, "datetime64[ns]") if zone is not None else np.asarray(time)  # pandas gives UTC
    if array.dtype.kind == "O" and array.size:
        zone = getattr(array.flat[0], "tzinfo", None)
        with contextlib.suppress(TypeError, ValueError), warnings.catch_warnings(action="ignore"):
            array = array.astype("datetime64[us]")  # datetime objects; numpy warns where one carries a zone, and gives UTC
    if array.ndim != 1:
        raise InputError(f"found times of shape {array.shape}; give one time a row, (N,)")
    if array.dtype.kind in "iu":
        return array.astype(np.int64), None
    if array.dtype.kind != "M":
        found = f"{array.dtype}, e.g. {_preview(array[0])}" if len(array) else str(array.dtype)
        raise InputError(f"the times hold {found}; give datetime64 values, e.g. with pandas.to_datetime, or whole numbers")
    if np.isnat(array).any():
        raise InputError(f"row {int(np.isnat(array).argmax())} has no time (NaT); every row needs one")
    exact = array.astype("datetime64[ns]")
    if (exact.astype("datetime64[s]") != array.astype("datetime64[s]")).any():
        raise InputError("a time is out of range; it must lie between the years 1678 and 2262")
    return exact, None if zone is None else str(zone).removeprefix("UTC") or "UTC"


def _preview(found: object) -> str:
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."
