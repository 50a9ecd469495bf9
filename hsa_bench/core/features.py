"""Features of an image set, extracted once and cached under everything that can change them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import Classification, ImageSet
from hsa_bench.core.loading import ordered
from hsa_bench.core.store import whole_file
from hsa_bench.core.task import Context
from hsa_bench.core.views import Transform, View, centre_view

VERSION = 1
"""Raised when the computation changes a feature."""

BATCH = 256


@dataclass(frozen=True)
class FeatureSet:
    """Features of one split, in data set order."""

    features: Tensor
    """[N, D], float32."""
    labels: Tensor
    """[N], int64."""
    classes: int
    key: str


@dataclass(frozen=True)
class Features:
    """Both splits of a data set through one backbone."""

    train: FeatureSet
    test: FeatureSet


def extract_both(backbone: Backbone, data: Classification, view: View, ctx: Context) -> Features:
    """Features of train and test; see `extract`."""
    return Features(
        train=extract(backbone, data.train, view, ctx),
        test=extract(backbone, data.test, view, ctx),
    )


def extract(backbone: Backbone, images: ImageSet, view: View, ctx: Context) -> FeatureSet:
    """Features of every image through the centre view, from the cache if they were made before.

    Raises:
        ValueError: The backbone gives NaN or infinite features.
    """
    key = _key(backbone, images, view)
    path = ctx.cache / "features" / f"{key}.npy"
    if path.exists():
        features = np.load(path)
    else:
        transform = centre_view(view, backbone.card)
        try:
            found = forward_all(backbone.module, images, transform, ctx, f"features of {backbone.label}")
        except ValueError as error:
            raise ValueError(f"{backbone.label}: {error}") from error
        features = found.numpy()
        with whole_file(path) as file:
            np.save(file, features)
    return FeatureSet(
        features=torch.from_numpy(features),
        labels=torch.from_numpy(images.labels),
        classes=len(images.classes),
        key=key,
    )


def _key(backbone: Backbone, images: ImageSet, view: View) -> str:
    identity = {
        "version": VERSION,
        "backbone": backbone.id.model_dump(),
        "images": images.fingerprint(),
        "view": [view.size, view.resize, view.interpolation],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def frozen_forward(module: nn.Module, x: Tensor, device: str) -> Tensor:
    """Features of one batch, [B, D], float32 on `device`: eval mode, no gradients.

    Raises:
        ValueError: The module gives NaN or infinite features.
    """
    module.to(device).eval()
    with torch.no_grad():
        # Channels last is a third faster on CPU; set here, so that it does not depend on who collated.
        features = module(x.to(device, memory_format=torch.channels_last)).float()
    bad = int((~torch.isfinite(features).all(1)).sum())
    if bad:
        raise ValueError(f"{bad} of {len(x)} images give NaN or infinite features")
    return features


def forward_all(
    module: nn.Module, images: ImageSet, transform: Transform, ctx: Context, description: str
) -> Tensor:
    """Features of every image through one view, [N, D], on the CPU; the module is left in its mode.

    Raises:
        ValueError: The module gives NaN or infinite features.
    """
    was = module.training
    loader = ordered(images, transform, BATCH, ctx.workers)
    try:
        batches = ctx.track(loader, description, len(loader))
        return torch.cat([frozen_forward(module, x, ctx.device).cpu() for (x,), _, _ in batches])
    finally:
        module.train(was)
