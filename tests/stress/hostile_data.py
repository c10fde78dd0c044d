"""Hostile data: files that unpack to gigabytes, endless lines, formulas and commands for names."""

from __future__ import annotations

import gzip
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stress.hostile_runs import Prepare, Trap


def _gzip_bomb(path: Path, canary: Path) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        file.write(deflate.compress(b"value\n"))
        for _ in range(600):
            file.write(deflate.compress(b"1\n" * (1 << 19)))
        file.write(deflate.flush())


def _parquet_bomb(path: Path, canary: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1 << 27, np.int8)), pa.array([1.5]))
    pq.write_table(pa.table({"value": values}), path, compression="zstd")


def _file(content: Callable[[], bytes]) -> Prepare:
    return lambda path, canary: path.write_bytes(content()) and None


def _hostile_names() -> bytes:
    head = ",".join(f'"{name}"' for name in _NAMES)
    return head.encode() + b"\n" + b"".join(b"%d,%d,%d\n" % (row, row % 7, row % 5) for row in range(500))


_NAMES = ("x;=HYPERLINK(1)\t=cmd|calc", "@sum", "%s%n{0}$(touch canary)`touch canary`")
DATA_OPTIONS = {"formulas and commands for names": [part for name in _NAMES for part in ("--column", name)]}
DATA: dict[str, Prepare] = {
    "a gigabyte of parquet": _parquet_bomb,
    "600 megabytes of gzip": _gzip_bomb,
    "one line of 300 MB": _file(lambda: b"value\n" + b"1" * 300_000_000),
    "100,000 columns": _file(lambda: (",".join(f"c{i}" for i in range(100_000)) + "\n").encode()),
    "formulas and commands for names": _file(_hostile_names),
    "formulas for labels": _file(
        lambda: b"time,value,label\n" + b"".join(b"%d,%d,=1+1\n" % (row, row % 7) for row in range(500))
    ),
    "numbers of 100,000 digits": _file(lambda: b"value\n" + b"9" * 100_000 + b"\n" + b"1e" + b"9" * 100_000 + b"\n"),
    "a csv that is a pickle": lambda path, canary: path.write_bytes(pickle.dumps(Trap(canary))) and None,
    "a gzip cut short": _file(lambda: gzip.compress(b"value\n" + b"1\n" * 100_000)[:-40]),
    "nested JSON lines": _file(lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n"),
}
