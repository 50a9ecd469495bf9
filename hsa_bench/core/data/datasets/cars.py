"""Stanford Cars (Krause et al. 2013), read through torchvision."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data.datasets._listed import Listed, Wanted, classification
from hsa_bench.core.data.datasets._torchvision import opened
from hsa_bench.core.data.image_set import Classification, DatasetSpec

WANTED = Wanted(
    "cars",
    "stanford_cars",
    "cars_train.tgz, cars_test.tgz and car_devkit.tgz, extracted in stanford_cars/, and "
    "cars_test_annos_withlabels.mat beside them (ai.stanford.edu/~jkrause/cars, no longer served there)",
)


def load(root: Path) -> Classification:
    """Open `root/cars` or `root`, whichever holds `stanford_cars/`."""
    from torchvision.datasets import StanfordCars

    place = WANTED.found(root)
    train, test = (
        Listed([file for file, _ in found._samples], [int(c) for _, c in found._samples], found.classes)
        for found in (opened(StanfordCars, place, f"{WANTED}", split=split) for split in ("train", "test"))
    )
    return classification(WANTED.name, place, [train], test)


DATASET = DatasetSpec(name=WANTED.name, load=load, note="8,144 + 8,041 images of cars, 196 classes")
