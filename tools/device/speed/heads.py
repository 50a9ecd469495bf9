"""Linear classifiers side by side: an epoch of thirty against one, on features in the device's memory."""

from __future__ import annotations

import torch

from eval_tasks._linear.heads import Heads
from tools.device.measure import Bench, Measurement
from tools.device.row import Row

BATCH, CLASSES = 256, 1000


def thirty(bench: Bench) -> list[Row]:
    """Each trains on the same batches."""
    count, width = bench.size(50_000, 512), bench.size(2048, 16)
    x = torch.randn(count, width, device=bench.device)
    labels = torch.arange(count, device=bench.device) % bench.size(CLASSES, 10)
    seconds = {heads: bench.seconds(_Epoch(x, labels, heads, bench), 2) for heads in (1, 30, 60)}
    rows = [Row(f"{heads} heads, an epoch of {count:,}", time, "s") for heads, time in seconds.items()]
    ratio = seconds[30] / seconds[1]
    return [*rows, Row("thirty over one", ratio, relation="at most", aim=2.5)]


class _Epoch:
    """A pass over the features."""

    def __init__(self, x: torch.Tensor, labels: torch.Tensor, heads: int, bench: Bench) -> None:
        self.x, self.labels = x, labels
        rates = torch.logspace(-3, 0, heads, device=bench.device)
        classes = bench.size(CLASSES, 10)
        weight = torch.zeros(heads, classes, x.shape[1], device=bench.device)
        self.heads = Heads(weight, weight[..., 0].clone(), rates, 0 * rates, 0.9)
        self.keep = torch.ones(BATCH, heads, dtype=torch.bool, device=bench.device)

    def __call__(self) -> None:
        for rows in torch.arange(len(self.x), device=self.x.device).split(BATCH):
            self.heads.step(self.x[rows], self.labels[rows], self.keep[: len(rows)])


MEASUREMENTS = (Measurement("linear classifiers side by side", 60, thirty),)
