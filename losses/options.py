"""What the options of every loss have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LossOptions(BaseModel):
    """Options of one term of a training objective."""

    model_config = ConfigDict(
        allow_inf_nan=False, extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )

    weight: float = Field(default=1.0, ge=0)
    """Factor of this term in the sum."""
