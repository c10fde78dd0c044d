"""A source that fails: one line that says what to do, exit code 1, and the rows so far stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.cli import FOREST, GAUSSIAN, Program, assert_refused, finish, metrics, rows, start, wave, write_csv
from helpers.yahoo_server import Mode, YahooServer

RUN = ("--out", "o", *FOREST)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["yfinance.ticker", "--ticker AAPL"]),
        (["--ticker", "a b/c"], ["a b/c"]),
        (["--ticker", "AAPL", "--interval", "7y"], ["7y", "1d"]),
        (["--ticker", "AAPL", "--column", "Closed"], ["Closed", "Close"]),
    ],
)
def test_a_wrong_ticker_needs_no_network(program: Program, arguments: list[str], words: list[str]) -> None:
    assert_refused(program("--source", "yfinance", *arguments, *RUN), words)


@pytest.mark.parametrize(
    ("ticker", "mode", "words"),
    [
        ("NOSUCH", "normal", ["NOSUCH", "no such ticker", "look it up"]),
        ("AAPL", "rate_limit", ["AAPL", "429", "wait"]),
        ("AAPL", "no_tunnel", ["AAPL", "no network", "--source csv"]),
    ],
)
def test_a_failing_yahoo_exits_1(tmp_path: Path, ticker: str, mode: Mode, words: list[str]) -> None:
    with YahooServer(mode=mode) as server:
        arguments = ("--source", "yfinance", "--ticker", ticker, "--set", "yfinance.cache=cache", "--out", "o", *GAUSSIAN)
        outcome = finish(start(*arguments, folder=tmp_path, env={**os.environ, **server.environment()}))
    assert outcome.code == 1
    assert all(word in outcome.error for word in words), outcome.error
    assert not (tmp_path / "o").exists()


def test_a_source_that_fails_later_keeps_rows(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from autoencoder.core.errors import SourceError
    from autoencoder.sources.files import FileSource

    write_csv(Path("x.csv"), wave(400), header="value")
    whole = FileSource.chunks

    def chunks(self: FileSource, start: int = 0) -> object:
        yield from whole(self, start)
        raise SourceError("the disk is gone; put it back")

    monkeypatch.setattr(FileSource, "chunks", chunks)
    outcome = program("--source", "csv", "--path", "x.csv", *RUN)
    assert (outcome.code, outcome.error) == (1, "the disk is gone; put it back")
    assert len(rows(Path("o"))) == 400
    assert metrics(Path("o"))["status"] == "failed: the disk is gone; put it back"
    monkeypatch.setattr(FileSource, "chunks", whole)
    assert program("--out", "o", "--resume").code == 0
    assert metrics(Path("o"))["status"] == "done"
