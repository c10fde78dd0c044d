"""Checks that scorers share: of their settings, of the training part and of a saved state."""

from __future__ import annotations

from collections.abc import Mapping

from autoencoder.core.errors import ConfigError, ModelError, TrainingError
from autoencoder.core.state import Reader
from autoencoder.scorers.base import Array


def require(kind: str, name: str, value: int, least: int, example: int) -> None:
    """Refuse a setting below ``least``.

    Raises:
        ConfigError: it is.
    """
    if value < least:
        raise ConfigError(f"{kind}.{name} is {value}; it must be at least {least}, e.g. {example}")


def check_training(kind: str, valid: Array, count: int, needed: int) -> None:
    """Refuse a training part that cannot be learnt.

    Args:
        kind: name of the detector.
        valid: (V, F) the complete rows.
        count: rows in all, the incomplete ones included.
        needed: complete rows that the detector needs.

    Raises:
        TrainingError: too few complete rows, or all of them equal.
    """
    if len(valid) < needed:
        raise TrainingError(
            f"the training part has {len(valid)} complete points of {count}; {kind} needs {needed}: "
            "train on more points or take a smaller window"
        )
    if (valid == valid[0]).all():
        constant = ", ".join(f"{value:g}" for value in valid[0])
        raise TrainingError(
            f"the training part is constant: all of its {len(valid)} complete points are {constant}; "
            "nothing can be learnt from it: train on a part in which the series moves"
        )


def check_width(kind: str, values: Array, trained: int | None) -> None:
    """Refuse a stream (N, F) that the model, trained on ``trained`` columns (None: not at all), cannot judge.

    Raises:
        ModelError: there is no model, or F differs.
    """
    if trained is None:
        raise ModelError(f"{kind}: there is no model yet; train one or load one first")
    if values.shape[1] != trained:
        raise ModelError(f"{kind}: the points have {values.shape[1]} columns, the model was trained on {trained}; train anew")


def check_saved(kind: str, saved: Reader, settings: Mapping[str, int]) -> None:
    """Refuse a saved state of another kind of detector, or one made with other settings.

    Raises:
        ModelError: it is.
    """
    if saved.text("kind") != kind:
        raise ModelError(f"the saved model is of kind {saved.text('kind')!r:.40}; this run asks for {kind}")
    made_with = Reader(saved.state("settings"), kind)
    for name, wanted in settings.items():
        if made_with.integer(name, 0) != wanted:
            raise ModelError(
                f"the saved model was made with {kind}.{name} {made_with.integer(name, 0)}, this run asks for {wanted}; "
                "use the saved setting or train anew"
            )
