"""Adaptation events: what was done about the model, and when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from autoencoder.core.errors import ModelFileError

EVENTS = ("drift declared", "shadow started", "promoted", "dropped", "confirmed", "rolled back")
DECLARED, STARTED, PROMOTED, DROPPED, CONFIRMED, ROLLED_BACK = EVENTS
DRIFT = "drift"  # the reason, among a promotion's details, of a model that is trained because the stream has changed


@dataclass(frozen=True, slots=True)
class AdaptationEvent:
    """Something that was done about the model."""

    row: int  # of the last point before it, from 0
    time: int  # of that point, as a whole number
    dated: bool  # the time counts nanoseconds since 1970
    event: str  # what was done, one of ``EVENTS``
    details: dict[str, Any]  # reasons and figures
    series: str | None = None  # name of the series whose model it is; None where a run has only one

    @property
    def adopts_change(self) -> bool:
        """Whether a model judges from here on that has learnt how the stream changed."""
        return self.event == PROMOTED and self.details.get("reason") == DRIFT


def write_adaptations(adaptations: Sequence[AdaptationEvent]) -> str:
    """Adaptations as one text, for a checkpoint."""
    return json.dumps([asdict(each) for each in adaptations])


def read_adaptations(text: str) -> list[AdaptationEvent]:
    """Adaptations that ``write_adaptations`` gave. Raises ModelFileError: damaged."""
    try:
        return [AdaptationEvent(**each) for each in json.loads(text)]
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelFileError(f"the saved adaptations are damaged ({type(error).__name__}); run anew without --resume") from None
