"""Section: what every group of settings is, and the kinds of values that many have."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
NotNegative = Annotated[float, Field(ge=0, le=1e12)]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
# yaml reads 2020-01-31 as a date
Day = Annotated[str | None, BeforeValidator(lambda value: value.isoformat() if isinstance(value, date) else value)]


_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


class Section(BaseModel):
    """A group of settings: no unknown keys, no changes, no infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Python takes true for 1; a person who writes it means something else."""
        kind = cls.model_fields[info.field_name or ""].annotation
        kinds = {getattr(part, "__origin__", part) for part in (kind, *get_args(kind))}
        if isinstance(value, bool) and kinds & {int, float}:
            raise PydanticCustomError("switch", "a number")
        return value

    @field_validator("*")
    @classmethod
    def _secrets_stay_out(cls, value: object, info: ValidationInfo) -> object:
        """A secret that is put in the place of its variable's name is kept out of the message and of the run folder."""
        if (info.field_name or "").endswith("_env") and value is not None and not _VARIABLE.fullmatch(str(value)):
            raise PydanticCustomError("variable", "the name of an environment variable")
        return value
