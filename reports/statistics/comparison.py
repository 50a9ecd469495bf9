"""Every score with its noise, and its difference to each baseline, with one p-value at most."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from pydantic import TypeAdapter

from reports.run_folder.frame import Collected
from reports.run_folder.grid import Cell, Grid
from reports.statistics.adjust import adjusted
from reports.statistics.bootstrap import Impossible, Measured, Resampled, measure, resample
from reports.statistics.cache import Cache, digest, origin
from reports.statistics.difference import Difference, Significance, difference
from reports.statistics.significance import Interval

Place = tuple[str, str]
"""Row and column of the grid."""

Pair = tuple[str, str, str]
"""Row, the row it is compared with, and column."""


@dataclass(frozen=True)
class Score:
    """A cell's score and its noise over test images."""

    interval: Interval
    """95 %, over resampled test images."""
    images: int
    """Test images."""


@dataclass(frozen=True)
class Comparison:
    """Every score with its uncertainty, and its differences."""

    baselines: tuple[str, ...]
    """Rows that the others are compared with."""
    scores: Mapping[Place, Score | Impossible]
    """Of every cell with a number."""
    differences: Mapping[Pair, Difference | Impossible]
    """Of every cell with a number to each baseline that has one; of two baselines once."""
    to_untrained: Mapping[Pair, Difference | Impossible]
    """Of every backbone to the untrained control of its architecture; a check, not among the tests."""

    @property
    def tests(self) -> int:
        """How many p-values Holm's adjustment is over."""
        differences = [one for one in self.differences.values() if isinstance(one, Difference)]
        return sum(isinstance(one.test, Significance) for one in differences)

    def ahead_of_all(self, place: Place) -> bool:
        """Whether a cell is ahead of every baseline that has a number in its column."""
        row, column = place
        others = [base for base in self.baselines if base != row and (base, column) in self.scores]
        found = [self.at(row, base, column) for base in others]
        return bool(found) and all(isinstance(f, Difference) and f.verdict == "ahead" for f in found)

    def at(self, row: str, other: str, column: str) -> Difference | Impossible | None:
        """A row less another; None where they are not compared."""
        mirrored = self.differences.get((other, row, column))
        if mirrored is not None:
            return mirrored if isinstance(mirrored, Impossible) else mirrored.mirrored()
        return self.differences.get((row, other, column))


def compare(
    collected: Collected,
    grid: Grid,
    baselines: Sequence[str],
    controls: Collection[str] = (),
    cache: Cache | None = None,
) -> Comparison:
    """Set every cell with a number against each baseline's.

    Args:
        collected: Where the per-example outcomes stand.
        grid: The cells.
        baselines: Labels of the baselines, each of whose rows is one. There are no differences of runs
            limited to a part of the images.
        controls: Labels that are no contestants: their differences are not tested.
        cache: Numbers computed before.
    """
    rows = tuple(row for label in baselines for row in grid.rows_of(label))
    known = cache or Cache.of(collected.out)
    pairs = _pairs(grid, rows)
    untrained = _to_untrained(grid)
    work = _Work(collected, grid, known)
    work.prepare([(r, c) for r, c in grid.cells if grid.cells[r, c].runs], [*pairs, *untrained])
    found = {pair: work.difference(pair) for pair in pairs}
    free = {p for p in pairs if {grid.row_labels[p[0]], grid.row_labels[p[1]]} & set(controls)}
    found = {p: _not_tested(one) if p in free else one for p, one in found.items()}
    return Comparison(
        baselines=rows,
        scores={place: work.score(place) for place, cell in grid.cells.items() if cell.runs},
        differences=dict(zip(found, adjusted(list(found.values())), strict=True)),
        to_untrained={pair: work.difference(pair) for pair in untrained},
    )


@dataclass
class _Work:
    """Looks numbers up, and computes together those that are not known."""

    collected: Collected
    grid: Grid
    cache: Cache
    resampled: Mapping[Place, Resampled | Impossible] = field(default_factory=dict)
    names: dict[Place, str] = field(default_factory=dict)

    def prepare(self, places: Sequence[Place], pairs: Sequence[Pair]) -> None:
        """Resample every cell that takes part in something unknown, all with the same draws."""
        needed = dict.fromkeys(place for place in places if not self.cache.knows(self._name(place), SCORE))
        for row, other, column in pairs:
            if not self.cache.knows(self._name((row, column), (other, column)), DIFFERENCE):
                needed |= dict.fromkeys([(row, column), (other, column)])
        measured = {
            place: measure(cell.runs, self.collected.folder(cell.runs[0]))
            for place in needed
            if (cell := self.grid.cells[place]).runs
        }
        drawn = resample({p: one for p, one in measured.items() if isinstance(one, Measured)})
        self.resampled = {p: one if isinstance(one, Impossible) else drawn[p] for p, one in measured.items()}

    def score(self, place: Place) -> Score | Impossible:
        def compute() -> Any:
            drawn = self.resampled[place]
            if isinstance(drawn, Impossible):
                return SCORE.dump_python(drawn)
            return SCORE.dump_python(Score(drawn.interval, len(drawn.example)))

        return SCORE.validate_python(self.cache.get(self._name(place), compute))

    def difference(self, pair: Pair) -> Difference | Impossible:
        row, other, column = pair
        one, two = self.grid.at(row, column), self.grid.at(other, column)

        def compute() -> Any:
            samples = self.resampled[row, column], self.resampled[other, column]
            return DIFFERENCE.dump_python(difference(one, two, *samples))

        name = self._name((row, column), (other, column))
        return DIFFERENCE.validate_python(self.cache.get(name, compute))

    def _name(self, *places: Place) -> str:
        """What a number of these cells is kept under."""
        for place in places:
            if place not in self.names:
                runs = self.grid.cells[place].runs
                folder = self.collected.folder(runs[0])
                self.names[place] = digest(sorted(origin(run, folder) for run in runs))
        return digest("noise", [self.names[place] for place in places])


SCORE: TypeAdapter[Score | Impossible] = TypeAdapter(Score | Impossible)
DIFFERENCE: TypeAdapter[Difference | Impossible] = TypeAdapter(Difference | Impossible)


def _pairs(grid: Grid, baselines: Sequence[str]) -> list[Pair]:
    """Rows against baselines, in the grid's order; two baselines meet once."""
    found: dict[Pair, None] = {}
    for base, column, row in product(baselines, grid.columns, grid.rows):
        met = (base, row, column) in found
        if row != base and not met and _comparable(grid.at(row, column), grid.at(base, column)):
            found[row, base, column] = None
    return list(found)


def _to_untrained(grid: Grid) -> list[Pair]:
    return [
        (row, control, column)
        for row, control in grid.with_untrained()
        for column in grid.columns
        if _comparable(grid.at(row, column), grid.at(control, column))
    ]


def _comparable(one: Cell, other: Cell) -> bool:
    """Both have a number, of all the images, that is meant to rank them."""
    runs = (*one.runs, *other.runs)
    ranks = not (one.diagnostic or other.diagnostic)
    return ranks and bool(one.runs and other.runs) and all(run.spec.limit is None for run in runs)


def _not_tested(found: Difference | Impossible) -> Difference | Impossible:
    return found if isinstance(found, Impossible) else found.untested("a control")
