"""Views of pretraining: how many images a second the loop's loader gives."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.views import View
from pretrain.loop import Training
from pretrain.settings import Settings
from tools.device.measured import Bench, Measurement
from tools.device.row import Row
from tools.device.speed.photographs import as_files, in_memory


def views(bench: Bench, side: int, files: bool) -> list[Row]:
    """Two views of each picture as MoCo v2 has them, with no loader processes and with one for each core."""
    batch, side = bench.size(256, 4), bench.size(side, 16)
    count, steps = 17 * batch, bench.size(12, 1)
    images = as_files(bench.scratch, count).train if files else in_memory(count, side)
    backbone = open_backbone(BackboneRequest(label="x", arch="resnet18-w8-s2"))
    settings = Settings(method="moco", batch=batch, queue=16 * batch, epochs=10, knn_every=0)
    ctx = Context(data_root=Path(), cache=bench.scratch, device=bench.device)
    rows = []
    for workers in dict.fromkeys((0, bench.size(os.cpu_count() or 1, 0))):
        work = Training(settings, backbone, images, View(side, side), 0, replace(ctx, workers=workers))
        loader = work._batches(range(2))

        def several() -> None:
            for _ in islice(loader, steps):  # noqa: B023 (called before the next one is made)
                pass

        speed = steps * batch / bench.seconds(several, 1)
        rows.append(Row(f"{workers} loader processes", speed, "images/s"))
    return rows


MEASUREMENTS = (
    Measurement("views of 32 px from memory", 60, partial(views, side=32, files=False)),
    Measurement("views of 224 px from JPEG files", 90, partial(views, side=224, files=True)),
)
