"""A branching ablation as a file: a common start, branches from its whole state, pairs to compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.bounds import Seeds
from hsa_bench.core.input.label import checked
from hsa_bench.core.input.named_code import in_fields
from hsa_bench.core.results.designed_pair import DesignedPair
from hsa_bench.core.results.result import Budget, TaskResult
from hsa_bench.core.results.row_names import is_control
from hsa_bench.suite.ablation_file import LONGER, AblationFile, AsMuch, Settings, usual_rows
from hsa_bench.suite.job import Job, Pretraining

START = "start"
"""The row that all others start from."""

SET_HERE = {
    "seeds": "all rows have those of the file's `seeds`",
    "keep_state": "the start keeps its state, and no other row",
    "start_from": "branches start from the row `start`, and it from nothing",
    "init": "branches start from the row `start`, and it from nothing",
}
"""Settings that no row states: why."""


class Branching(AblationFile):
    """Everything about it; the fields are those of its file."""

    kind: Literal["branching"]
    seeds: Seeds
    """Of every row: a branch starts from the state of its own seed."""
    shared: Settings = Field(default_factory=dict)
    """Settings of the start and of all branches."""
    start: Settings
    """What all branches start from: its own settings, `method` first."""
    shared_by_branches: Settings = Field(default_factory=dict)
    branches: Annotated[dict[Annotated[str, AfterValidator(checked)], Settings], Field(min_length=1)]
    """By row, in the order in which they are trained: `method` and what sets it apart."""
    longer: AsMuch | None = None
    pairs: tuple[DesignedPair, ...] = ()
    """What is read: rows that are compared seed by seed."""

    def code(self) -> Iterator[tuple[str, str]]:
        """Yield (field, name) of the Python code that the file names."""
        yield from in_fields(self.model_dump(include={"arch", "dataset", "tasks"}))
        for field, own in self._settings():
            yield from in_fields(own, f"{field}.")
        yield from in_fields(self.settings, "set.")

    def rows(self) -> list[str]:
        """Return the names of all rows but the start, in the order of the tables."""
        longer = self.longer.methods if self.longer else ()
        return [row for name in self.branches for row in (name, *[name + LONGER] * (name in longer))]

    def _settings(self) -> Iterator[tuple[str, Settings]]:
        yield from (("shared", self.shared), ("start", self.start))
        yield "shared_by_branches", self.shared_by_branches
        yield from ((f"branches.{row}", own) for row, own in self.branches.items())

    @model_validator(mode="after")
    def _whole(self) -> Branching:
        for field, own in self._settings():
            if stray := next((name for name in SET_HERE if name in own), ""):
                raise ValueError(f"{field}.{stray}: leave it out; {SET_HERE[stray]}")
        if self.longer:
            self._check_longer(self.longer)
        self._check_names()
        for pair in self.pairs:
            if lost := next((row for row in (pair.row, pair.less) if row not in self.rows()), ""):
                raise ValueError(f"pairs, {pair.label}: {lost} is no row; {', '.join(self.rows())}")
        return self

    def _check_longer(self, longer: AsMuch) -> None:
        for row in (longer.like, *longer.methods):
            if row not in self.branches:
                raise ValueError(f"longer: {row} is no row of branches")

    def _check_names(self) -> None:
        rows = [START, *self.rows()]
        if twice := next((row for row in rows if rows.count(row) > 1), ""):
            raise ValueError(f"branches: two rows would be called {twice}; call the branch something else")
        if control := next((row for row in rows if is_control(row)), ""):
            raise ValueError(f"branches: {control} is the name of a control; call this row something else")

    def start_job(self) -> Job:
        """Train the start of every seed, keep its whole state, and measure it."""
        return self._job({}, pairs=())

    def branch_job(self, states: Path, longer: Mapping[str, int] | None = None) -> Job:
        """Train every branch from the states, and measure all on test.

        Args:
            states: Files of whole states; `{seed}` in the name stands for the seed.
            longer: Epochs of the rows at equal compute, by branch; without them those are left out.
        """
        rows = {}
        for row in self.branches:
            own = {**self.shared_by_branches, **self.branches[row], "start_from": str(states)}
            rows[row] = own
            if row in (longer or {}):
                rows[row + LONGER] = {**own, "epochs": (longer or {})[row]}
        return self._job(rows, tuple(p for p in self.pairs if {p.row, p.less} <= rows.keys()))

    def _job(self, rows: Mapping[str, Settings], pairs: tuple[DesignedPair, ...]) -> Job:
        pretrain = Pretraining(
            arch=self.arch,
            settings=dict(self.shared),
            backbones={START: {**self.start, "keep_state": True}, **rows},
            seeds=self.seeds,
        )
        return self.comparison(pretrain, usual_rows(rows) or (START,), pairs=pairs)

    def longer_epochs(self, results: Sequence[TaskResult]) -> dict[str, int]:
        """Turn the FLOPs of the branch to be equalled into epochs of others, by branch.

        Args:
            results: With the budgets of all branches.

        Raises:
            UsageError: A branch has no budget, as all of its trainings failed.
        """
        if self.longer is None:
            return {}
        costs: dict[str, list[Budget]] = {}
        for result in results:
            if result.source.budget and result.source.budget.flops:
                costs.setdefault(result.label, []).append(result.source.budget)
        like = self.longer.like
        if lost := next((row for row in (like, *self.longer.methods) if row not in costs), ""):
            raise UsageError(f"longer: {lost} has cost nothing; see its results, and run the command again")
        whole = fmean(budget.flops for budget in costs[like])
        an_epoch = {row: fmean(one.flops / one.epochs for one in costs[row]) for row in self.longer.methods}
        return {row: max(1, round(whole / cost)) for row, cost in an_epoch.items()}
