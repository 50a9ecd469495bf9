"""One stream of decoded pictures feeds trunks, each of which writes its own features, piece by piece."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import Images
from hsa_bench.core.data.views import Normalise, centre_view
from hsa_bench.core.features.carry import moved
from hsa_bench.core.features.decode_ahead import BATCH, decoded
from hsa_bench.core.features.forward import FrozenTrunk, Pending, evaluating
from hsa_bench.core.features.kept import KeptFeatures, is_whole, write_piece
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.layers import LAST, watched
from hsa_bench.core.models.precision import Precision
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.processes import rank, world

PIECE = 4 * BATCH
"""Images between two writes: what a kill can cost, and what several processes share out."""

IN_MEMORY = 2**30
"""Bytes of float32 features that are kept as they are where `storage` is "auto", and half of what is mapped
from disk."""

Lost = Callable[[Backbone, Exception], None]
"""Called with a backbone that fails; where it returns, the others go on without it."""

Rows = NDArray[np.int64]


@dataclass
class Extraction:
    """One trunk's features of one image set in one number format, on their way to their files."""

    backbone: Backbone
    wanted: Wanted
    files: Mapping[str, KeptFeatures]
    """By layer, those that are to be made."""
    computed: dict[int, list[dict[str, Tensor]]] = field(default_factory=dict)
    """By piece: its batches until it is whole."""

    def begin(self) -> None:
        """Say what is going to be made."""
        for kept in self.files.values():
            kept.begin()

    @cached_property
    def missing(self) -> dict[int, dict[str, Path]]:
        """By piece that this process makes: the files of the layers that lack it."""
        found = {}
        for i, piece in enumerate(pieces(self.wanted.images)):
            files = {name: _piece(kept, piece) for name, kept in self.files.items()}
            lacking = {name: file for name, file in files.items() if not is_whole(file, len(piece))}
            if lacking and i % world() == rank():
                found[i] = lacking
        return found

    def take(self, i: int, features: Mapping[str, Tensor]) -> None:
        """Keep one more batch of a piece, and write it with the last.

        Raises:
            ValueError: They are NaN or infinite, or float16 does not hold them.
        """
        parts = self.computed.setdefault(i, [])
        parts.append({name: features[name] for name in self.missing[i]})
        if sum(len(next(iter(part.values()))) for part in parts) < len(pieces(self.wanted.images)[i]):
            return
        for name, file in self.missing[i].items():
            whole = torch.cat([part[name] for part in parts])
            kept = whole.half() if self._in_half(whole) else whole
            self._check(name, kept)
            write_piece(file, kept.numpy())
        del self.computed[i]

    def join(self) -> None:
        """Write the files from their pieces, which go."""
        for kept in self.files.values():
            kept.join(_piece(kept, piece) for piece in pieces(self.wanted.images))

    def _check(self, layer: str, kept: Tensor) -> None:
        """Refuse what is no number, or none any more in half precision."""
        if not torch.isfinite(kept).all():
            half = kept.dtype == torch.half
            remedy = "; they may exceed float16: --set TASK.storage=float32" if half else ""
            label = self.backbone.label
            raise ValueError(f"{f'{label}, {layer}' if layer else label}: NaN or infinite features{remedy}")

    def _in_half(self, part: Tensor) -> bool:
        large = len(self.wanted.images) * part.shape[1] * 4 > IN_MEMORY
        return self.wanted.storage == "float16" or (self.wanted.storage == "auto" and large)


