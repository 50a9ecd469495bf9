"""Features of an image set, extracted once and cached under everything that can change them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsa_bench.core.backbone import Backbone
from hsa_bench.core.data import Classification, ImageSet
from hsa_bench.core.loading import ordered
from hsa_bench.core.store import whole_file
from hsa_bench.core.task import Context
from hsa_bench.core.views import View, centre_view

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
        features = _forward(backbone, images, view, ctx)
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


def _forward(backbone: Backbone, images: ImageSet, view: View, ctx: Context) -> np.ndarray:
    module = backbone.module.to(ctx.device).eval()
    loader = ordered(images, centre_view(view, backbone.card), BATCH, ctx.workers)
    rows = []
    with torch.inference_mode():
        for (x,), _, _ in ctx.track(loader, f"features of {backbone.label}", len(loader)):
            rows.append(module(x.to(ctx.device)).float().cpu())
    features = torch.cat(rows)
    if not torch.isfinite(features).all():
        bad = int((~torch.isfinite(features).all(1)).sum())
        raise ValueError(f"{backbone.label}: {bad} of {len(features)} images give NaN or infinite features")
    return features.numpy()
