"""State: what is packed comes back, and what is damaged is refused by a ModelError and nothing else."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autoencoder.core.errors import ModelError
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
def test_round_trip(state: State) -> None:
    assert_same(unpack(pack(state), "x"), state)


def test_names_that_packing_uses() -> None:
    state: State = {"array": {"array": np.ones(2), "value": 3}, "value": {"value": "x"}, "state.json": 1}
    assert_same(unpack(pack(state), "x"), state)


SAMPLE: State = {"a": np.arange(50.0), "b": {"c": 3, "d": "text"}}


@pytest.mark.parametrize("bit", [0, 5, "cut"])
def test_damaged_bytes(bit: int | str) -> None:
    whole = pack(SAMPLE)
    for place in range(len(whole)):
        turned = bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :] if isinstance(bit, int) else b""
        try:
            found = unpack(whole[:place] + turned, "run/detector.npz")
        except ModelError as error:
            assert str(error).startswith("run/detector.npz")
            assert "again" in str(error)
        else:  # a bit that nobody reads, such as one of a file's date
            assert_same(found, SAMPLE)


@quick
@given(data=st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"x\.npz is damaged"):
        unpack(data, "x.npz")


def archive(text: str, **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{"state.json": np.frombuffer(text.encode(), np.uint8), **arrays})
    return buffer.getvalue()


@pytest.mark.parametrize("text", ["", "[]", "3", '{"a": 3}', '{"a": {"array": "gone"}}', '{"a": {"array": 3}}', "[" * 100_000])
def test_text_that_is_no_state(text: str) -> None:
    with pytest.raises(ModelError, match="is damaged"):
        unpack(archive(text), "x")


def test_nothing_is_unpickled() -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("an object was built",))

    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, a=np.array([Trap()], dtype=object), **{"state.json": np.frombuffer(b"{}", np.uint8)})
    with pytest.raises(ModelError, match="is damaged"):
        unpack(buffer.getvalue(), "x")


def test_archive_bomb() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file, file.open("a.npy", "w") as entry:
        for _ in range(4):
            entry.write(bytes(1 << 20))
    small = bytearray(buffer.getvalue())
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):  # the size that the archive itself claims
        place = small.index(mark) + offset
        small[place : place + 4] = (MAX_STATE_BYTES + 1).to_bytes(4, "little")
    with pytest.raises(ModelError, match="would unpack to"):
        unpack(bytes(small), "x")


def zipped(entries: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def npy(shape: str, kind: str, content: bytes = b"") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content


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
    text = npy("(13,)", "'|u1'", b'{"a": {"array": "a"}}')
    with pytest.raises(ModelError, match="is damaged"):
        unpack(zipped({"state.json.npy": text, "a.npy": entry}), "x")


def test_odd_archives() -> None:
    long = npy(f"({MAX_TEXT_BYTES + 1},)", "'|u1'", b" " * (MAX_TEXT_BYTES + 1))
    with pytest.raises(ModelError, match="of them text"):
        unpack(zipped({"state.json.npy": long}), "x")
    for how in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with pytest.raises(ModelError, match="is damaged"):
            unpack(zipped({"state.json.npy": npy("(2,)", "'|u1'", b"{}")}, how), "x")
    with pytest.raises(ModelError, match="is damaged"):
        unpack(zipped({f"{number:0200}": b"" for number in range(8000)}), "x")


def test_arrays_of_any_layout() -> None:
    for one in (np.arange(6.0).reshape(2, 3).T, np.array(3.5), np.empty((0, 3)), np.array([True, False])):
        back = unpack(pack({"a": one}), "x")["a"]
        assert isinstance(back, np.ndarray) and back.dtype == one.dtype
        np.testing.assert_array_equal(back, one)


def test_reader_names_field_and_owner() -> None:
    reader = Reader(
        {"count": 3, "share": 0.5, "name": "x", "on": True, "list": np.arange(3), "rows": np.ones((2, 3)), "in": {"a": 1}},
        "the pump",
    )
    assert (reader.integer("count", 0), reader.number("share"), reader.text("name"), reader.boolean("on")) == (3, 0.5, "x", True)
    assert reader.number("count") == 3.0
    assert reader.array("rows", (None, 3)).shape == (2, 3)
    assert reader.integers("list", (None,)).tolist() == [0, 1, 2]
    assert reader.state("in") == {"a": 1}
    for call in (
        lambda: reader.integer("gone", 0),
        lambda: reader.integer("count", 4),
        lambda: reader.integer("count", 0, 2),
        lambda: reader.integer("on", 0),
        lambda: reader.integer("share", 0),
        lambda: reader.number("name"),
        lambda: reader.number("on"),
        lambda: reader.text("count"),
        lambda: reader.boolean("count"),
        lambda: reader.array("list", (None,)),
        lambda: reader.array("rows", (None, 4)),
        lambda: reader.array("rows", (None,)),
        lambda: reader.array("share", ()),
        lambda: reader.integers("rows", (None, 3)),
        lambda: reader.integers("list", (4,)),
        lambda: reader.integers("list", (None,), 1),
        lambda: reader.number("share", 0.6, 1.0),
        lambda: reader.array("rows", (None, None), low=2.0),
        lambda: reader.state("count"),
    ):
        with pytest.raises(ModelError, match=r"the saved state of the pump cannot be used: \w+ "):
            call()


def test_what_is_read_is_a_copy() -> None:
    state: State = {"rows": np.ones(3)}
    Reader(state, "x").array("rows", (3,))[:] = 0
    np.testing.assert_array_equal(state["rows"], np.ones(3))


def test_infinite_and_missing_numbers() -> None:
    reader = Reader({"rows": np.array([1.0, np.nan, np.inf]), "share": float("nan")}, "x")
    assert len(reader.array("rows", (None,), finite=False)) == 3
    with pytest.raises(ModelError, match="not finite"):
        reader.array("rows", (None,))
    with pytest.raises(ModelError, match="finite number"):
        reader.number("share")


def test_text_is_plain_json() -> None:
    with np.load(io.BytesIO(pack(SAMPLE))) as file:
        assert json.loads(file["state.json"].tobytes())["b"]["c"] == {"value": 3}


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


def test_clone_is_reset_and_shares_arrays() -> None:
    one = Pump()
    clone = one.clone()
    assert (clone.seen, one.seen) == (0, 7)
    assert clone.weights is one.weights


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
    with pytest.raises(ModelError, match=f"the saved state of the pump cannot be used: {key} "):
        pump.load({**Pump().state(), key: value})
    assert_same(pump.state(), Pump().state())
