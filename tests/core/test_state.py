"""State: what is packed comes back, and what is damaged is refused by a ModelFileError and nothing else."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autoencoder.core.errors import ModelFileError
from autoencoder.core.state import (
    MAX_STATE_BYTES,
    MAX_TEXT_BYTES,
    POSITIVE,
    Reader,
    Resettable,
    State,
    array,
    integer,
    integers,
    number,
    number_or_nan,
    pack,
    unpack,
)

quick = settings(deadline=None, max_examples=50, derandomize=True)

names = st.from_regex(r"[a-z][a-z_0-9]{0,7}", fullmatch=True)  # the program's own: fields, no text of a user's
arrays = st.one_of(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    hnp.arrays(np.int64, st.integers(0, 5)),
    hnp.arrays(np.bool_, st.integers(0, 5)),
)
leaves = st.one_of(
    arrays, st.integers(-(2**62), 2**62), st.floats(allow_nan=False), st.text(max_size=12), st.booleans(), st.none()
)
states = st.recursive(
    st.dictionaries(names, leaves, max_size=4),
    lambda inner: st.dictionaries(names, st.one_of(leaves, inner), max_size=4),
    max_leaves=8,
)


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


@quick
@given(state=states)
@example(state={"array": {"array": np.ones(2), "value": 3}, "value": {"value": "x"}, "state.json": 1})
@example(state={"a": np.arange(6.0).reshape(2, 3).T, "b": np.array(3.5), "c": np.empty((0, 3))})
def test_round_trip(state: State) -> None:
    assert_same(unpack(pack(state), "x"), state)


SAMPLE: State = {"a": np.arange(50.0), "b": {"c": 3, "d": "text"}}


@pytest.mark.parametrize("bit", [0, 5, "cut"])
def test_damaged_bytes(bit: int | str) -> None:
    whole = pack(SAMPLE)
    for place in range(len(whole)):
        turned = bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :] if isinstance(bit, int) else b""
        try:
            found = unpack(whole[:place] + turned, "run/detector.npz")
        except ModelFileError as error:
            assert str(error).startswith("run/detector.npz")
            assert "again" in str(error)
        else:  # a bit that nobody reads, such as one of a file's date
            assert_same(found, SAMPLE)


@quick
@given(data=st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(ModelFileError, match=r"x\.npz is damaged"):
        unpack(data, "x.npz")


def npy(shape: str, kind: str, content: bytes = b"") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content


def archive(text: str, how: int = zipfile.ZIP_DEFLATED, **entries: bytes) -> bytes:
    """An archive with this text for its tree, and arrays as they would lie in files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as file:
        for name, content in {"state.json": npy(f"({len(text)},)", "'|u1'", text.encode()), **entries}.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


@pytest.mark.parametrize("text", ["", "[]", "3", '{"a": 3}', '{"a": {"array": "gone"}}', '{"a": {"array": 3}}', "[" * 100_000])
def test_text_that_is_no_state(text: str) -> None:
    with pytest.raises(ModelFileError, match="is damaged"):
        unpack(archive(text), "x")


@pytest.mark.parametrize(
    "entry",
    [
        npy("(1000000000000,)", "'<f8'"),  # eight terabytes, and nothing of it there
        npy("(3,)", "'<f8'", bytes(16)),
        npy("(1,)", "'|O'", bytes(8)),
        npy("(1,)", "'<U4'", bytes(16)),
        npy("(1,)", "[('a', '<f8')]", bytes(8)),
        npy("(-1,)", "'<f8'", bytes(8)),
        npy("(1,)", "__import__('os').system('true')", bytes(8)),
        b"\x93NUMPY",
        b"",
    ],
)
def test_arrays_that_are_not_what_they_say(entry: bytes) -> None:
    with pytest.raises(ModelFileError, match="is damaged"):
        unpack(archive('{"a": {"array": "a"}}', a=entry), "x")


