"""Numbers as people write them: what a column of texts is read as, whatever pieces it comes in."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from helpers.chunks import FEW
from hypothesis import given
from hypothesis import strategies as st

from autoencoder.sources.numbers import NumberColumn
from autoencoder.sources.reading import MustReadAgain

NUMBER = "every value must be a number"


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["12.3%", "0", "4 %"], [12.3, 0, 4]),
        (["12,345", "1", "1,234,567.5"], [12345, 1, 1234567.5]),
        (["3,5", "1.234", "1.234,56", "-1.234.567,8"], [3.5, 1234, 1234.56, -1234567.8]),
        (["12MiB", "1 GiB", "512", "3kB"], [12 * 2**20, 2**30, 512, 3000]),
        (["1.2k", "950", "3M"], [1200, 950, 3e6]),
        (["250 ms", "1.5 s"], [0.25, 1.5]),
        (["1'019.53", "1’020"], [1019.53, 1020]),
        (["1 019,53", "1\u00a0019,53", "1\u202f019,53"], [1019.53] * 3),
        (["$1,234.50", "-$3", "+$ 2"], [1234.5, -3, 2]),
        (["3,50 €", "€ 4"], [3.5, 4]),
        (["\u22125", "+5", ".5", "5.", "1E+05"], [-5, 5, 0.5, 5, 1e5]),
        (["0,123", "0,5"], [0.123, 0.5]),
        (["1,5E+03", "1,234e3"], [1500, 1234]),
        (["21.5 °C", "0"], [21.5, 0]),
    ],
)
def test_a_column_is_read(texts: list[str], values: list[float]) -> None:
    np.testing.assert_allclose(NumberColumn("v").convert(texts), values, rtol=1e-12)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        *(
            ([text], NUMBER)
            for text in ("1,2,3", "1.2.3", "1,23,456", "1 2", "12abc", "5m", "(5)", "--5", "$", "1.5e3,2", "1e999%")
        ),
        (["12%", "0.5"], "the numbers before it are in %"),
        (["0.5", "12%"], "the numbers before it (0.5) have no unit"),
        (["3.4B", "1.2M"], "the numbers before it are in B; give a column one unit"),
        (["$1", "€1"], "the numbers before it are in $; give a column one currency"),
        (
            ["12.5", "3,5"],
            "the numbers before it have a decimal point; write all of them alike, or give --set input.decimal=comma",
        ),
        (["3,5", "12.5"], "the numbers before it have a decimal comma"),
    ],
)
def test_a_cell_without_one_reading_is_refused(texts: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(reason)):
        NumberColumn("v").convert(texts)


def test_missing_values_have_no_unit() -> None:
    column = NumberColumn("v")
    assert np.isnan(column.convert(["nan", "-nan"])).all()
    assert column.convert(["5%"]).tolist() == [5]


def test_a_later_cell_corrects_an_unclear_one() -> None:
    for texts in (["1.234", "3,5"], ["1,234", "0,5"]):
        with pytest.raises(MustReadAgain):
            NumberColumn("v", may_change=True).convert(texts)
    assert NumberColumn("v", "comma").convert(["1.234", "3,5"]).tolist() == [1234, 3.5]


CELLS = ["", *"1 0 2.5 1.234 1,234 3,5 1.234,5 1,234.5 7% 1.2k 3MiB $5 - unavailable nan -nan".split()]


@FEW
@given(st.lists(st.sampled_from(CELLS), min_size=1, max_size=12), st.data())
def test_cells_are_read_alike_in_any_pieces(texts: list[str], data: st.DataObject) -> None:
    def read(sizes: list[int]) -> list[object]:
        column, out, rest = NumberColumn("v"), [], texts
        for size in (*sizes, len(texts)):
            if not rest:
                break
            try:
                out += column.convert(rest[:size]).tolist()
            except ValueError:  # as a tolerant parser does it: cell by cell
                for text in rest[:size]:
                    try:
                        out += column.convert([text]).tolist()
                    except ValueError:
                        out.append("refused")
            rest = rest[size:]
        return [
            *("missing" if isinstance(value, float) and math.isnan(value) else value for value in out),
            column.decimal,
            column.unit,
        ]

    assert read([]) == read(data.draw(st.lists(st.integers(1, 4))))
