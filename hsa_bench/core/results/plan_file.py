"""What a run promised: `plan.json`, which results belong to the report. Free of torch."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from hsa_bench.core.results.designed_pair import DesignedPair
from hsa_bench.core.results.record import Record


class PlannedRun(Record):
    """The promise of a run in plan.json, as the report sees it."""

    label: str
    task: str
    seed: int
    key: str = ""
    """Empty if the cell could not be specified, e.g. because its pretraining failed."""
    blocked: str = ""
    pretraining_seed: int | None = None
    """As `Source` has it, for results from before it was stated."""


class PlanFile(Record):
    """`plan.json`: which results belong to the report, in which order."""

    title: str
    preset: str
    notes: tuple[str, ...] = ()
    """Departures from papers and other remarks of the preset, shown in the report."""
    baselines: tuple[str, ...] = ()
    """What the others are compared with, in this order."""
    controls: tuple[str, ...] = ()
    claims: dict[str, str] = Field(default_factory=dict)
    """By backbone: the published pretraining that its file is said to be, e.g. moco-v2-200."""
    pairs: tuple[DesignedPair, ...] = ()
    """Rows that the run was made to set against each other."""
    limited: bool = False
    command: str
    runs: tuple[PlannedRun, ...]

    @model_validator(mode="before")
    @classmethod
    def _older(cls, given: Any) -> Any:
        """Read plans of before there could be several baselines, and of when runs were called cells."""
        if not isinstance(given, dict):
            return given
        plan = dict(given)
        if "baseline" in plan:
            plan["baselines"] = [label for label in [plan.pop("baseline")] if label]
        if "cells" in plan:
            plan["runs"] = plan.pop("cells")
        return plan
