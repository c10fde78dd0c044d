"""First model: begins on rows that another detector has judged as it would without adaptation, as if they were its training part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autoencoder.adaptation.buffer import Block, Slots
from autoencoder.core.events import DROPPED, AdaptationEvent
from autoencoder.core.types import Array, Time
from autoencoder.detector import StreamDetector
from autoencoder.network.period import day_of

HOLDOUT_SHARE = 0.25  # newest share of the points that candidates are backtested on
SEASONS = (2, 3)  # a season is looked for when so many of them have been seen


def can_find_season(detector: StreamDetector, learnt: int, known: int) -> bool:
    """Whether a daily season can be found in so many ``known`` points that a detector had no room for in those it has ``learnt``."""
    day = day_of(detector.interval)
    return detector.scorer.window < day and any(learnt < needed(seasons * day) <= known for seasons in SEASONS)


def lacks_season(detector: StreamDetector, learnt: int, seen: int, room: int) -> str:
    """Why a daily season is not known, after so many points, of which there is ``room`` for some; empty where it could be found."""
    day = SEASONS[0] * day_of(detector.interval)
    if learnt >= day:
        return ""
    least = needed(day)
    known = f"{seen:,} seen so far" if seen < least else f"adaptation.buffer_points keeps {room:,}" if room < least else ""
    return known and f"a daily season needs {least:,} points; {known}"


def lacks_model(adaptations: Sequence[AdaptationEvent], points: int) -> str:
    """Why a baseline detects, where so many ``points`` train the first model."""
    dropped = [event.details["why"] for event in adaptations if event.event == DROPPED]
    why = f"the model that was tried last was no better: {dropped[-1]}" if dropped else "too few points have come"
    return f"a forecast detects until a model is trained on the first {points:,} points; {why}"


def needed(points: int) -> int:
    """Points of which so many can train and the rest be held out."""
    return math.ceil((points + 2) / (1.0 - HOLDOUT_SHARE)) if points else 0


def training_slots(detector: StreamDetector, rows: Block) -> Array:
    """Complete slots (M, F) of rows as an untrained detector would fill them."""
    slots = detector.slots.fit(rows.time, rows.values) if detector.slots else rows.values
    return np.asarray(slots[~np.isnan(slots).any(axis=1)])


def training_part(detector: StreamDetector, time: Time, values: Array) -> Block:
    """The complete slots of the training part (N,), (N, F) of a detector."""
    slots = Slots.of(detector.slots.clone().process(time, values) if detector.slots else (values, None), time, values)
    block = Block.unjudged(slots, np.full(len(slots.values), np.nan))
    block = block[block.is_complete]
    return replace(block, errors=newest(detector.calibration_errors, len(block)))


def begin(detector: StreamDetector, calibration: Array, rows: Block, since: Block) -> Block:
    """Let a detector whose scorer has learnt rows, with errors (M,), go on with those that came since -> the slots of both."""
    detector.learn(rows.time, rows.values, calibration)
    parts = [training_part(detector, rows.time, rows.values)]
    if len(since):
        slots = Slots.of(detector.fill(since.time, since.values), since.time, since.values)
        parts.append(Block.of(detector.detect(slots.time, slots.values, slots.is_row), slots.is_row))
    whole = Block.concatenate(parts)
    return whole[whole.is_complete]


def newest(errors: Array, count: int) -> Array:
    """The newest ``count`` (N,) of errors (M,), NaN before them where these are fewer."""
    known = errors[max(0, len(errors) - count) :]
    return np.concatenate([np.full(count - len(known), np.nan), known])
