"""Test images that a backbone was pretrained on, by the hashes in its checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.features.image_hashes import image_hashes, shared
from hsa_bench.core.files import whole_file
from hsa_bench.core.models.backbone import Backbone, Hashes
from hsa_bench.core.processes import rank
from hsa_bench.core.results.result import Overlap


def overlap(backbone: Backbone, data: Any, ctx: Context) -> Overlap | None:
    """Count the test images that the backbone was pretrained on; None where its file holds no hashes.

    Args:
        backbone: What is measured.
        data: A data set for classification or detection.
        ctx: Hashes of a test split are kept in its cache.
    """
    if backbone.seen is None or rank() > 0:
        return None
    tested = _hashes(data, ctx)
    return Overlap(shared=shared(tested, backbone.seen), tested=len(tested))


def _hashes(data: Any, ctx: Context) -> Hashes:
    path = ctx.cache / "hashes" / f"{data.fingerprint()[:32]}.npy"
    if path.exists():
        return np.load(path)
    pictures = data.test if isinstance(data, Classification) else data.val.images
    found = image_hashes(pictures, ctx)
    with whole_file(path) as out:
        np.save(out, found)
    return found
