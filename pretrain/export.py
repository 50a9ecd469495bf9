"""The checkpoint that pretraining hands over: trunk, settings, data, budget; tensors and plain values."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import torch

from hsa_bench.core.formats.own import MARK
from hsa_bench.core.result import Budget
from hsa_bench.core.store import whole_file
from pretrain.loop import Training
from pretrain.settings import Settings


def budget(training: Training, dataset: str) -> Budget:
    """What the training cost, and which of its settings are not the defaults."""
    settings = training.settings
    drawn = len(training.images) // settings.batch * settings.batch
    return Budget(
        method=settings.method,
        dataset=dataset,
        epochs=settings.epochs,
        images=settings.epochs * drawn,
        views=training.method.views,
        seconds=training.progress.seconds,
        seed=training.seed,
        notes=departures(settings),
    )


def departures(settings: Settings) -> tuple[str, ...]:
    """Settings other than the defaults, which are MoCo v2's and HSA's: "batch 64 (256)"."""
    usual = Settings()
    return tuple(
        f"{f.name} {getattr(settings, f.name)} ({getattr(usual, f.name)})"
        for f in fields(Settings)
        if f.name not in {"method", "knn_every"} and getattr(settings, f.name) != getattr(usual, f.name)
    )


def export(training: Training, path: Path, spent: Budget) -> None:
    """Write the query trunk under torchvision's names; readable with `weights_only`."""
    trunk = training.method.encoder.trunk
    with whole_file(path) as file:
        torch.save(
            {
                "format": MARK,
                "arch": training.backbone.arch,
                "state_dict": {k: v.cpu() for k, v in trunk.state_dict().items()},
                "card": training.backbone.card.as_dict(),
                "settings": asdict(training.settings),
                "data": training.images.fingerprint(),
                "budget": spent.model_dump(),
            },
            file,
        )
