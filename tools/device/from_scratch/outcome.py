"""What the run's folder holds of each row: its course, its cost, and its test accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hsa_bench.core.results.curve import Curve
from hsa_bench.core.results.result import TaskResult
from reports.run_folder.collected import PRETRAINING, collect
from tools.device.from_scratch.claims import BESIDE, JUDGE
from tools.device.row import Row


@dataclass(frozen=True)
class Outcome:
    """Of one row that is done."""

    training: TaskResult
    tested: dict[str, float]
    """Percent of test by task."""

    @property
    def purity(self) -> tuple[float, ...]:
        """Of the neighbours in force in each epoch, percent; empty where none are mined."""
        curve = self._curve("purity")
        return curve.values if curve else ()

    def rows(self, refresh: int) -> list[Row]:
        """List what stands in the table; neighbours are mined before each `refresh`-th epoch."""
        budget = self.training.source.budget
        assert budget is not None
        figures = [
            Row("epochs", budget.epochs),
            Row("compute", budget.flops / 1e15, "PFLOP"),
            Row("training", budget.seconds / 60, "min"),
            *(Row(f"{task}, test", value, "%") for task, value in self.tested.items()),
        ]
        if knn := self._curve("knn"):
            figures.append(Row("kNN by epoch, held-out tenth of train", _points(knn.x, knn.values), "%"))
        if self.purity:
            mined = range(0, len(self.purity), refresh)
            text = _points([at + 1.0 for at in mined], [self.purity[at] for at in mined])
            pixels = self._curve("purity_pixels")
            note = f"bare pixels' {pixels.values[-1]:.1f} %" if pixels else ""
            figures.append(Row("purity of the mining before epoch", text, "%", note=note))
        return figures

    def _curve(self, name: str) -> Curve | None:
        return next((curve for curve in self.training.curves if curve.name == name), None)


def outcomes(out: Path) -> dict[str, Outcome]:
    """Return the rows that are pretrained and tested, by name."""
    if not (out / "plan.json").exists():
        return {}
    good = [result for result in collect(out).results if result.status == "ok"]
    found = {}
    for training in (result for result in good if result.spec.task == PRETRAINING):
        own = [result for result in good if result.label == training.label]
        tested = {r.spec.task: r.main.value for r in own if r.spec.task in (JUDGE, BESIDE)}
        budget = next((r.source.budget for r in own if r.spec.task in tested and r.source.budget), None)
        if len(tested) == len((JUDGE, BESIDE)):
            source = training.source.model_copy(update={"budget": budget})
            found[training.label] = Outcome(training.model_copy(update={"source": source}), tested)
    return found


def _points(x: Sequence[float], values: Sequence[float]) -> str:
    return ", ".join(f"{at:g}: {value:.1f}" for at, value in zip(x, values, strict=True))
