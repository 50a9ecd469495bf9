"""Two rows of a run whose difference answers a question of its design. Free of torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints, model_validator

from hsa_bench.core.input.label import checked
from hsa_bench.core.results.record import Record

Row = Annotated[str, AfterValidator(checked)]


class DesignedPair(Record):
    """Stated before the run: `row` less `less`, which start from the same states, seed by seed."""

    label: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    """What their difference is put down to, e.g. "because of neighbours"."""
    row: Row
    less: Row
    question: str = ""

    @model_validator(mode="after")
    def _two(self) -> DesignedPair:
        if self.row == self.less:
            raise ValueError(f"{self.row} less itself answers nothing; name another row")
        return self
