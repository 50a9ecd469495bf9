"""Several trunks fed from one stream of pictures: their files are those of one extraction after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import View
from hsa_bench.core.features import extraction, forward
from hsa_bench.core.features.extract import extract_wanted
from hsa_bench.core.features.extraction import Extraction
from hsa_bench.core.features.feed import feed
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.preprocess import CAFFE, Preprocess
from hsa_bench.core.results.result import Source

SIDE = 16


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "BATCH", 4)
    monkeypatch.setattr(forward, "BATCH", 4)
    monkeypatch.setattr(extraction, "PIECE", 8)


class Counted:
    """Pictures that remember which of them were decoded."""

    def __init__(self, count: int, seed: int = 0) -> None:
        shape = count, SIDE + 4, SIDE, 3
        self.pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        self.decoded: list[int] = []

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Image.Image:
        self.decoded.append(index)
        return Image.fromarray(self.pixels[index])

    @property
    def side(self) -> int:
        return 0

    def digest(self) -> str:
        return f"{self.pixels.sum()}"


def images_of(held: Counted) -> ImageSet:
    return ImageSet(held, np.arange(len(held)) % 2, ("a", "b"), tuple(map(str, range(len(held)))))


def backbone(module: nn.Module, label: str, card: Preprocess | None = None) -> Backbone:
    return Backbone(
        label=label,
        arch=label,
        module=module.eval(),
        dim=getattr(module, "dim", 3),
        card=card or Preprocess(),
        weights=weights_hash(module),
        source=Source(path="test", format="control"),
    )


class Pooled(nn.Module):
    """The mean pixel; `happens` is called with the images seen before each batch."""

    dim = 3

    def __init__(self, happens: Callable[[int], None] = lambda seen: None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.happens, self.seen = happens, 0

    def forward(self, x: Tensor) -> Tensor:
        self.happens(self.seen)
        self.seen += len(x)
        return x.mean((2, 3)) * self.scale


@cache
def resnet(label: str, card: Preprocess) -> Backbone:
    """Made once, as its print takes a while."""
    return backbone(build("resnet18-w8-cifar", seed=len(label)), label, card)


def trunks() -> list[Backbone]:
    """Networks and cards of several kinds."""
    return [resnet("resnet", Preprocess()), resnet("caffe", CAFFE), backbone(Pooled(), "pooled")]


def works(backbones: list[Backbone], wants: list[Wanted], ctx: Context) -> list[Extraction]:
    return [Extraction(one, want, want.files(one, ctx.cache)) for one in backbones for want in wants]


def fed(todo: list[Extraction], ctx: Context) -> tuple[int, dict[str, str]]:
    """Feed, and join those that came through; return what was decoded, and why others were lost."""
    lost: dict[str, str] = {}
    for work in todo:
        work.begin()
    count = feed(todo, ctx, "features", lambda one, error: lost.update({one.label: str(error)}))
    for work in todo:
        if work.backbone.label not in lost:
            work.join()
    return count, lost


def contents(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.rglob("*.npy")}


def wants_of(images: ImageSet) -> list[Wanted]:
    """Train, a part of it, and test; of the same pictures held, so that one decoding serves them all."""
    view = View(size=SIDE, resize=SIDE + 2, interpolation="bicubic")
    train, test = images.subset(range(21)), images.subset(range(21, 30))
    return [Wanted(one, view) for one in (train, train.subset([1, 2, 6, 7, 12, 18, 19]), test)]


def test_files_are_bit_by_bit_those_of_one_extraction_after_the_other(ctx: Context) -> None:
    held = Counted(30)
    wants = wants_of(images_of(held))
    wants[0] = replace(wants[0], layers=("stage1",))
    resnets = trunks()[:2]

    alone = replace(ctx, cache=ctx.cache / "alone")
    for one in trunks():
        for want in wants:
            extract_wanted(one, want if one.arch != "pooled" else replace(want, layers=("",)), alone)
    held.decoded.clear()
    shared = replace(ctx, cache=ctx.cache / "shared")
    plain = [replace(want, layers=("",)) for want in wants]
    count, lost = fed(works(resnets, wants, shared) + works(trunks()[2:], plain, shared), shared)

    assert not lost
    assert contents(shared.cache) == contents(alone.cache)
    assert len(contents(shared.cache)) == 2 * 4 + 3
    assert count == 30 and sorted(held.decoded) == list(range(30))


def test_images_in_another_order_or_seen_otherwise_have_a_stream_of_their_own(ctx: Context) -> None:
    held = Counted(12)
    images, view = images_of(held), View(size=SIDE, resize=SIDE)
    wants = [
        Wanted(images, view),
        Wanted(images.subset([5, 3, 3, 11]), view),
        Wanted(images, replace(view, size=8)),
    ]
    alone = replace(ctx, cache=ctx.cache / "alone")
    for want in wants:
        extract_wanted(backbone(Pooled(), "pooled"), want, alone)

    shared = replace(ctx, cache=ctx.cache / "shared")
    count, _ = fed(works([backbone(Pooled(), "pooled")], wants, shared), shared)

    assert count == 12 + 4 + 12
    assert contents(shared.cache) == contents(alone.cache)


def test_each_backbone_has_its_own_precision(ctx: Context) -> None:
    want = Wanted(images_of(Counted(9)), View(size=SIDE, resize=SIDE))
    low = replace(want, precision="bfloat16")
    alone = replace(ctx, cache=ctx.cache / "alone")
    for one in (want, low):
        extract_wanted(trunks()[0], one, alone)

    shared = replace(ctx, cache=ctx.cache / "shared")
    count, _ = fed(works(trunks()[:1], [want, low], shared), shared)

    assert count == 9
    assert contents(shared.cache) == contents(alone.cache)


def raising(error: Exception, after: int) -> Callable[[int], None]:
    def happens(seen: int) -> None:
        if seen >= after:
            raise error

    return happens


def broken() -> list[tuple[str, nn.Module]]:
    class Nan(Pooled):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / (self.seen < 16)

    return [
        ("infinite features", Nan()),
        ("out of memory", Pooled(raising(torch.cuda.OutOfMemoryError("out of memory"), 8))),
        ("of my own", Pooled(raising(RuntimeError("of my own"), 0))),
    ]


@pytest.mark.parametrize(("message", "module"), broken(), ids=[message for message, _ in broken()])
def test_one_that_fails_is_dropped_and_the_others_are_as_without_it(
    message: str, module: nn.Module, ctx: Context
) -> None:
    images = images_of(Counted(30))
    want = Wanted(images, View(size=SIDE, resize=SIDE))
    extract_wanted(trunks()[0], want, replace(ctx, cache=ctx.cache / "alone"))

    shared = replace(ctx, cache=ctx.cache / "shared")
    both = [backbone(module, "broken"), trunks()[0]]
    count, lost = fed(works(both, [want], shared), shared)

    assert list(lost) == ["broken"] and message in lost["broken"]
    assert count == 30
    found = {p.name: p.read_bytes() for p in (shared.cache / "features").glob("*.npy")}
    assert found == contents(ctx.cache / "alone")


def test_nothing_more_is_decoded_once_all_have_failed(ctx: Context) -> None:
    held = Counted(400)
    one = backbone(Pooled(raising(RuntimeError("broken"), 0)), "broken")

    count, _ = fed(works([one], [Wanted(images_of(held), View(size=SIDE, resize=SIDE))], ctx), ctx)

    assert count == 4
    assert len(held.decoded) < 100


def test_a_stopped_pass_goes_on_and_decodes_what_some_backbone_lacks(ctx: Context) -> None:
    held = Counted(30)
    want = Wanted(images_of(held), View(size=SIDE, resize=SIDE))
    alone = replace(ctx, cache=ctx.cache / "alone")
    for one in trunks()[1:]:
        extract_wanted(one, want, alone)

    def stop(seen: int) -> None:
        if seen == 20:  # in the third piece
            raise KeyboardInterrupt

    shared = replace(ctx, cache=ctx.cache / "shared")
    stopping = [trunks()[1], backbone(Pooled(stop), "pooled")]
    with pytest.raises(KeyboardInterrupt):
        fed(works(stopping, [want], shared), shared)
    held.decoded.clear()
    again = trunks()[1:]
    todo = works(again, [want], shared)
    first = todo[1].files[""].pieces / f"{8:09}.npy"
    first.unlink()  # of one backbone alone
    count, _ = fed(todo, shared)

    assert sorted(held.decoded) == list(range(8, 30)) and count == 22  # not the piece that both have
    assert again[1].module.seen == 22  # type: ignore[union-attr]
    assert contents(shared.cache) == contents(alone.cache)
