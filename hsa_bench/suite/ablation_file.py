"""What the file of every kind of ablation states: data, network, and how its rows are measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field

from hsa_bench.core.input.bounds import Seeds
from hsa_bench.core.results.designed_pair import DesignedPair
from hsa_bench.core.results.record import Record
from hsa_bench.core.results.row_names import USUAL
from hsa_bench.suite.job import Job, Pretraining

LONGER = "-longer"
"""Ends the name of a row that trains until it has cost as much as another."""

Settings = dict[str, Any]
"""Of a pretraining, by field."""


class AsMuch(Record):
    """Rows that train until they have cost as much as another."""

    like: str
    methods: tuple[str, ...]


class AblationFile(Record):
    """The fields that all kinds have."""

    title: str
    dataset: str
    arch: str
    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    evaluation_seeds: Seeds = (0,)
    random_controls: Annotated[int, Field(ge=0, le=1000)] = 3
    settings: dict[str, Any] = Field(default_factory=dict, alias="set")
    """As a job's."""
    notes: tuple[str, ...] = ()

    def comparison(
        self,
        pretrain: Pretraining,
        baseline: Sequence[str],
        notes: Sequence[str] = (),
        pairs: tuple[DesignedPair, ...] = (),
    ) -> Job:
        """Pretrain rows and measure them, with all controls, on test."""
        return Job(
            title=self.title,
            dataset=self.dataset,
            tasks=self.tasks,
            seeds=self.evaluation_seeds,
            baseline=tuple(baseline),
            pairs=pairs,
            random_controls=self.random_controls,
            controls_on="all",
            settings=dict(self.settings),
            notes=(*self.notes, *notes),
            pretrain=pretrain,
        )


def usual_rows(rows: Iterable[str]) -> tuple[str, ...]:
    """Return the rows that are usual baselines, and those of them that train longer."""
    names = [*rows]
    return tuple(row for base in USUAL for row in (base, base + LONGER) if row in names)