def test_archives_that_would_take_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = bytearray(archive("{}", a=bytes(1 << 22)))
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):  # the size that the archive itself claims
        place = bomb.rindex(mark) + offset
        bomb[place : place + 4] = (MAX_STATE_BYTES + 1).to_bytes(4, "little")
    for data, match in (
        (bytes(bomb), "would unpack to"),
        (archive(" " * (MAX_TEXT_BYTES + 1)), "of them text"),
        (archive("{}", zipfile.ZIP_LZMA), "is damaged"),
        (archive("{}", zipfile.ZIP_BZIP2), "is damaged"),
        (archive("{}", **{f"{entry:0200}": b"" for entry in range(8000)}), "is damaged"),
    ):
        with pytest.raises(ModelFileError, match=match):
            unpack(data, "x")
    monkeypatch.setattr("autoencoder.core.state.MAX_STATE_BYTES", 1000)
    state: State = {"a": np.arange(1000.0)}
    np.testing.assert_array_equal(unpack(pack(state), "x")["a"], state["a"])  # a large one is read as far as its file goes
    packed = io.BytesIO()
    np.savez_compressed(packed, a=np.zeros(1000))
    with pytest.raises(ModelFileError, match="would unpack to"):
        unpack(packed.getvalue(), "x")


RECORD: State = {
    "count": 3, "share": 0.5, "name": "x", "on": True, "nan": math.nan,
    "list": np.arange(3), "rows": np.ones((2, 3)), "odd": np.array([1.0, np.nan, np.inf]), "in": {"a": 1},
}  # fmt: skip


def test_reader_reads() -> None:
    reader = Reader(RECORD, "the pump")
    assert (reader.integer("count", 0), reader.number("share"), reader.text("name"), reader.boolean("on")) == (3, 0.5, "x", True)
    assert reader.number("count") == 3.0
    rows = reader.array("rows", (None, 3))
    assert rows.shape == (2, 3)
    rows[:] = 0  # a copy
    assert reader.array("rows", (2, 3)).all()
    assert reader.integers("list", (None,)).tolist() == [0, 1, 2]
    assert reader.state("in") == {"a": 1}
    assert len(reader.array("odd", (None,), finite=False)) == 3


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        *[("integer", arguments) for arguments in (("gone", 0), ("count", 4), ("count", 0, 2), ("on", 0), ("share", 0))],
        *[("number", arguments) for arguments in (("name",), ("on",), ("share", 0.6, 1.0), ("nan",))],
        *[("text", ("count",)), ("boolean", ("count",)), ("state", ("count",))],
        *[
            ("array", arguments)
            for arguments in (("list", (None,)), ("rows", (None, 4)), ("rows", (None,)), ("share", ()), ("odd", (3,)))
        ],
        *[("integers", arguments) for arguments in (("rows", (None, 3)), ("list", (4,)), ("list", (None,), 1))],
    ],
)
def test_reader_names_field_and_owner(method: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ModelFileError, match=rf"the saved state of the pump cannot be used: {arguments[0]} "):
        getattr(Reader(RECORD, "the pump"), method)(*arguments)


class Pump(Resettable):
    name = "the pump"
    STATE: ClassVar = {
        "weights": array("weights", ("N", "F"), low=0.0),
        "counts": integers("counts", ("N",), low=0),
        "seen": integer("seen"),
        "share": number("share", POSITIVE, 1.0),
        "limit": number_or_nan("limit"),
    }

    def __init__(self, rows: int = 3) -> None:
        self.weights, self.counts = np.ones((rows, 2)), np.arange(rows)
        self.seen, self.share, self.limit = 7, 0.5, float("nan")

    def reset(self) -> None:
        self.seen = 0


def test_declared_state_round_trip() -> None:
    one, other = Pump(4), Pump()
    saved = one.state()
    other.load(unpack(pack(saved), "x"))
    assert_same(other.state(), saved)
    one.weights[0, 0] = 9
    assert np.asarray(saved["weights"]).max() == 1
    clone = one.clone()  # is reset, and shares arrays
    assert (clone.seen, one.seen, clone.weights is one.weights) == (0, 7, True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weights", -np.ones((3, 2))),
        ("counts", np.arange(4)),  # as many as there are weights
        ("counts", -np.arange(3)),
        ("seen", -1),
        ("share", 0.0),
        ("limit", "x"),
    ],
)
def test_declared_state_that_does_not_fit(key: str, value: Any) -> None:
    pump = Pump()
    with pytest.raises(ModelFileError, match=f"the saved state of the pump cannot be used: {key} "):
        pump.load({**Pump().state(), key: value})
    assert_same(pump.state(), Pump().state())


def test_a_panel_of_thousands_has_a_long_text_and_a_long_table_of_contents() -> None:
    packed: State = {str(place): np.zeros(64) for place in range(17_000)}
    state: State = {"series": "x" * (MAX_TEXT_BYTES + 1), "packed": packed}
    found = unpack(pack(state), "x")
    assert found["series"] == state["series"]
    assert len(found["packed"]) == 17_000  # type: ignore[arg-type]
