"""What the options of every loss have in common."""

from __future__ import annotations

from pydantic import Field

from utils.section import Section


class LossOptions(Section):
    """Options of one term of a training objective."""

    weight: float = Field(default=1.0, ge=0)
    """Factor of this term in the sum."""
