"""Evaluators outside the repository: one that works, and one for each way to fail."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic.dataclasses import dataclass

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.metric import top1
from hsa_bench.core.results.outcomes import ClassificationOutcomes
from hsa_bench.core.runs.task import SETTINGS, ClassificationTask, Outcome

NAMES = ("norm", "raises", "killed", "moves-trunk")


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Norm(ClassificationTask):
    """Says of how many test images the features are longer than `above`."""

    version: ClassVar[int] = 1
    main_metric: ClassVar[str] = "top1"
    frozen: ClassVar[bool] = True
    seeded: ClassVar[bool] = True

    above: float = 1.0
    flag: str = ""
    """While this file exists, the unhappy variants misbehave."""

    @property
    def protocol(self) -> str:
        return f"Share of test images whose features are longer than {self.above}."

    def unsupported(self, backbone: Backbone) -> str:
        return "nothing to move in pixels" if self.name == "moves-trunk" and backbone.arch == "pixels" else ""

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        if self.flag and Path(self.flag).exists():
            self.misbehave(backbone)
        data = data.limited(limit)
        pictures = [
            np.asarray(data.test.picture(i), dtype=np.float32) for i in range(min(20, len(data.test)))
        ]
        x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            long = backbone.module(x).norm(dim=1) > self.above + seed
        rows = len(pictures)
        outcomes = ClassificationOutcomes(
            example=np.array(data.test.examples[:rows]),
            label=data.test.labels[:rows],
            prediction=long.numpy().astype(np.int64),
            score=np.ones(rows, dtype=np.float32),
            top5=np.ones(rows, dtype=np.bool_),
        )
        return Outcome(metrics=(top1(float(long.double().mean() * 100)),), examples=outcomes)

    def misbehave(self, backbone: Backbone) -> None:
        if self.name == "raises":
            raise ValueError("the sensor is unplugged")
        if self.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name == "moves-trunk":
            backbone.module.train()(torch.rand(4, 3, 32, 32))


TASKS = tuple(Norm(name=name) for name in NAMES)
