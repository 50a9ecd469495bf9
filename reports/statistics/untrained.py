"""Numbers beside an untrained network's of the same architecture: which are shown to be better."""

from __future__ import annotations

from dataclasses import dataclass

from reports.run_folder.grid import Grid
from reports.statistics.comparison import Comparison
from reports.statistics.difference import Difference, pretrainings


@dataclass(frozen=True)
class Beside:
    """One backbone's number on one task, beside those of its untrained twin."""

    row: str
    column: str
    control: str
    difference: Difference
    """Of the backbone to the mean of the initialisations."""
    value: float
    """The backbone's score."""
    initialisations: tuple[float, ...]
    """The score of each initialisation."""

    @property
    def better(self) -> bool:
        """Whether it is better than the mean by the interval, and than the luckiest initialisation.

        The interval is mostly over test images, which says nothing of how far initialisations lie apart; and
        of the usual three there is too little to take one from.
        """
        if self.difference.better == "lower":
            return self.beyond_the_mean and self.value < self.best
        return self.beyond_the_mean and self.value > self.best

    @property
    def beyond_the_mean(self) -> bool:
        """Whether the whole interval of the difference is on the better side."""
        interval = self.difference.interval
        return interval.high < 0 if self.difference.better == "lower" else interval.low > 0

    @property
    def best(self) -> float:
        """The score of the luckiest initialisation."""
        return (min if self.difference.better == "lower" else max)(self.initialisations)


def beside_untrained(comparison: Comparison, grid: Grid) -> list[Beside]:
    """Every number that has an untrained twin, in the comparison's order."""
    return [
        Beside(
            row,
            column,
            control,
            found,
            grid.at(row, column).mean,
            tuple(pretrainings(grid.at(control, column)).values()),
        )
        for (row, control, column), found in comparison.to_untrained.items()
        if isinstance(found, Difference)
    ]
