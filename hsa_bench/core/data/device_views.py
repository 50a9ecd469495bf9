"""What a loader gives, as the network's input on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from hsa_bench.core.data.loading import Batch
from hsa_bench.core.data.views import Normalise


def normalised(batches: Iterable[Batch], normalise: Normalise, device: str) -> Iterator[Batch]:
    """The same batches, their views on the device as input, float32 [B, 3, S, S], channels last."""
    for views, labels, indices in batches:
        yield [on_device(view, normalise, device) for view in views], labels, indices


def on_device(pixels: Tensor, normalise: Normalise, device: str | torch.device) -> Tensor:
    """Carry pixels, uint8 [B, S, S, 3], to the device as they are and make input of them there."""
    return normalise.batch(pixels.to(device, non_blocking=True))
