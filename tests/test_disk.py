"""Files that are put in place whole, rows that grow, folders that belong to one run, and what may be in files from strangers."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torture.fuzz import sound_network

from autoencoder.core.errors import ModelError
from autoencoder.core.state import LARGEST_TEXT, pack, unpack
from autoencoder.fingerprint import Fingerprint
from autoencoder.network.onnx_file import fault_of
from autoencoder.network.runtime import Runtime

quick = settings(deadline=None, max_examples=40, derandomize=True)


# --- states ---


def archive(entries: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def npy(shape: str, kind: str, content: bytes = b"") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content


@pytest.mark.parametrize(
    "array",
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
def test_arrays_that_are_not_what_they_say_are_refused(array: bytes) -> None:
    text = npy("(13,)", "'|u1'", b'{"a": {"array": "a"}}')
    with pytest.raises(ModelError, match="is damaged"):
        unpack(archive({"state.json.npy": text, "a.npy": array}), "x")


def test_a_long_text_an_odd_compression_and_a_long_table_of_contents_are_refused() -> None:
    long = npy(f"({LARGEST_TEXT + 1},)", "'|u1'", b" " * (LARGEST_TEXT + 1))
    with pytest.raises(ModelError, match="of them text"):
        unpack(archive({"state.json.npy": long}), "x")
    for how in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with pytest.raises(ModelError, match="is damaged"):
            unpack(archive({"state.json.npy": npy("(2,)", "'|u1'", b"{}")}, how), "x")
    with pytest.raises(ModelError, match="is damaged"):
        unpack(archive({f"{number:0200}": b"" for number in range(8000)}), "x")


def test_arrays_of_any_layout_come_back() -> None:
    for array in (np.arange(6.0).reshape(2, 3).T, np.array(3.5), np.empty((0, 3)), np.array([True, False])):
        back = unpack(pack({"a": array}), "x")["a"]
        assert isinstance(back, np.ndarray) and back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


# --- networks ---


def field(number: int, content: bytes) -> bytes:
    """A field of bytes in protobuf's wire format."""
    size, length = b"", len(content)
    while True:
        size += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return bytes([number << 3 | 2]) + size + content


def test_a_network_of_known_operators_is_let_through() -> None:
    network = sound_network()
    assert fault_of(network) is None
    assert Runtime(network).reconstruct(np.ones((2, 4, 1), np.float32)).tolist() == [[[0.5]] * 4] * 2


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        (field(7, field(1, field(4, b"Loop"))), "the operator 'Loop'"),
        (field(7, field(1, field(7, b"com.example"))), "the operator 'com.example'"),
        (field(7, field(1, field(5, field(6, b"")))), "a graph within a node"),
        (field(7, field(1, field(5, b"\xb2\x01\x00"))), "sparse tensors"),
        (field(7, field(15, b"")), "sparse tensors"),
        (field(7, field(5, field(13, b""))), "points to another file"),
        (field(7, field(5, b"\x70\x01")), "points to another file"),
        (field(7, field(1, field(5, field(5, field(13, b""))))), "points to another file"),
        (field(7, field(5, b"\x08\x80\x80\x80\x80\x10" + field(9, b"1234"))), "a tensor of shape"),
        (b"\xca\x01\x00", "functions of its own"),
        (field(7, b"\x0a\x00" * 200_000), "far larger"),
        (field(2, b"x" * (1 << 20)), "more nodes and names"),
        (b"\x3a\xff", "damaged"),
    ],
)
def test_whatever_no_network_of_this_program_holds_is_refused(extra: bytes, fault: str) -> None:
    found = fault_of(sound_network() + extra)
    assert found and fault in found
    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded"):
        Runtime(sound_network() + extra)


@quick
@given(data=st.binary(max_size=300))
def test_no_bytes_make_the_inspection_fail(data: bytes) -> None:
    fault_of(data)
    fault_of(sound_network() + data)


# --- rows that come again ---


@quick
@given(rows=st.integers(1, 60), cuts=st.lists(st.integers(0, 60), max_size=8), place=st.integers(0, 59), moved=st.booleans())
def test_a_fingerprint_does_not_feel_cuts_and_sees_every_change(rows: int, cuts: list[int], place: int, moved: bool) -> None:
    time, values = np.arange(rows), np.random.default_rng(1).normal(size=(rows, 2))
    whole, cut, other = Fingerprint(), Fingerprint(), Fingerprint()
    whole.take(time, values)
    for piece in np.split(np.arange(rows), sorted(cuts)):
        cut.take(time[piece], values[piece])
    assert cut.difference(whole) is None
    changed_time, changed = time.copy(), values.copy()
    if moved:
        changed_time[place % rows] += 1
    else:
        changed[place % rows] += 1e-9
    other.take(changed_time, changed)
    assert other.difference(whole) == ("time" if moved else "value")
    reloaded = Fingerprint()
    reloaded.load(whole.state(), rows)
    assert reloaded.difference(whole) is None


def test_a_first_row_that_is_another_is_told_before_the_others_come() -> None:
    before, again = Fingerprint(), Fingerprint()
    before.take(np.arange(9), np.ones((9, 1)))
    again.take(np.arange(1), np.zeros((1, 1)))
    assert again.difference(before) == "time or value"
