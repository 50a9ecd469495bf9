"""Pairs of the design, seed by seed: what other test images and what other pretrainings would change."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

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

Side = tuple[str, str, int]
"""Row, column, and seed of the pretraining."""


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
    missing: tuple[int, ...] = ()
    """Seeds that were planned, and that have no number in both rows."""

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
    seeds = {pair: _planned(pair, collected) for pair in pairs}
    found = {(p, c): _paired(p, c, grid, starts, seeds[p]) for p, c in product(pairs, columns)}
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
    found = ((r.effective.get("weights"), r.spec.settings.get(START) or "") for r in trained)
    return {came: start for came, start in found if isinstance(came, str) and isinstance(start, str)}


@dataclass(frozen=True)
class _Paired:
    """Runs of two rows, by the seed of their pretraining."""

    row: str
    less: str
    column: str
    one: Mapping[int, Runs]
    other: Mapping[int, Runs]
    """Of the same seeds, each evaluated with the same seeds."""
    missing: tuple[int, ...] = ()
    """Planned seeds that are not among them."""

    def sides(self) -> dict[Side, Runs]:
        """Return the runs of each pretraining of either row."""
        rows = (self.row, self.one), (self.less, self.other)
        return {(name, self.column, seed): own for name, runs in rows for seed, own in runs.items()}

    def answer(self, resampled: Mapping[Side, Resampled | Impossible]) -> Answer:
        """Return the difference with both of its intervals."""
        first, second = ({s: _mean(own) for s, own in runs.items()} for runs in (self.one, self.other))
        gaps = {seed: first[seed] - second[seed] for seed in first}
        main = next(iter(self.one.values()))[0].main
        return Answer(
            value=statistics.fmean(gaps.values()),
            gaps=gaps,
            over_images=_over_images(
                [
                    (resampled[self.row, self.column, seed], resampled[self.less, self.column, seed])
                    for seed in gaps
                ]
            ),
            over_seeds=_over_seeds(list(first.values()), list(second.values())),
            unit=main.unit,
            better=main.better,
            missing=self.missing,
        )


def _planned(pair: DesignedPair, collected: Collected) -> set[int]:
    """Return the seeds of which either row was to be pretrained."""
    runs = collected.plan.runs if collected.plan else ()
    return {run.seed for run in runs if run.task == PRETRAINING and run.label in {pair.row, pair.less}}


def _paired(
    pair: DesignedPair, column: str, grid: Grid, starts: Mapping[str, str], planned: set[int]
) -> _Paired | Impossible:
    """Pair the runs of two rows, or say why they cannot be."""
    cells = []
    for label in (pair.row, pair.less):
        rows = grid.rows_of(label)
        if len(rows) > 1:
            return Impossible(f"{label} stands for {', '.join(rows)}")
        cells.append(grid.at(rows[0] if rows else label, column))
    one, other = map(_by_seed, cells)
    both = {seed: _evaluated_alike(one[seed], other[seed]) for seed in one.keys() & other.keys()}
    common = sorted(seed for seed, (first, _) in both.items() if first)
    if not common:
        return Impossible(f"{pair.row} and {pair.less} have no pretraining of the same seed with a number")
    for seed in common:
        if fault := _apart(pair, [_starts(runs[seed], starts) for runs in (one, other)]):
            return Impossible(f"seed {seed}: {fault}")
    first, second = ({seed: both[seed][side] for seed in common} for side in (0, 1))
    missing = tuple(sorted((planned | one.keys() | other.keys()) - {*common}))
    return _Paired(cells[0].row, cells[1].row, column, first, second, missing)


def _evaluated_alike(one: Runs, other: Runs) -> tuple[Runs, Runs]:
    """Leave out evaluations whose seed the other pretraining has none of, as where one has failed."""
    seeds = {run.spec.seed for run in one} & {run.spec.seed for run in other}
    first, second = (tuple(run for run in runs if run.spec.seed in seeds) for runs in (one, other))
    return first, second


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


def _over_images(
    pairs: Sequence[tuple[Resampled | Impossible, Resampled | Impossible]],
) -> Interval | Impossible:
    """Give the interval of the mean over pretrainings, each a pair, on the same resamples of the images."""
    found: list[Resampled] = []
    for one in (side for pair in pairs for side in pair):
        if isinstance(one, Impossible):
            return one
        found.append(one)
    like = found[0]
    if any(one.example.tolist() != like.example.tolist() for one in found) or any(
        one.draws.shape != like.draws.shape for one in found
    ):
        return Impossible("measured on different test images")
    gaps = [one.draws - other.draws for one, other in zip(found[::2], found[1::2], strict=True)]
    return percentile_interval(np.mean(gaps, axis=0))


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
