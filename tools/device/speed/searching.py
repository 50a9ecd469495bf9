"""kNN at ImageNet's size: 50,000 queries among 1.28 million features of a ResNet-50 in half precision."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from hsa_bench.core.features.neighbours import cast_votes, search
from tools.device.measure import Bench, Measurement
from tools.device.row import Row

K = 200


def imagenet(bench: Bench) -> list[Row]:
    """The search and the vote, and a plain product and choice of the largest with the bank on the device."""
    queries, count, width = bench.size(50_000, 50), bench.size(1_280_000, 400), bench.size(2048, 32)
    bank = torch.empty(count, width, dtype=torch.float16)
    g = torch.Generator(bench.device).manual_seed(0)
    for part in bank.split(2**16):
        part.copy_(normalize(torch.randn(part.shape, generator=g, device=bench.device), dim=1))
    query = normalize(torch.randn(queries, width, generator=g, device=bench.device), dim=1)
    labels = torch.randint(1000, (count,), generator=g, device=bench.device)

    def ours() -> None:
        cast_votes(search(query, bank, K), labels, 1000, 0.07)

    ours_seconds = bench.seconds(ours, 1)
    there = bank.to(bench.device)

    def plain() -> None:
        for rows in query.to(there.dtype).split(1024):
            (rows @ there.T).topk(min(K, count), dim=1)

    plain_seconds = bench.seconds(plain, 1)
    return [
        Row("our search and vote, the bank in the CPU's memory", ours_seconds, "s"),
        Row("plain product in half precision, the bank on the device", plain_seconds, "s"),
        Row("ours over plain", ours_seconds / plain_seconds, note="ours multiplies in float32"),
    ]


MEASUREMENTS = (Measurement("kNN of 50,000 among 1.28 million", 120, imagenet),)
