"""Food-101 (Bossard et al. 2014), read through torchvision."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data.datasets._listed import Listed, Wanted, classification
from hsa_bench.core.data.datasets._torchvision import opened
from hsa_bench.core.data.image_set import Classification, DatasetSpec

WANTED = Wanted("food101", "food-101", "food-101.tar.gz (data.vision.ee.ethz.ch/cvl), extracted")


def load(root: Path) -> Classification:
    """Open `root/food101` or `root`, whichever holds the extracted archive."""
    from torchvision.datasets import Food101

    place = WANTED.found(root)
    train, test = (
        Listed(found._image_files, found._labels, found.classes)
        for found in (opened(Food101, place, f"{WANTED}", split=split) for split in ("train", "test"))
    )
    return classification(WANTED.name, place, [train], test)


DATASET = DatasetSpec(name=WANTED.name, load=load, note="75,750 + 25,250 images of dishes, 101 classes")
