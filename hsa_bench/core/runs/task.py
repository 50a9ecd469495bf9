"""What an evaluator is: frozen settings, a protocol in words, and `run`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as settings_dataclass
from pydantic.fields import FieldInfo

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View, eval_view
from hsa_bench.core.errors import DataError
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.input.bounds import Side
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.curve import Curve, Sweep
from hsa_bench.core.results.metric import Metric, values
from hsa_bench.core.results.outcomes import Outcomes

SETTINGS = ConfigDict(extra="forbid", validate_default=True)
"""Config of every settings dataclass: an unknown field is refused."""


NEUTRAL = frozenset({"root", "engine", "precision", "storage", "augment_on"})
"""Settings that make no other recipe."""


class Data(Protocol):
    """What a task measures on."""

    @property
    def name(self) -> str:
        """As given by the user."""
        ...

    def fingerprint(self) -> str:
        """Hash of all that can change a number."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a run gives back."""

    metrics: tuple[Metric, ...]
    """One of them by the name of the task's `main_metric`."""
    examples: Outcomes | None = None
    """Per-example outcomes for the head behind `main_metric`."""
    curves: tuple[Curve, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    """What other settings would have given."""
    artefacts: Mapping[str, Path] = field(default_factory=dict)
    """Files written with `Context.artefact`, by what they are."""
    effective: Mapping[str, Any] = field(default_factory=dict)
    """What was decided on the way, e.g. the chosen learning rate; JSON values."""
    images: int = 0
    """Pictures that passed through the network, where the task knows better than a count of the backbone's
    forward passes."""
    earlier_seconds: float = 0.0
    """Spent before this process, where a killed run went on from its scratch file."""

    def __post_init__(self) -> None:
        bare = [metric for metric in self.metrics if not isinstance(metric, Metric)]
        if bare:
            raise TypeError(f"metrics are records of `Metric`, each with unit and direction, not {bare[0]!r}")
        values(self.metrics)

    @property
    def values(self) -> dict[str, float]:
        """The bare numbers by name."""
        return values(self.metrics)

    @property
    def courses(self) -> dict[str, Curve]:
        """The curves by name."""
        return {curve.name: curve for curve in self.curves}


@settings_dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Task(ABC):
    """An evaluator. Its fields are its settings, and all of them enter the key.

    A setting that can change a number is a field; one that cannot is in `Context`. Changing a default
    or the computation raises `version`.
    """

    version: ClassVar[int]
    frozen: ClassVar[bool]
    """Whether the trunk must come out as it went in."""
    together: ClassVar[bool] = False
    """Whether several processes work on it; else the first one does it alone."""
    cheap: ClassVar[bool] = False
    """Whether it takes seconds once features are extracted, so that untrained twins are measured too."""
    broad: ClassVar[bool] = False
    """Whether it extracts more than others need, and so runs before them: nothing is computed twice."""
    diagnostic: ClassVar[bool] = False
    """Whether its numbers describe and do not rank, so that no difference of them is tested."""
    seeded: ClassVar[bool] = True
    """Whether the number depends on the seed; if not, the task runs once."""
    later: ClassVar[frozenset[str]] = frozenset()
    """Settings added since this version, whose default is what was done before; see `settings`."""

    name: str

    def settings(self) -> dict[str, Any]:
        """All fields but the name: the recorded config.

        A setting of `later` is left out at its default, so that the keys of earlier results stay.
        """
        defaults = {f.name: _default(f.default) for f in fields(self) if f.name in self.later}
        return {
            key: value
            for key, value in self._every().items()
            if key not in defaults or value != defaults[key]
        }

    def _every(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "name"}

    @property
    @abstractmethod
    def main_metric(self) -> str:
        """The metric that tables show, one for all runs; most tasks have it as a class variable."""

    @property
    @abstractmethod
    def protocol(self) -> str:
        """The protocol in one paragraph with the values in force, and its source."""

    def unsupported(self, backbone: Backbone) -> str:
        """Why the task cannot measure this backbone; empty if it can."""
        return ""

    @abstractmethod
    def data(self, dataset: str, ctx: Context) -> Data:
        """Open the data this task measures on. `dataset` is the run's; a task may have its own.

        Raises:
            DataError: Something is missing or broken; the message names it.
        """

    def resolved(self, data: Any, ctx: Context) -> Self:
        """The same task with what data set and machine decide filled in."""
        return self

    def unlike(self, usual: Self, data: Any, ctx: Context) -> tuple[str, ...]:
        """Names of the settings that are not those of `usual`, the same task as its plug-in declares it.

        Where data lie, who computes and in which number format are no departures from a recipe.
        """
        there = usual.resolved(data, ctx)._every()
        return tuple(n for n, value in self._every().items() if n not in NEUTRAL and value != there[n])

    def wants(self, backbone: Backbone, data: Any, limit: int | None) -> tuple[Wanted, ...]:
        """Return the features that `run` will ask of the cache, so that backbones can share the decoding.

        What is left out is extracted by the run itself; what is wanted and never asked for is work in vain.

        Args:
            backbone: Whose.
            data: What `data` opened; the task is `resolved` for it.
            limit: As `run` has it.
        """
        return ()

    @abstractmethod
    def run(self, backbone: Backbone, data: Any, seed: int, limit: int | None, ctx: Context) -> Outcome:
        """Measure one backbone.

        Args:
            backbone: A frozen task leaves it as it was; others work on a copy.
            data: What `data` opened.
            seed: Draws everything random.
            limit: Draw this many training and test images, class-balanced; None for all.
            ctx: Where and with what to compute.
        """


@settings_dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ClassificationTask(Task):
    """A task on a labelled image set, the run's unless it has its own, seen through one evaluation view."""

    own_data: ClassVar[bool] = False
    """Whether it opens a data set of its own, so that the run needs none."""

    image_size: Side = 0
    """Side of the crop, px; 0 is the data set's own."""
    resize: Side = 0
    """Shorter side before the centre crop, px; 0 keeps the data set's ratio to `image_size`."""

    def data(self, dataset: str, ctx: Context) -> Classification:
        data = open_dataset(dataset, ctx.data_root)
        if len(classes := np.unique(data.train.labels)) < 2:
            only = data.classes[int(classes[0])]
            raise DataError(
                f"{data.name}: all training pictures are of one class ({only}), so nothing can be told "
                "apart; one folder a class is needed"
            )
        return data

    def resolved(self, data: Classification, ctx: Context) -> Self:
        view = eval_view(data, self.image_size, self.resize)
        return replace(self, image_size=view.size, resize=view.resize)

    @property
    def view(self) -> View:
        """The evaluation view; the task must be resolved."""
        assert self.image_size and self.resize, "resolve the task first"
        return View(size=self.image_size, resize=self.resize)


def _default(stated: Any) -> Any:
    """Return a field's default, also of one stated with bounds."""
    return stated.default if isinstance(stated, FieldInfo) else stated
