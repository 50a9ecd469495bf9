"""An ablation that tunes, as a file: methods, equal trials for each, and the jobs of both parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.bounds import Seeds
from hsa_bench.core.input.label import checked
from hsa_bench.core.input.named_code import in_fields
from hsa_bench.core.results.record import Record
from hsa_bench.core.results.result import TaskResult
from hsa_bench.core.results.row_names import is_control
from hsa_bench.suite.ablation_file import LONGER, AblationFile, AsMuch, Settings, usual_rows
from hsa_bench.suite.job import Job, Pretraining


class Tuning(Record):
    """The trials that every method has."""

    epochs: PositiveInt
    lr: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    temperature: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    judge: str
    """The task whose main metric, on pictures that are used for nothing else, decides."""


class Longer(AsMuch):
    """Rows at equal compute, with the seeds of their pretrainings."""

    seeds: Seeds = (0,)


class Ablation(AblationFile):
    """Everything about it; the fields are those of its file."""

    tuned_on: str
    shared: Settings
    """Settings of pretraining that all methods share."""
    methods: dict[Annotated[str, AfterValidator(checked)], Settings]
    """By row: `method` and what sets it apart."""
    tuning: Tuning
    seeds: dict[str, Seeds]
    """Of pretraining, by row."""
    longer: Longer | None = None

    def code(self) -> Iterator[tuple[str, str]]:
        """Yield (field, name) of the Python code that the file names."""
        yield from in_fields(self.model_dump(include={"arch", "dataset", "tuned_on", "tasks"}))
        yield from in_fields({"judge": self.tuning.judge}, "tuning.")
        yield from in_fields(self.shared, "shared.")
        for row, own in self.methods.items():
            yield from in_fields(own, f"methods.{row}.")
        yield from in_fields(self.settings, "set.")

    @model_validator(mode="after")
    def _whole(self) -> Ablation:
        rows = set(self.methods)
        named = {*self.seeds, *((self.longer.like, *self.longer.methods) if self.longer else ())}
        if lost := sorted(named - rows):
            raise ValueError(f"{lost[0]} is no row of methods")
        if missing := sorted(rows - set(self.seeds)):
            raise ValueError(f"seeds: {missing[0]} has none")
        labels = [trial.label for trial in trials(self)]
        if alike := next((label for label in labels if labels.count(label) > 1), ""):
            raise ValueError(f"tuning: two trials are called {alike}; their values differ too little")
        if self.longer and not isinstance(self.shared.get("epochs"), int):
            raise ValueError("shared.epochs: needed, a whole number, as `longer` multiplies it")
        if self.longer and (clash := sorted(rows & {row + LONGER for row in self.longer.methods})):
            raise ValueError(f"methods: {clash[0]} is how `longer` will call a row; call this one otherwise")
        for name in (*rows, *(trial.label for trial in trials(self)), *(row + LONGER for row in rows)):
            if is_control(checked(name)):
                raise ValueError(f"methods: {name} is the name of a control; call this row something else")
        return self


@dataclass(frozen=True)
class Trial:
    """One try of one method."""

    row: str
    lr: float
    temperature: float

    @property
    def label(self) -> str:
        """Its name in the tuning's tables."""
        return f"{self.row} lr {self.lr:g} T {self.temperature:g}"

    @property
    def settings(self) -> dict[str, float]:
        """What was tried."""
        return {"lr": self.lr, "temperature": self.temperature}


def trials(ablation: Ablation) -> list[Trial]:
    """As many of every method, in the file's order."""
    tuning = ablation.tuning
    return [Trial(row, *pair) for row in ablation.methods for pair in product(tuning.lr, tuning.temperature)]


def tuning_job(ablation: Ablation) -> Job:
    """Pretrain every trial and judge it on the pictures kept out."""
    return Job(
        title=f"Tuning of: {ablation.title}",
        dataset=ablation.tuned_on,
        tasks=(ablation.tuning.judge,),
        seeds=(0,),
        random_controls=0,
        pixels_control=False,
        settings=_own(ablation, {ablation.tuning.judge}),
        pretrain=Pretraining(
            arch=ablation.arch,
            settings={**ablation.shared, "epochs": ablation.tuning.epochs, "knn_every": 0},
            backbones={t.label: {**ablation.methods[t.row], **t.settings} for t in trials(ablation)},
        ),
    )


def chosen(ablation: Ablation, results: Sequence[TaskResult]) -> dict[str, Trial]:
    """The best trial of each row by the judge; of equal ones the first in the file's order.

    Raises:
        UsageError: A trial has no number, so that methods would not have had equally many.
    """
    judged = {r.label: r.main.merit for r in results if _is(r, ablation.tuning.judge)}
    lost = [trial.label for trial in trials(ablation) if trial.label not in judged]
    if lost:
        raise UsageError(f"tuning: {lost[0]} has no number; see its result, and run the command again")
    best: dict[str, Trial] = {}
    for trial in trials(ablation):
        if trial.row not in best or judged[trial.label] > judged[best[trial.row].label]:
            best[trial.row] = trial
    return best


def final_job(
    ablation: Ablation, best: Mapping[str, Trial], epoch_flops: Mapping[str, float], tuned: str
) -> Job:
    """Pretrain every row at equal epochs, and the longer ones at equal compute; measure all on test, once.

    Args:
        ablation: What is compared.
        best: By row.
        epoch_flops: What an epoch costs, by row.
        tuned: A sentence on the tuning, for the report.
    """
    rows: dict[str, Settings] = {
        row: {**settings, **best[row].settings, "seeds": ablation.seeds[row]}
        for row, settings in ablation.methods.items()
    }
    if longer := ablation.longer:
        for row in longer.methods:
            share = epoch_flops[longer.like] / epoch_flops[row]
            epochs = round(ablation.shared["epochs"] * share)
            rows[row + LONGER] = {**rows[row], "epochs": epochs, "seeds": longer.seeds}
    pretrain = Pretraining(arch=ablation.arch, settings=dict(ablation.shared), backbones=rows)
    return ablation.comparison(pretrain, usual_rows(rows), notes=(tuned,))


def in_words(best: Mapping[str, Trial], epochs: int) -> str:
    """What tuning chose."""
    said = "; ".join(f"{row} {t.lr:g} and {t.temperature:g}" for row, t in best.items())
    return f"Chosen learning rates and temperatures, by trials of {epochs} epochs: {said}."


def flops_per_epoch(ablation: Ablation, results: Sequence[TaskResult]) -> dict[str, float]:
    """What an epoch of each row costs, from what its trials cost: forward, backward and mining."""
    rows = {trial.label: trial.row for trial in trials(ablation)}
    found = {rows[r.label]: r.source.budget for r in results if r.label in rows and r.source.budget}
    return {row: budget.flops / budget.epochs for row, budget in found.items()}


def _own(ablation: Ablation, tasks: set[str]) -> dict[str, Any]:
    return {name: value for name, value in ablation.settings.items() if name.rpartition(".")[0] in tasks}


def _is(result: TaskResult, task: str) -> bool:
    return result.spec.task == task and result.status == "ok"
