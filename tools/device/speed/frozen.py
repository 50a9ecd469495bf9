"""A frozen ResNet-50 over many pictures: the bare forward, our pass from memory and files, eight of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import CentreView, View, centre_view
from hsa_bench.core.features.decode_ahead import BATCH, decoded, own_cores
from hsa_bench.core.features.extract import extract
from hsa_bench.core.features.forward import batches
from hsa_bench.core.models.backbone import Backbone
from tools.device.measured import Bench, Measurement
from tools.device.row import Row
from tools.device.speed.photographs import as_files, in_memory, rows

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
    side, count = bench.size(224, 32), bench.size(16_384, 48)
    images, backbone = in_memory(count, side), network(bench)
    bare = min(count, BATCH) / bench.seconds(_bare(backbone.module, min(count, BATCH), side, bench), 20)
    view, ctx = centre_view(View(side, side), backbone.card), context(bench)

    def ours() -> None:
        for _ in batches(backbone.module, images, rows(images), view, ctx, "bfloat16"):
            pass

    passed = count / bench.seconds(ours, 2)
    return [
        Row("bare forward, the batch on the device", bare, "images/s"),
        Row("our pass, from memory", passed, "images/s"),
        Row("our pass over the bare forward", passed / bare, relation="at least", aim=0.9),
    ]


def _bare(module: nn.Module, count: int, side: int, bench: Bench) -> Callable[[], Tensor]:
    memory = torch.channels_last
    x = torch.randn(count, 3, side, side, device=bench.device).to(memory_format=memory)
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
    all_of_it = len(images) / _extracted([backbone], images, view, ctx, bench)
    return [
        Row("decoding and cropping alone", decoding, "images/s", note=f"{own_cores()} cores"),
        Row("extraction from JPEG files", all_of_it, "images/s"),
        Row("extraction over decoding alone", all_of_it / decoding),
    ]


def _decode(images: ImageSet, view: CentreView, bench: Bench) -> None:
    for _ in decoded(images, rows(images), view, workers=0, pin=bench.on_gpu):
        pass


def eight(bench: Bench) -> list[Row]:
    """Eight backbones over the same JPEG files, each asked for one after the other, against one of them."""
    data = as_files(bench.scratch, bench.size(4096, 16))
    images, view, ctx = data.train, View(bench.size(224, 32), bench.size(256, 36)), context(bench)
    images.fingerprint()
    backbones = [network(bench, init) for init in range(bench.size(BACKBONES, 2))]
    one = _extracted(backbones[:1], images, view, ctx, bench)
    several = _extracted(backbones, images, view, ctx, bench)
    return [
        Row("one backbone", one, "s"),
        Row(f"{len(backbones)} backbones", several, "s"),
        Row(
            f"{len(backbones)} backbones over one",
            several / one,
            relation="at most",
            aim=2.0,
            note="where decoding is the limit",
        ),
    ]


def _extracted(backbones: list[Backbone], images: ImageSet, view: View, ctx: Context, bench: Bench) -> float:
    """Seconds until all have their features on file, as nothing was there before."""
    turn = iter(range(10))

    def work() -> None:
        fresh = replace(ctx, cache=ctx.cache / str(next(turn)))
        for backbone in backbones:
            extract(backbone, images, view, fresh, "bfloat16")

    return bench.seconds(work, 1)


MEASUREMENTS = (
    Measurement("a pass from memory", 60, from_memory),
    Measurement("a pass from JPEG files", 90, from_files),
    Measurement("several backbones from JPEG files", 150, eight),
)
