"""Severity: how bad an incident is, as one number that means the same on any series, and as a word."""

from __future__ import annotations

import math

DECADES = 10.0  # of rarity at a score of 1
LENGTH_WEIGHT = 3.0  # decades of rarity that ten times as many flagged points count for
HALVING = 5.0  # decades that halve what a severity lacks to 1
LEVELS = {"critical": 0.875, "high": 0.75, "medium": 0.5, "low": 0.0}  # the severity with which each begins: 15, 10, 5, 0 decades


def severity_of(score: float, n_points: int) -> float:
    """Severity in [0, 1) of a peak with this score in [0, 1] and so many flagged points: it grows with both.

    The score says in decades how rare the peak is (0.3 is one normal point in 1,000: three decades), and ten times as many flagged points
    count for three decades more. Every five decades halve what the severity lacks to 1.

    >>> severity_of(0.3, 1), severity_of(1.0, 1), severity_of(1.0, 100)
    (0.340246, 0.75, 0.891181)
    """
    decades = DECADES * score + LENGTH_WEIGHT * math.log10(n_points)
    return round(1.0 - math.exp2(-decades / HALVING), 6)


def level_of(severity: float) -> str:
    """The word for a severity.

    >>> level_of(severity_of(0.3, 1)), level_of(severity_of(0.5, 10)), level_of(severity_of(1.0, 1)), level_of(severity_of(1.0, 50))
    ('low', 'medium', 'high', 'critical')
    """
    return next((word for word, least in LEVELS.items() if severity >= least), "low")
