"""Neighbours of features among a bank's, by the cosine between them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hsa_bench.core.features.extract import Features, FeatureSet
from hsa_bench.core.features.neighbours import Neighbours, cast_votes, search


def lengths(bank: FeatureSet) -> Tensor:
    """Euclidean length of each feature, [N], a block at a time."""
    parts = [bank.rows(slice(low, low + 2**14)).norm(dim=1) for low in range(0, len(bank.labels), 2**14)]
    return torch.cat(parts).clamp_min(1e-12)


def nearest(queries: FeatureSet, bank: FeatureSet, length: Tensor, k: int, device: str) -> Neighbours:
    """The k most similar bank entries of each query, by exact search.

    Args:
        queries: Of any length.
        bank: Of any length.
        length: As `lengths` gives them, [N].
        k: The whole bank if it is smaller.
        device: Where to search.
    """
    unit = normalize(queries.rows().to(device), dim=1)
    return search(unit, bank.features, k, scale=1 / length)


def voted(features: Features, k: int, temperature: float, device: str) -> Tensor:
    """Votes of the k nearest training images for each test image, [N, C], on the CPU; see `cast_votes`."""
    train = features.train
    found = nearest(features.test, train, lengths(train), min(k, len(train.labels)), device)
    return cast_votes(found, train.labels.to(device), train.classes, temperature).cpu()
