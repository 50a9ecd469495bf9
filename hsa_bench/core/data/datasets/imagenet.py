"""ImageNet-1k (Deng 2009) as `train/` and `val/`, one folder a class: the usual extracted layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hsa_bench.core.data.datasets import _imagefolder
from hsa_bench.core.data.image_set import Classification, DatasetSpec


def load(root: Path) -> Classification:
    """Open `root/imagenet` or `root`, whichever holds `train/`; 224 px crops of 256 px."""
    folder = root / "imagenet" if (root / "imagenet" / "train").is_dir() else root
    return replace(_imagefolder.load(folder, "imagenet"), image_size=224, resize=256)


DATASET = DatasetSpec(name="imagenet", load=load, note="1.28 million + 50,000 images, 1,000 classes")
