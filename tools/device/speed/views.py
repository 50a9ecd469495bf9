"""Views of pretraining: how many images a second the loop's loader gives."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.cores import own_cores
from hsa_bench.core.data.device_views import AugmentOn
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import View
from pretrain.loop import Training
from pretrain.settings import Settings
from tools.device.measure import Bench, Measurement
from tools.device.row import Row
from tools.device.speed.photographs import as_files, in_memory

Case = tuple[AugmentOn, int]
"""Where pixels are made, and how many loader processes there are."""


def views(bench: Bench, side: int, files: bool) -> list[Row]:
    """Two views of each picture as MoCo v2 has them, by Pillow in loader processes and by the device."""
    batch, side = bench.size(256, 4), bench.size(side, 16)
    images = as_files(bench.scratch, 17 * batch).train if files else in_memory(17 * batch, side)
    cores = bench.size(own_cores(), 0)
    cases: list[Case] = [("cpu", 0), ("cpu", cores), ("device", 0), ("device", cores)]
    speeds = {case: _speed(images, side, batch, case, bench) for case in dict.fromkeys(cases)}
    words = {"cpu": "by Pillow", "device": "by the device"}
    rows = [
        Row(f"{words[where]}, {workers} loader processes", speed, "images/s")
        for (where, workers), speed in speeds.items()
    ]
    best = {where: max(speed for case, speed in speeds.items() if case[0] == where) for where in words}
    return [*rows, Row("the best by the device over the best by Pillow", best["device"] / best["cpu"])]


def _speed(images: ImageSet, side: int, batch: int, case: Case, bench: Bench) -> float:
    where, workers = case
    settings = Settings(
        method="moco", batch=batch, queue=16 * batch, epochs=10, knn_every=0, augment_on=where
    )
    backbone = open_backbone(BackboneRequest(label="x", arch="resnet18-w8-s2"))
    ctx = Context(data_root=Path(), cache=bench.scratch, device=bench.device, workers=workers)
    epochs = range(2 + workers)
    loader = Training(settings, backbone, images, View(side, side), 0, ctx)._batches(epochs)
    # Each process makes whole batches, some of them ahead: several rounds of all of them. Alone it is slow.
    steps = bench.size(max(2, 4 * workers), 1)

    def several() -> None:
        for _ in islice(loader, steps):
            pass

    return steps * batch / bench.seconds(several, 1)


MEASUREMENTS = (
    Measurement("views of 32 px from memory", 60, partial(views, side=32, files=False)),
    Measurement("views of 224 px from JPEG files", 150, partial(views, side=224, files=True)),
)
