"""What a piece leaves: rows of a table, a few for each of its parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Relation = Literal["", "at most", "at least"]


@dataclass(frozen=True)
class Row:
    """One figure, and whether it is where it should be."""

    what: str
    value: float | str
    unit: str = ""
    relation: Relation = ""
    """How the value should stand to `aim`."""
    aim: float = 0.0
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the aim is met; None where there is none."""
        if not self.relation or isinstance(self.value, str):
            return None
        return self.value <= self.aim if self.relation == "at most" else self.value >= self.aim

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Figure, value with its unit, aim, whether it is met, note."""
        value = self.value if isinstance(self.value, str) else f"{self.value:.4g}"
        aim = f"{self.relation} {self.aim:g}" if self.relation else ""
        met = {True: "yes", False: "no", None: ""}[self.holds]
        return self.what, f"{value} {self.unit}".strip(), aim, met, self.note

    def plain(self) -> dict[str, Any]:
        """As it is written down."""
        return asdict(self)


def row_of(plain: dict[str, Any]) -> Row:
    """The row that was written down."""
    return Row(**plain)
