"""Quarantine: which of the recent points no model may learn from."""

from __future__ import annotations

import numpy as np

from autoencoder.adaptation.recent import Bools, Recent
from autoencoder.adaptation.season import unusual_rows


def normal_rows(recent: Recent, count: int, span: int, judged: int | None) -> Bools:
    """Which of the newest points (K,) are out of quarantine.

    Where a model still fits, what it flags is kept in, and half a window around that; a model that does not flags everything, and only what
    is unusual among the points themselves is.

    Args:
        recent: the points.
        count: how many of them (K).
        span: points of a window.
        judged: newest points that were judged by a model trained since the stream has changed; None where it has not.
    """
    flags = recent.flags[-count:].copy()
    if judged is None:
        return ~(np.convolve(flags, np.ones(span + 1), mode="same") > 0.5)[:count]
    flags[: max(0, count - judged)] = False
    normal: Bools = ~(unusual_rows(recent.values[-count:]) | flags)
    return normal
