"""Pooled features of un-augmented images, shared out between processes, in bounded memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import CentreView
from hsa_bench.core.features.decode_ahead import BATCH
from hsa_bench.core.features.forward import batches
from hsa_bench.core.processes import own_range

IN_MEMORY = 2**30
"""Bytes of features kept in memory; more go to a scratch file that vanishes with the run."""


def embed(trunk: nn.Module, images: ImageSet, transform: CentreView, ctx: Context, what: str) -> Tensor:
    """Extract features of this process's share of the images, [n, D], float32, unit length, on the CPU.

    The trunk is left in its mode.

    Args:
        trunk: [B, 3, H, W] to [B, D].
        images: All of them; the share is `processes.own_range`.
        transform: The un-augmented view.
        ctx: Where to compute.
        what: For the progress bar.
    """
    share = own_range(len(images))
    parts = batches(trunk, images, share, transform, ctx)
    features = torch.empty(0)
    done = 0
    for part in ctx.track(parts, what, -(-len(share) // BATCH)):
        if not done:
            features = _room(len(share), part.shape[1], ctx.cache)
        features[done : done + len(part)] = F.normalize(part, dim=1)
        done += len(part)
    return features


def _room(rows: int, width: int, folder: Path) -> Tensor:
    size = rows * width * 4
    if size <= IN_MEMORY:
        return torch.empty(rows, width)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, size)  # so that a full disk is an error here, not a crash later
        return torch.from_numpy(np.memmap(file, np.float32, "r+", shape=(rows, width)))
