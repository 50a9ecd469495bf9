"""What a run is asked to do, as one object; its fields are those of a preset file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.input.bounds import SEEDS, Limit, Seeds, Side
from hsa_bench.core.input.label import checked, valid
from hsa_bench.core.input.named_code import in_fields
from hsa_bench.core.input.settings import explain, shown_value
from hsa_bench.core.results.designed_pair import DesignedPair
from hsa_bench.core.results.record import Record
from hsa_bench.core.runs.time_limit import parse_duration
from hsa_bench.suite.options import whole_path, word_for, words

SHIPPED = "digits"
"""A data set that ships inside a dependency."""

Names = Annotated[tuple[str, ...], BeforeValidator(words)]
"""A list of names, or one text with commas."""


class Pretraining(Record):
    """The backbones a run pretrains before it evaluates them."""

    arch: str = ""
    """Architecture of all of them."""
    backbones: dict[Annotated[str, AfterValidator(checked)], dict[str, Any]] = Field(default_factory=dict)
    """By label: settings of the pretraining task, its `method` first; and `seeds`, where they are its own."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings that all of them share."""
    seeds: Seeds = (0,)
    """Several pretrainings of each; shown as one row with its spread."""

    @field_validator("backbones")
    @classmethod
    def _own_seeds(cls, backbones: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Check the seeds that stand among a backbone's settings as those of all are checked."""
        checked_ones = {}
        for label, own in backbones.items():
            try:
                seeds = {"seeds": SEEDS.validate_python(own["seeds"])} if "seeds" in own else {}
            except ValidationError as error:
                fault = explain(error)
                at = f"{label}.seeds" + (f".{fault.field}" if fault.field else "")
                given = f", not {shown_value(fault.value)}" if fault.field else ""
                raise ValueError(f"{at}: {fault.reason}{given}") from error
            checked_ones[label] = {**own, **seeds}
        return checked_ones


class Job(Record):
    """Everything a run does. The fields are those of a preset file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    title: str = "Transfer evaluation"
    preset: str = ""
    notes: tuple[str, ...] = ()
    """Departures from papers and other remarks, printed in the report."""
    dataset: str = ""
    arch: str = ""
    """Of the checkpoints where their tensors do not tell, or of the controls alone. This and the next two
    are one word for all checkpoints, or `NAME=word,NAME=word`."""
    file_format: str = ""
    branch: str = ""
    """Network of the files."""
    head: str = ""
    """What becomes of the last layer, like `fc`, of modules of one's own: drop or keep; empty refuses one."""
    drop: dict[str, Names] = Field(default_factory=dict)
    """By backbone's name ("": all): beginnings of names beside the trunk that are left out of its file."""
    card: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By backbone's name ("": all): fields of the card that are known better than the file says."""
    image_size: Side = 0
    baseline: Names = ()
    """Backbones that the others are compared with; empty: moco and simclr where they are."""
    pretraining_seeds: dict[str, Seeds] = Field(default_factory=dict)
    """By backbone's name: the seed of each of its files' pretraining, in their order, where several files are
    pretrainings of one thing and do not say it themselves."""
    claims: dict[str, str] = Field(default_factory=dict)
    """By backbone's name ("" with a single one): the published pretraining its file is said to be."""
    pairs: tuple[DesignedPair, ...] = ()
    """Rows that are set against each other seed by seed, as they are pretrained from the same states."""
    random_controls: Annotated[int, Field(ge=0, le=1000)] = 3
    """Random initialisations of each architecture to measure beside the checkpoints."""
    controls_on: Literal["cheap", "all"] = "cheap"
    """The tasks that controls are measured on: those that take seconds once features are there, or all."""
    pixels_control: bool = True
    pretrain: Pretraining = Pretraining()
    checkpoints: tuple[BackboneRequest, ...] = ()
    tasks: Annotated[tuple[str, ...], Field(min_length=1)] = ("linear", "knn", "semisup")
    seeds: Seeds = (0,)
    limit: Limit | None = None
    timeout: Annotated[float | None, BeforeValidator(parse_duration)] = None
    """Of one run, in seconds; given as "90m" or "2h". A run that takes longer is ended and has failed."""
    settings: dict[str, Any] = Field(default_factory=dict, alias="set")
    """`task.field: value`; the task is a plug-in's name (all its variants) or one variant's."""
    asked: frozenset[str] = frozenset()
    """Names among `settings` that the user gave for this run, so that each must change something; those of
    a preset alone may be for a task that is left out."""

    def requests(self) -> list[BackboneRequest]:
        """Return the backbones named by the user, with what the job says of each.

        A module of one's own without a file is named by its function.
        """
        from hsa_bench.core.models.user_module import is_own

        requests = [
            request.model_copy(update={**self._said_of(request), "path": whole_path(request.path)})
            for request in self.checkpoints
        ]
        if not requests and not self.pretrain.backbones and is_own(self.arch):
            label = valid(self.arch.partition(":")[2])
            own = BackboneRequest(label=label, path=self.arch)
            requests = [own.model_copy(update={**self._said_of(own), "arch": ""})]
        seeds = {label: iter(stated) for label, stated in self.pretraining_seeds.items()}
        return [
            request.model_copy(update={"pretraining_seed": next(seeds[request.label], None)})
            if request.label in seeds
            else request
            for request in requests
        ]

    def settings_of(self, pretraining: bool) -> dict[str, Any]:
        """Return the settings of the evaluations, by `task.field`, or of the pretraining, by field."""
        if pretraining:
            return {k.removeprefix("pretrain."): v for k, v in self.settings.items() if pretrains(k)}
        return {k: v for k, v in self.settings.items() if not pretrains(k)}

    def labels(self) -> list[str]:
        """Return the names of all backbones but the controls, in the report's order."""
        return list(dict.fromkeys([*self.pretrain.backbones, *(r.label for r in self.requests())]))

    def code(self) -> Iterator[tuple[str, str]]:
        """Yield (field, name) of the Python code that the job names."""
        yield from in_fields(self.model_dump(include={"arch", "file_format", "dataset", "tasks"}))
        for index, request in enumerate(self.checkpoints):
            yield from in_fields(request.model_dump(), f"checkpoints.{index}.")
        yield from in_fields({"arch": self.pretrain.arch}, "pretrain.")
        yield from in_fields(self.pretrain.settings, "pretrain.settings.")
        for label, own in self.pretrain.backbones.items():
            yield from in_fields(own, f"pretrain.backbones.{label}.")
        yield from in_fields(self.settings, "set.")

    def _said_of(self, request: BackboneRequest) -> dict[str, Any]:
        return {
            "arch": request.arch or word_for(request.label, self.arch),
            "file_format": request.file_format or word_for(request.label, self.file_format),
            "branch": request.branch or word_for(request.label, self.branch),
            "head": request.head or word_for(request.label, self.head),
            "side": request.side or self.image_size,
            "drop": (*request.drop, *self.drop.get("", ()), *self.drop.get(request.label, ())),
            "card": {**self.card.get("", {}), **request.card, **self.card.get(request.label, {})},
        }


def pretrains(name: str) -> bool:
    """Tell whether a setting is of the pretraining."""
    return name.startswith("pretrain.")
