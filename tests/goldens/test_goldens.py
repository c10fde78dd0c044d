"""Results do not move: seeded runs write what they wrote when their hashes were recorded, byte for byte."""

from __future__ import annotations

import json

import pytest

from goldens.runs import BENCHES, BENCHMARKS, HASHES, RUNS, hashes, machine

RECORDED = json.loads(HASHES.read_text(encoding="utf-8"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        RECORDED["machine"] != machine(), reason="the hashes were recorded with another processor or other libraries"
    ),
]


@pytest.mark.parametrize("name", RUNS)
def test_run(name: str) -> None:
    assert hashes(name) == RECORDED["runs"][name]


@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the folder shared/benchmarks is not beside the project")
@pytest.mark.parametrize("name", BENCHES)
def test_bench(name: str) -> None:
    assert hashes(name) == RECORDED["runs"][name]
