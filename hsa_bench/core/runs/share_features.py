"""Do a feature pass: open as many backbones as fit at once, and feed them from one stream of pictures."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.data.manifest import keep_in
from hsa_bench.core.features.extraction import Extraction
from hsa_bench.core.features.feed import feed
from hsa_bench.core.features.lock import held
from hsa_bench.core.features.room import bytes_of, room
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone, assert_unchanged
from hsa_bench.core.results.feature_pass import SharedFeatures
from hsa_bench.core.runs.execute import Bench, check_network
from hsa_bench.core.runs.feature_pass import FeaturePass, Opened
from hsa_bench.core.runs.plan import Run


def share_features(order: FeaturePass, bench: Bench) -> SharedFeatures:
    """Make the features of a pass that are not on file, and leave a record of it.

    Files, their names and their content are what the runs would make one after the other. A backbone that
    fails is left out, with a word; its runs make their own and tell in their results.

    Raises:
        RuntimeError: Every backbone was left out.
        Exception: What is common to all fails, e.g. a picture that cannot be decoded.
    """
    keep_in(bench.ctx.cache)
    started, began = datetime.now(UTC), time.perf_counter()
    work = _Pass(order, bench, deque(_by_backbone(order.runs).items()))
    while group := work.next_group():
        work.make(group)
        group.clear()  # their memory is for the next
    if work.left_out and not work.made:
        raise RuntimeError(f"none of {len(work.left_out)} backbones came through")
    record = SharedFeatures(
        key=order.key,
        backbones=tuple(work.made),
        left_out=tuple(work.left_out),
        data=order.data,
        view=order.view,
        images=work.images,
        rounds=work.rounds,
        seconds=time.perf_counter() - began,
        device=bench.ctx.device,
        started=started.isoformat(timespec="seconds"),
    )
    if work.images:
        record.save(bench.store.out)
    return record


def _by_backbone(runs: Sequence[Run]) -> dict[BackboneRequest, list[Run]]:
    found: dict[BackboneRequest, list[Run]] = {}
    for run in runs:
        found.setdefault(run.backbone, []).append(run)
    return found


@dataclass(frozen=True)
class _Ready:
    """A backbone in memory, with what is wanted of it."""

    backbone: Backbone
    works: tuple[Extraction, ...]

    @property
    def bytes(self) -> int:
        """What it takes while it is fed."""
        layers = {layer for work in self.works for layer in work.files}
        return bytes_of(self.backbone.module, layers, self.backbone.dim)


@dataclass
class _Pass:
    order: FeaturePass
    bench: Bench
    waiting: deque[tuple[BackboneRequest, list[Run]]]
    made: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    images: int = 0
    rounds: int = 0
    over: _Ready | None = None
    """One that was opened and did not fit beside the others."""

    def __post_init__(self) -> None:
        self.opened = Opened(self.bench.ctx)

    def next_group(self) -> list[_Ready]:
        """Open backbones while there is room for them; one alone in any case."""
        found: list[_Ready] = []
        left = room(self.bench.ctx.device)
        while one := self._next():
            if found and one.bytes > left:
                self.over = one
                break
            found.append(one)
            left -= one.bytes
        return found

    def make(self, group: Sequence[_Ready]) -> None:
        """Feed a group, and write the files of all that came through."""
        ctx = self.bench.ctx
        paths = [kept.path for one in group for work in one.works for kept in work.files.values()]
        with held(paths, ctx.say):
            works = [_still_missing(work, self.bench) for one in group for work in one.works]
            works = [work for work in works if work.files]
            for work in works:
                work.begin()
            lost: set[int] = set()

            def drop(backbone: Backbone, error: Exception) -> None:
                lost.add(id(backbone))
                self._leave_out(backbone.label, error)

            images = feed(works, ctx, f"features of {len(group)} backbones", drop)
            for one in group:
                own = [work for work in works if work.backbone is one.backbone]
                if own and id(one.backbone) not in lost:
                    self._finish(one.backbone, own)
        self.images += images
        self.rounds += bool(images)

    def _finish(self, backbone: Backbone, works: Sequence[Extraction]) -> None:
        try:
            assert_unchanged(backbone)
            for work in works:
                work.join()
        except Exception as error:
            self._leave_out(backbone.label, error)
        else:
            self.made.append(backbone.label)

    def _next(self) -> _Ready | None:
        """The next backbone that opens, is the planned one, and lacks features."""
        if self.over:
            one, self.over = self.over, None
            return one
        while self.waiting:
            request, runs = self.waiting.popleft()
            try:
                ready = self._ready(request, runs)
            except Exception as error:
                self._leave_out(request.label, error)
                continue
            if ready.works:
                return ready
        return None

    def _ready(self, request: BackboneRequest, runs: Sequence[Run]) -> _Ready:
        backbone = open_backbone(request)
        layers: dict[tuple[str, str, str], tuple[Wanted, dict[str, None]]] = {}
        for run in runs:
            check_network(run, backbone)
            for wanted in self.opened.wants(run, backbone):
                if wanted.seen == self.order.seen:
                    alike = wanted.images.fingerprint(), wanted.precision, wanted.storage
                    layers.setdefault(alike, (wanted, {}))[1].update(dict.fromkeys(wanted.layers))
        ctx = self.bench.ctx
        whole = [wanted.with_layers(tuple(names)) for wanted, names in layers.values()]
        works = [Extraction(backbone, wanted, wanted.files(backbone, ctx.cache)) for wanted in whole]
        return _Ready(backbone, tuple(work for work in works if not _all_usable(work)))

    def _leave_out(self, label: str, error: Exception) -> None:
        self.left_out.append(label)
        self.bench.ctx.say(f"{label} is left out, as {type(error).__name__}: {error}; its runs compute alone")


def _all_usable(work: Extraction) -> bool:
    return all(kept.usable() for kept in work.files.values())


def _still_missing(work: Extraction, bench: Bench) -> Extraction:
    """The same without what another command has made meanwhile."""
    files = {name: kept for name, kept in work.files.items() if not kept.usable_aloud(bench.ctx.say)}
    return Extraction(work.backbone, work.wanted, files)