def pieces(images: ImageSet) -> list[range]:
    """Rows of an image set between two writes."""
    count = len(images)
    return [range(low, min(low + PIECE, count)) for low in range(0, count, PIECE)]


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
    courses = list(_courses(extractions))
    total = sum(-(-len(course.rows) // BATCH) for course in courses)
    done = 0
    ctx.progress(what, 0, total)
    with ExitStack() as stack:
        trunks = _Trunks(stack, ctx, lost)
        trunks.place(extractions)
        for course in courses:
            for _ in course.flow(trunks, ctx):
                done += 1
                ctx.progress(what, done, total)
    return sum(course.decoded for course in courses)


@dataclass
class _Placed:
    """A trunk on its device, and the layers that are looked at when it computes."""

    trunk: FrozenTrunk
    names: set[str]

    @classmethod
    def on(cls, ctx: Context, backbone: Backbone, precision: Precision, names: set[str]) -> _Placed:
        """Move it there."""
        layers = dict.fromkeys(names, torch.empty(0))  # so that it knows whether there will be any
        normalise = Normalise(backbone.card)
        trunk = FrozenTrunk(backbone.module, normalise, ctx.device, precision, layers, ctx.compile, ctx.say)
        return cls(trunk, names)

    def __call__(self, pictures: Tensor) -> Pending:
        # No hook stays between two batches: the same module may be compiled in another number format.
        with watched(self.trunk.module, self.names) as self.trunk.layers:
            return self.trunk(pictures)


@dataclass
class _Trunks:
    """The trunks on their device, until they fail."""

    stack: ExitStack
    ctx: Context
    lost: Lost
    placed: dict[tuple[int, str], _Placed] = field(default_factory=dict)
    """By backbone and precision."""
    underway: deque[tuple[Extraction, int, Pending]] = field(default_factory=deque)
    """Batches that are being computed, and the pieces that they belong to."""

    def place(self, extractions: Sequence[Extraction]) -> None:
        """Move every trunk to the device, for all layers that are wanted of it."""
        of: dict[tuple[int, str], list[Extraction]] = {}
        for work in extractions:
            of.setdefault(_key(work), []).append(work)
        for key, works in of.items():
            backbone, precision = works[0].backbone, works[0].wanted.precision
            names = {name for work in works for name in work.files} - {LAST}
            try:
                self.stack.enter_context(evaluating(backbone.module))
                self.placed[key] = _Placed.on(self.ctx, backbone, precision, names)
            except Exception as error:
                self.drop(backbone, error)

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


@dataclass
class _Share:
    """What one image set takes of a course: its batches, cut as they would be without the others."""

    works: list[Extraction]
    rows: Rows
    """Places of the pictures among those held, in the set's order."""
    waiting: deque[tuple[int, int]]
    """Piece and length of every batch to come."""
    needed: NDArray[np.bool_] | None = None
    """Which pictures it takes of those held; None: each one of the course."""
    crops: list[Tensor] = field(default_factory=list)
    """Pictures of the next batch so far."""

    def cut(self, rows: Rows, pictures: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Take its pictures of the next ones, uint8 [B, H, W, 3]; yield batches that are whole, by piece."""
        if self.needed is not None and not (mine := self.needed[rows]).all():
            pictures = pictures[torch.from_numpy(mine)]
        if len(pictures):
            self.crops.append(pictures)
        while self.waiting and sum(map(len, self.crops)) >= self.waiting[0][1]:
            i, length = self.waiting.popleft()
            whole = self.crops[0] if len(self.crops) == 1 else torch.cat(self.crops)
            self.crops = [whole[length:]] if len(whole) > length else []
            yield i, whole[:length]


@dataclass
class _Course:
    """Pictures that are decoded in one go, for all image sets that are of them."""

    images: Images
    shares: list[_Share]
    rows: Rows
    """Which are decoded, in this order."""
    decoded: int = 0

    def flow(self, trunks: _Trunks, ctx: Context) -> Iterator[None]:
        """Decode and feed, a batch at a time, until nobody takes any."""
        works = [work for share in self.shares for work in share.works]
        wanted, cuda = works[0].wanted, ctx.device.startswith("cuda")
        view = centre_view(wanted.view, Preprocess())  # of which only the crop is used
        stream = decoded(_all_of(self.images), self.rows.tolist(), view, ctx.workers, cuda, BATCH)
        for low, pictures in zip(range(0, len(self.rows), BATCH), stream, strict=True):
            self.decoded += len(pictures)
            started = 0
            for share in self.shares:
                for i, batch in share.cut(self.rows[low : low + BATCH], pictures):
                    there = moved(batch, torch.device(ctx.device))  # once for all trunks
                    takers = [work for work in share.works if i in work.missing]
                    for work in takers:
                        trunks.start(work, i, there)
                    started += len(takers)
            trunks.settle(started if cuda else 0)  # a device computes these while the next are decoded
            yield
            if not any(_key(work) in trunks.placed for work in works):
                return
        trunks.settle()


def _courses(extractions: Sequence[Extraction]) -> Iterator[_Course]:
    """Bring together what can be decoded together: sets of the same pictures, in their order, seen alike."""
    sets: dict[tuple[str, str], list[Extraction]] = {}
    for work in extractions:
        if work.missing:
            sets.setdefault((work.wanted.images.fingerprint(), work.wanted.seen), []).append(work)
    of: dict[tuple[str, ...], list[_Share]] = {}
    for (fingerprint, seen), works in sets.items():
        share = _share(works)
        ordered = bool((np.diff(share.rows) > 0).all())
        held = works[0].wanted.images.images.digest()
        of.setdefault((held, seen) if ordered else (held, seen, fingerprint), []).append(share)
    for shares in of.values():
        images = shares[0].works[0].wanted.images.images
        if len(shares) == 1:
            yield _Course(images, shares, shares[0].rows)
            continue
        for share in shares:
            share.needed = np.zeros(len(images), np.bool_)
            share.needed[share.rows] = True
        yield _Course(images, shares, np.unique(np.concatenate([share.rows for share in shares])))


def _share(works: list[Extraction]) -> _Share:
    images = works[0].wanted.images
    whole = np.arange(len(images)) if images.indices is None else np.asarray(images.indices, np.int64)
    missing = sorted({i for work in works for i in work.missing})
    todo = [(i, pieces(images)[i]) for i in missing]
    cuts = [(i, min(BATCH, piece.stop - low)) for i, piece in todo for low in piece[::BATCH]]
    return _Share(works, np.concatenate([whole[piece.start : piece.stop] for _, piece in todo]), deque(cuts))


def _all_of(images: Images) -> ImageSet:
    """All pictures held, as a set of no labels."""
    count = len(images)
    return ImageSet(images, np.zeros(count, np.int64), ("any",), ("",) * count)


def _piece(kept: KeptFeatures, piece: range) -> Path:
    return kept.pieces / f"{piece.start:09}.npy"
