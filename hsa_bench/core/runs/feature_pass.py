"""Runs that read features of the same pictures seen alike: passes decode these once for all backbones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.feature_pass import pass_key
from hsa_bench.core.results.record import Record
from hsa_bench.core.runs.plan import LoadedBackbone, Run
from hsa_bench.core.runs.task import Data, Task


class FeaturePass(Record):
    """Features of several backbones to make from one stream of pictures, as JSON for a worker."""

    runs: tuple[Run, ...]
    """The fewest whose tasks want all that is to be made, in their order; empty: all is on file."""
    seen: str
    """What the backbones see of the pictures; see `Wanted`."""
    backbones: tuple[str, ...]
    """Names of all that share it, done or not."""
    images: int
    """Pictures that are wanted of the data, each counted once."""
    data: str
    """Name of the data set."""
    view: str
    """What is seen, in words."""
    key: str
    """Of data, view and backbones."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the backbones whose features are to be made."""
        return tuple(dict.fromkeys(run.label for run in self.runs))

    @property
    def title(self) -> str:
        """One line for a person."""
        return (
            f"feature pass: {_counted(len(self.backbones), 'backbone')}, {self.data} {self.view}, "
            f"{_counted(self.images, 'image')} decoded once"
        )

    @property
    def state(self) -> str:
        """What there is to do."""
        if not self.runs:
            return "done"
        left = len(self.backbones) - len(self.labels)
        return f"to do, {left} of them on file" if left else "to do"


@dataclass
class Opened:
    """Data of runs, opened once for all that share them."""

    ctx: Context
    known: dict[tuple[Any, ...], Data] = field(default_factory=dict)

    def data(self, run: Run, task: Task) -> Data:
        """Open a run's data.

        Raises:
            RuntimeError: They are not those that the run was planned with.
        """
        key = (run.spec.data, run.dataset, type(task).data)
        if key not in self.known:
            self.known[key] = task.data(run.dataset, self.ctx)
            if self.known[key].fingerprint() != run.spec.data.fingerprint:
                raise RuntimeError(f"{run.spec.data.name}: the data have changed since the run was planned")
        return self.known[key]

    def wants(self, run: Run, backbone: Backbone) -> tuple[Wanted, ...]:
        """Return what a run will ask of the cache."""
        task = run.task()
        found = task.wants(backbone, self.data(run, task), run.spec.limit)
        return tuple(wanted.on(self.ctx.device) for wanted in found)


def plan_passes(
    runs: Sequence[Run], backbones: Sequence[LoadedBackbone], ctx: Context, say: Callable[[str], None]
) -> tuple[FeaturePass, ...]:
    """Bring together what runs want of the same data through the same view, for two backbones or more.

    Args:
        runs: That are to be done, in their order.
        backbones: All that they measure.
        ctx: Where the cache is.
        say: Called with a sentence where a task does not tell what it wants.
    """
    loaded = {one.request: one.backbone for one in backbones}
    groups: dict[tuple[str, str], _Group] = {}
    for run, wanted in _all_wants(runs, loaded, Opened(ctx), say):
        name = run.spec.data.fingerprint, wanted.seen
        groups.setdefault(name, _Group(ctx.cache)).add(run, wanted, loaded[run.backbone])
    return tuple(group.planned(seen) for (_, seen), group in groups.items() if len(group.weights) > 1)


def in_order(runs: Sequence[Run], passes: Sequence[FeaturePass]) -> Iterator[Run | FeaturePass]:
    """Yield runs in their order, each pass before the first that reads it."""
    waiting = [one for one in passes if one.runs]
    for run in runs:
        for one in [one for one in waiting if run in one.runs]:
            waiting.remove(one)
            yield one
        yield run


def _all_wants(
    runs: Sequence[Run],
    loaded: Mapping[BackboneRequest, Backbone],
    opened: Opened,
    say: Callable[[str], None],
) -> Iterator[tuple[Run, Wanted]]:
    """What each run wants, of those that differ in more than their seed."""
    known = set()
    for run in runs:
        alike = run.backbone, run.spec.model_copy(update={"seed": 0}).key
        if run.skipped or alike in known or type(run.task()).wants is Task.wants:
            continue
        known.add(alike)
        try:
            wants = opened.wants(run, loaded[run.backbone])
        except Exception as error:  # of a plug-in, or of data that went: the run itself will tell
            say(f"{run.label} {run.spec.task}: shares no features, as {type(error).__name__}: {error}")
            continue
        for wanted in wants:
            yield run, wanted


@dataclass
class _Group:
    """Wants that can share their crops."""

    cache: Path
    weights: dict[str, str] = field(default_factory=dict)
    """Names of backbones by their identity, of which two labels may have the same."""
    runs: list[Run] = field(default_factory=list)
    """Those that want what is not on file."""
    files: set[Path] = field(default_factory=set)
    pictures: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    """By content of the images held: which of them are wanted."""
    sets: set[str] = field(default_factory=set)
    """Fingerprints of the image sets."""
    view: str = ""
    data: str = ""

    def add(self, run: Run, wanted: Wanted, backbone: Backbone) -> None:
        """Take note of what a run wants."""
        self.weights.setdefault(run.spec.backbone.model_dump_json(), run.label)
        self.view = self.view or wanted.view_in_words
        self.data = self.data or run.spec.data.name
        self._count(wanted)
        new = [kept for kept in wanted.files(backbone, self.cache).values() if kept.path not in self.files]
        self.files |= {kept.path for kept in new}
        if not all(kept.stated() for kept in new) and (not self.runs or self.runs[-1] is not run):
            self.runs.append(run)

    def _count(self, wanted: Wanted) -> None:
        images = wanted.images
        if (printed := images.fingerprint()) in self.sets:
            return
        self.sets.add(printed)
        held = images.images
        wanted_ones = self.pictures.setdefault(held.digest(), np.zeros(len(held), np.bool_))
        wanted_ones[slice(None) if images.indices is None else list(images.indices)] = True

    def planned(self, seen: str) -> FeaturePass:
        """The pass of the group."""
        return FeaturePass(
            runs=tuple(self.runs),
            seen=seen,
            backbones=tuple(self.weights.values()),
            images=sum(int(ones.sum()) for ones in self.pictures.values()),
            data=self.data,
            view=self.view,
            key=pass_key(seen, *sorted(self.sets), *sorted(self.weights)),
        )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
