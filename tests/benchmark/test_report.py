"""Figures and their targets."""

from __future__ import annotations

import math

import pytest

from autoencoder.benchmark.report import Summary, at_least, at_most, targets_table


def test_unmeasured_is_unknown_and_not_zero() -> None:
    for unknown in (Summary.of([]), Summary.of([math.nan])):
        assert not unknown.is_known
        assert (str(unknown), unknown.extent()) == ("-", "")
        assert at_most("seconds", 1, unknown).kept is None


@pytest.mark.parametrize(("median", "least", "most"), [(0.9, False, True), (1.0, True, True), (1.1, True, False)])
def test_target_is_for_the_median(median: float, least: bool, most: bool) -> None:
    found = Summary(median, 0.0, 9.0)
    targets = [at_least("a", 1, found), at_most("b", 1, found)]
    assert [target.kept for target in targets] == [least, most]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in targets_table(targets).splitlines()[2:]]
    words = {True: "yes", False: "no"}
    assert rows == [
        ["a", ">= 1", str(found), "0 to 9", words[least]],
        ["b", "<= 1", str(found), "0 to 9", words[most]],
    ]
