"""A frozen ResNet-50 over many pictures: the bare forward, our pass from memory and files, eight of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import torch
from torch import Tensor, nn

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.cores import own_cores
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import CentreView, View, centre_view
from hsa_bench.core.features.decode_ahead import BATCH, decoded
from hsa_bench.core.features.extract import extract_wanted
from hsa_bench.core.features.extraction import Extraction
from hsa_bench.core.features.feed import feed, raised
from hsa_bench.core.features.forward import batches
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from tools.device.measure import Bench, Measurement
from tools.device.row import Row
from tools.device.speed.photographs import as_files, in_memory

BACKBONES = 8


def network(bench: Bench, init: int = 0) -> Backbone:
    """Of random weights, as fast as any."""
    arch = "resnet18-w8-s2" if bench.tiny else "resnet50"
    return open_backbone(BackboneRequest(label=f"random {init}", arch=arch, init=init))


def context(bench: Bench) -> Context:
    """With a cache that vanishes."""
    return Context(data_root=bench.scratch, cache=bench.scratch / "cache", device=bench.device)


def from_memory(bench: Bench) -> list[Row]:
    """The bare forward on a batch that is there already, and our pass over as many pictures in memory."""
    side, number = bench.size(224, 32), bench.size(16_384, 48)
    images, backbone = in_memory(number, side), network(bench)
    batch = min(number, BATCH)
    bare = batch / bench.seconds(_bare(backbone.module, batch, side, bench), 20)
    view, ctx = centre_view(View(side, side), backbone.card), context(bench)

    def ours() -> None:
        for _ in batches(backbone.module, images, range(number), view, ctx, "bfloat16"):
            pass

    passed = number / bench.seconds(ours, 2)
    return [
        Row("bare forward, the batch on the device", bare, "images/s"),
        Row("our pass, from memory", passed, "images/s"),
        Row("our pass over the bare forward", passed / bare, relation="at least", aim=0.9),
    ]


def _bare(module: nn.Module, batch: int, side: int, bench: Bench) -> Callable[[], Tensor]:
    memory = torch.channels_last
    x = torch.randn(batch, 3, side, side, device=bench.device).to(memory_format=memory)
    kind = torch.device(bench.device).type
    module.to(bench.device).to(memory_format=memory).eval()

    @torch.inference_mode()
    def forward() -> Tensor:
        with torch.autocast(kind, torch.bfloat16):
            return module(x)

    return forward


def from_files(bench: Bench) -> list[Row]:
    """One backbone over JPEG files: decoding alone, and all of an extraction with its features on file."""
    data = as_files(bench.scratch, bench.size(8192, 16))
    images, view, ctx = data.train, View(bench.size(224, 32), bench.size(256, 36)), context(bench)
    backbone = network(bench)
    crop = centre_view(view, backbone.card)
    images.fingerprint()  # of the files, once a data set
    decoding = len(images) / bench.seconds(lambda: _decode(images, crop, bench), 1)
    assert backbone.print  # once a backbone
    all_of_it = len(images) / bench.seconds(_Apart([backbone], Wanted(images, view, "bfloat16"), ctx), 1)
    return [
        Row("decoding and cropping alone", decoding, "images/s", note=f"{own_cores()} cores"),
        Row("extraction from JPEG files", all_of_it, "images/s"),
        Row("extraction over decoding alone", all_of_it / decoding),
    ]


def _decode(images: ImageSet, view: CentreView, bench: Bench) -> None:
    for _ in decoded(images, range(len(images)), view, workers=0, pin=bench.on_gpu):
        pass


def eight(bench: Bench) -> list[Row]:
    """Eight backbones over the same JPEG files, fed from one stream, against one of them."""
    data = as_files(bench.scratch, bench.size(4096, 16))
    wanted = Wanted(data.train, View(bench.size(224, 32), bench.size(256, 36)), "bfloat16").on(bench.device)
    data.train.fingerprint()
    backbones = [network(bench, init) for init in range(bench.size(BACKBONES, 2))]
    several = f"{len(backbones)} backbones"
    assert all(one.print for one in backbones)  # once a backbone
    one = bench.seconds(_Together(backbones[:1], wanted, context(bench)), 1)
    together = bench.seconds(_Together(backbones, wanted, context(bench)), 1)
    apart = bench.seconds(_Apart(backbones, wanted, context(bench)), 1)
    return [
        Row("one backbone", one, "s"),
        Row(f"{several}, one decode", together, "s"),
        Row(f"{several}, one after the other", apart, "s"),
        Row(f"{several} over one", together / one, "", "at most", 2.0, note="where decoding is the limit"),
    ]


@dataclass
class _Together:
    """Makes the features of some backbones in one pass, each time anew."""

    backbones: list[Backbone]
    wanted: Wanted
    ctx: Context
    turn: Iterator[int] = field(default_factory=count)

    def __call__(self) -> None:
        works = [Extraction(one, self.wanted, self.wanted.files(one, self.cache())) for one in self.backbones]
        for work in works:
            work.begin()
        feed(works, self.ctx, "features", raised)
        for work in works:
            work.join()

    def cache(self) -> Path:
        """A folder where nothing is yet."""
        return self.ctx.cache / type(self).__name__ / f"{len(self.backbones)} {next(self.turn)}"


class _Apart(_Together):
    """Makes them one after the other."""

    def __call__(self) -> None:
        fresh = replace(self.ctx, cache=self.cache())
        for one in self.backbones:
            extract_wanted(one, self.wanted, fresh)


MEASUREMENTS = (
    Measurement("a pass from memory", 60, from_memory),
    Measurement("a pass from JPEG files", 90, from_files),
    Measurement("several backbones from JPEG files", 150, eight),
)
