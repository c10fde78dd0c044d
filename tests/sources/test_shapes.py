"""The table of docs/inputs.md, row by row: what files of the real world are read as, or refused for."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from autoencoder.cli import parse, read_config
from autoencoder.core.errors import InputError
from autoencoder.factory.sources import open_source
from autoencoder.sources.chunk import Chunk, Source

DOCUMENT = Path(__file__).parents[2] / "docs/inputs.md"
ENCODINGS = {"UTF-16": "utf-16", "Windows-1252": "cp1252", "byte order mark": "utf-8-sig"}


class Shape(NamedTuple):
    """A row of the table."""

    name: str
    text: str
    flags: list[str]
    rows: list[str]
    said: list[str]
    refused: str | None

    def data(self) -> bytes:
        encoding = next((encoding for sign, encoding in ENCODINGS.items() if sign in self.name), "utf-8")
        text = self.text.replace("\n", "\r\n") if "CR LF" in self.name else self.text
        return text.encode(encoding)


def code(cell: str) -> list[str]:
    """What stands between the back quotes of a cell; those with one inside have two around."""
    return re.findall(r"`([^`]*)`", cell)


def shape(line: str) -> Shape:
    name, text, flags, result = (cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1])
    said = [sentence for part in result.split("<br>") if part.startswith("said:") for sentence in code(part)]
    rows = [row for part in result.split("<br>") if part.startswith("`") for row in code(part)]
    refused = code(result)[0] if result.startswith("refused:") else None
    lines = "\n".join(code(text)).replace("→", "\t") + "\n"
    return Shape(name, lines, shlex.split(" ".join(code(flags))), rows, said, refused)


TABLE = DOCUMENT.read_text(encoding="utf-8").split("| shape | file | flags | read as |\n|---|---|---|---|\n")[1].split("\n\n")[0]
SHAPES = list(map(shape, TABLE.splitlines()))


def rows_of(source: Source) -> list[str]:
    """The rows of a source as the table has them: time, series where there are several, values."""
    chunk = Chunk.concatenate(list(source.chunks()))
    rows = []
    for row, values in enumerate(chunk.values):
        moment = chunk.time[row]
        is_date = isinstance(moment, np.datetime64)
        time = str(np.datetime_as_string(moment, unit="auto")) + ("Z" if source.timezone else "") if is_date else str(moment)
        named = [] if chunk.series is None else [source.series[chunk.series[row]]]
        rows.append(" ".join([time, *named, *("missing" if np.isnan(value) else f"{value:.16g}" for value in values)]))
    return rows


def test_the_table_has_many_shapes() -> None:
    assert len(SHAPES) == len({each.name for each in SHAPES}) >= 30
    assert all(bool(each.rows) != bool(each.refused) for each in SHAPES)


@pytest.mark.parametrize("expected", SHAPES, ids=[each.name for each in SHAPES])
def test_a_shape_is_read_or_refused(expected: Shape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_bytes(expected.data())
    warnings: list[str] = []
    config = read_config(parse(["x.csv", *expected.flags]))
    if expected.refused:
        with pytest.raises(InputError) as caught:
            open_source(config, warnings.append)
        assert str(caught.value).startswith(expected.refused)
        return
    assert rows_of(open_source(config, warnings.append)) == expected.rows
    assert len(warnings) == len(expected.said)
    assert all(said in warning for said, warning in zip(expected.said, warnings, strict=True))
