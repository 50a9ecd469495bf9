"""One stream of decoded pictures feeds trunks, each of which writes its own features, piece by piece."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hsa_bench.core.context import Context
from hsa_bench.core.data.views import Normalise
from hsa_bench.core.features.carry import moved
from hsa_bench.core.features.extraction import Extraction, cut_into_batches
from hsa_bench.core.features.forward import FrozenTrunk, Pending, evaluating
from hsa_bench.core.features.shared_decoding import shared_decodings
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import LAST

Lost = Callable[[Backbone, Exception], None]
"""Called with a backbone that fails; where it returns, the others go on without it."""


def raised(_: Backbone, error: Exception) -> None:
    """Raise what a backbone fails with: nothing goes on without it."""
    raise error


def feed(extractions: Sequence[Extraction], ctx: Context, what: str, lost: Lost) -> int:
    """Compute the missing pieces of extractions: a picture is decoded once for all that see it alike.

    Args:
        extractions: Begun; of any backbones and image sets.
        ctx: Where.
        what: Is made, for the progress bar.
        lost: Decides what becomes of a backbone that fails.

    Returns:
        How many pictures were decoded.
    """
    together = list(shared_decodings(extractions))
    total = sum(len(cut_into_batches(range(len(decoding.rows)))) for decoding in together)
    done = 0
    ctx.progress(what, 0, total)
    with ExitStack() as stack:
        trunks = _Trunks(stack, ctx, lost)
        trunks.place(extractions)
        for decoding in together:
            for dealt in decoding.flow(ctx):
                trunks.take(dealt)
                done += 1
                ctx.progress(what, done, total)
                if not trunks.any_of(decoding.works):
                    break
            trunks.settle()
    return sum(decoding.decoded for decoding in together)


@dataclass
class _Trunks:
    """The trunks on their device, until they fail."""

    stack: ExitStack
    ctx: Context
    lost: Lost
    placed: dict[tuple[int, str], FrozenTrunk] = field(default_factory=dict)
    """By backbone and precision."""
    underway: deque[tuple[Extraction, int, Pending]] = field(default_factory=deque)
    """Batches that are being computed, and the pieces that they belong to."""

    def place(self, extractions: Sequence[Extraction]) -> None:
        """Move every trunk to the device, for all layers that are wanted of it."""
        ctx = self.ctx
        of: dict[tuple[int, str], list[Extraction]] = {}
        for work in extractions:
            of.setdefault(_key(work), []).append(work)
        for key, works in of.items():
            backbone, precision = works[0].backbone, works[0].wanted.precision
            names = {name for work in works for name in work.files} - {LAST}
            try:
                self.stack.enter_context(evaluating(backbone.module))
                fed = backbone.module, Normalise(backbone.card), ctx.device
                self.placed[key] = FrozenTrunk(*fed, precision, names, ctx.compile, ctx.say)
            except Exception as error:
                self.drop(backbone, error)

    def any_of(self, works: Sequence[Extraction]) -> bool:
        """Whether some of them go on."""
        return any(_key(work) in self.placed for work in works)

    def take(self, dealt: Sequence[tuple[int, Tensor, Sequence[Extraction]]]) -> None:
        """Give batches, each with its piece, to their takers; take what was computed of those before."""
        started = 0
        for i, batch, takers in dealt:
            there = moved(batch, torch.device(self.ctx.device))  # once for all trunks
            for work in takers:
                self.start(work, i, there)
            started += len(takers)
        # A device computes these while the next are decoded.
        self.settle(started if self.ctx.device.startswith("cuda") else 0)

    def start(self, work: Extraction, i: int, pictures: Tensor) -> None:
        """Give a trunk a batch of a piece."""
        if trunk := self.placed.get(_key(work)):
            try:
                self.underway.append((work, i, trunk(pictures)))
            except Exception as error:
                self.drop(work.backbone, error)

    def settle(self, keep: int = 0) -> None:
        """Take what has been computed, all but the last `keep` batches."""
        while len(self.underway) > keep:
            work, i, pending = self.underway.popleft()
            if _key(work) not in self.placed:
                continue
            try:
                work.take(i, _features(pending, work.backbone.label))
            except Exception as error:
                self.drop(work.backbone, error)

    def drop(self, backbone: Backbone, error: Exception) -> None:
        """Go on without a backbone, if that is allowed; its device memory is free again."""
        for key in [key for key in self.placed if key[0] == id(backbone)]:
            del self.placed[key]
        self.underway = deque(one for one in self.underway if one[0].backbone is not backbone)
        self.lost(backbone, error)
        with suppress(RuntimeError):  # of a device that does not answer any more
            backbone.module.cpu()


def _features(pending: Pending, label: str) -> dict[str, Tensor]:
    try:
        return pending.features()
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error


def _key(work: Extraction) -> tuple[int, str]:
    return id(work.backbone), work.wanted.precision
