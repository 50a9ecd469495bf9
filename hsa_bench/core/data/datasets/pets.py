"""Oxford-IIIT Pet (Parkhi et al. 2012), breeds, read through torchvision."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data.datasets._listed import Listed, Wanted, classification
from hsa_bench.core.data.datasets._torchvision import opened
from hsa_bench.core.data.image_set import Classification, DatasetSpec

WANTED = Wanted(
    "pets",
    "oxford-iiit-pet",
    "images.tar.gz and annotations.tar.gz (robots.ox.ac.uk/~vgg/data/pets), extracted in oxford-iiit-pet/",
)


def load(root: Path) -> Classification:
    """Open `root/pets` or `root`, whichever holds `oxford-iiit-pet/`."""
    from torchvision.datasets import OxfordIIITPet

    place = WANTED.found(root)
    train, test = (
        Listed(found._images, found._labels, found.classes)
        for found in (opened(OxfordIIITPet, place, f"{WANTED}", split=s) for s in ("trainval", "test"))
    )
    return classification(WANTED.name, place, [train], test)


DATASET = DatasetSpec(name=WANTED.name, load=load, note="3,680 + 3,669 images of cats and dogs, 37 breeds")
