"""Pairs of the design, seed by seed: what other test images and what other pretrainings would change."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from hsa_bench.core.results.designed_pair import DesignedPair
from hsa_bench.core.results.metric import Better
from hsa_bench.core.results.pretrainings import stated_seed
from hsa_bench.core.results.result import TaskResult
from reports.run_folder.collected import PRETRAINING, Collected
from reports.run_folder.grid import Cell, Grid
from reports.statistics.bootstrap import Impossible, Measured, Resampled, measure, resample
from reports.statistics.significance import Interval, flat, paired, percentile_interval

START = "start_from"
"""Setting of a pretraining: the hash of the state that it starts from."""

Runs = tuple[TaskResult, ...]

Side = tuple[str, str, tuple[int, ...]]
"""Row, column, and seeds of the pretrainings."""


@dataclass(frozen=True)
class Answer:
    """A row less another on one task, over pretrainings that start from the same states."""

    value: float
    """Mean over seeds, in the score's unit, of percentages in points."""
    gaps: Mapping[int, float]
    """By seed of the pretrainings."""
    over_images: Interval | Impossible
    """95 %: what other test images might give with these very pretrainings, the seeds pooled."""
    over_seeds: Interval | Impossible
    """95 %, Student's t of the seeds' differences: what other pretrainings might give on these images."""
    unit: str = "%"
    better: Better = "higher"

    @property
    def least(self) -> float | None:
        """The smallest difference that the pretrainings could have shown: half of their interval."""
        seeds = self.over_seeds
        return None if isinstance(seeds, Impossible) else (seeds.high - seeds.low) / 2

    @property
    def verdict(self) -> str:
        """What is shown, by the pretrainings alone: test images say nothing of other pretrainings."""
        seeds = self.over_seeds
        if isinstance(seeds, Impossible):
            return "no verdict"
        if seeds.low <= 0 <= seeds.high:
            return "no difference shown"
        return "ahead" if (self.value < 0) == (self.better == "lower") else "behind"


Answers = Mapping[tuple[DesignedPair, str], Answer | Impossible]
"""By pair and column."""


def answers(collected: Collected, grid: Grid) -> Answers:
    """Set the rows of each pair of the plan against each other on every task that ranks."""
    pairs = collected.plan.pairs if collected.plan else ()
    columns = [column for column in grid.columns if _ranks(grid, column)]
    starts = states(collected.results)
    found = {(p, c): _paired(p, c, grid, starts) for p, c in product(pairs, columns)}
    sides = {
        side: runs for one in found.values() if isinstance(one, _Paired) for side, runs in one.sides().items()
    }
    measured = {side: measure(runs, collected.folder(runs[0])) for side, runs in sides.items()}
    drawn = resample({side: one for side, one in measured.items() if isinstance(one, Measured)})
    resampled = {side: one if isinstance(one, Impossible) else drawn[side] for side, one in measured.items()}
    return {
        place: one if isinstance(one, Impossible) else one.answer(resampled) for place, one in found.items()
    }


def states(results: Iterable[TaskResult]) -> dict[str, str]:
    """By weights that came out of a pretraining: the hash of the state it started from, empty for none."""
    trained = (r for r in results if r.spec.task == PRETRAINING and r.status == "ok")
    return {
        r.effective["weights"]: r.spec.settings.get(START) or "" for r in trained if "weights" in r.effective
    }


@dataclass(frozen=True)
class _Paired:
    """Runs of two rows, by the seed of their pretraining."""

    row: str
    less: str
    column: str
    one: Mapping[int, Runs]
    other: Mapping[int, Runs]
    """Of the same seeds."""

    def sides(self) -> dict[Side, Runs]:
        """Return the runs of either row, its seeds together."""
        return {
            (name, self.column, tuple(runs)): tuple(run for own in runs.values() for run in own)
            for name, runs in ((self.row, self.one), (self.less, self.other))
        }

    def answer(self, resampled: Mapping[Side, Resampled | Impossible]) -> Answer:
        """Return the difference with both of its intervals."""
        first, second = ({s: _mean(own) for s, own in runs.items()} for runs in (self.one, self.other))
        gaps = {seed: first[seed] - second[seed] for seed in first}
        main = next(iter(self.one.values()))[0].main
        return Answer(
            value=statistics.fmean(gaps.values()),
            gaps=gaps,
            over_images=_over_images(*(resampled[side] for side in self.sides())),
            over_seeds=_over_seeds(list(first.values()), list(second.values())),
            unit=main.unit,
            better=main.better,
        )


def _paired(pair: DesignedPair, column: str, grid: Grid, starts: Mapping[str, str]) -> _Paired | Impossible:
    """Pair the runs of two rows, or say why they cannot be."""
    cells = []
    for label in (pair.row, pair.less):
        rows = grid.rows_of(label)
        if len(rows) > 1:
            return Impossible(f"{label} stands for {', '.join(rows)}")
        cells.append(grid.at(rows[0] if rows else label, column))
    one, other = map(_by_seed, cells)
    common = sorted(one.keys() & other.keys())
    if not common:
        return Impossible(f"{pair.row} and {pair.less} have no pretraining of the same seed with a number")
    for seed in common:
        if fault := _apart(pair, [_starts(runs[seed], starts) for runs in (one, other)]):
            return Impossible(f"seed {seed}: {fault}")
    return _Paired(
        cells[0].row, cells[1].row, column, {s: one[s] for s in common}, {s: other[s] for s in common}
    )


def _apart(pair: DesignedPair, found: Sequence[set[str]]) -> str:
    """Say why two pretrainings of one seed are no pair; empty where they start from the same state."""
    for label, own in zip((pair.row, pair.less), found, strict=True):
        if own & {"", None}:
            return f"{label} starts from no state that is on file"
    if found[0] != found[1] or len(found[0]) > 1:
        return f"{pair.row} and {pair.less} start from different states"
    return ""


def _starts(runs: Runs, starts: Mapping[str, str]) -> set[str]:
    return {starts.get(run.spec.backbone.weights, "") for run in runs}


def _by_seed(cell: Cell) -> dict[int, Runs]:
    found: dict[int, Runs] = {}
    for run in cell.runs:
        seed = stated_seed(run.source)
        if seed is not None:
            found[seed] = (*found.get(seed, ()), run)
    return found


def _mean(runs: Runs) -> float:
    return statistics.fmean(run.main.value for run in runs)


def _over_images(one: Resampled | Impossible, other: Resampled | Impossible) -> Interval | Impossible:
    for found in (one, other):
        if isinstance(found, Impossible):
            return found
    assert isinstance(one, Resampled)
    assert isinstance(other, Resampled)
    if one.example.tolist() != other.example.tolist() or one.draws.shape != other.draws.shape:
        return Impossible("measured on different test images")
    return percentile_interval(one.draws - other.draws)


def _over_seeds(values: Sequence[float], others: Sequence[float]) -> Interval | Impossible:
    if len(values) < 2:
        return Impossible("a single pretraining has no spread")
    if flat([one - other for one, other in zip(values, others, strict=True)]):
        return Impossible("the pretrainings' differences are equal: nothing is known of their spread")
    return paired(values, others)[0]


def _ranks(grid: Grid, column: str) -> bool:
    """Whether a column has numbers of all images that rank."""
    runs = [run for row in grid.rows for run in grid.at(row, column).runs]
    diagnostic = any(grid.at(row, column).diagnostic for row in grid.rows)
    return bool(runs) and not diagnostic and all(run.spec.limit is None for run in runs)
