"""How good the neighbours were that a pretraining pulled together: their purity beside bare pixels'."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hsa_bench.core.results.record import Record

Percent = Annotated[float, Field(ge=0, le=100)]


class Mined(Record):
    """Purity of mined neighbours: the share of the picture's own class, which training does not know."""

    counted_from: int = Field(ge=0, lt=2**63)
    """Epoch, from 1, in which neighbours first had weight; 0: in none."""
    counted: Percent
    """Purity of the neighbours that were in force in that epoch, or in the last one where none had weight."""
    last: Percent
    """Purity of the neighbours in force in the last epoch."""
    pixels: Percent
    """Purity of the neighbours that bare pixels have, mined once in the same way."""
