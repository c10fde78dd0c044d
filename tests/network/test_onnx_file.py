"""What a model.onnx may hold."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stress.fuzz import sound_network

from autoencoder.core.errors import ModelFileError
from autoencoder.network.onnx_file import validate
from autoencoder.network.runtime import Runtime


def field(number: int, content: bytes) -> bytes:
    """A field of bytes in protobuf's wire format."""
    size, length = b"", len(content)
    while True:
        size += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return bytes([number << 3 | 2]) + size + content


def test_known_operators_pass() -> None:
    network = sound_network()
    validate(network)
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
def test_anything_else_is_refused(extra: bytes, fault: str) -> None:
    with pytest.raises(ModelFileError, match=rf"model\.onnx cannot be loaded \(it .*{fault}"):
        Runtime(sound_network() + extra)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(data=st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    for onnx in (data, sound_network() + data):
        with suppress(ModelFileError):
            validate(onnx)
