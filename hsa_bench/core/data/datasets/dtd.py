"""Describable Textures (Cimpoi et al. 2014), the first of its ten splits, read through torchvision."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data.datasets._listed import Listed, Wanted, classification
from hsa_bench.core.data.datasets._torchvision import opened
from hsa_bench.core.data.image_set import Classification, DatasetSpec

WANTED = Wanted("dtd", "dtd/dtd", "dtd-r1.0.1.tar.gz (robots.ox.ac.uk/~vgg/data/dtd), extracted in dtd/")


def load(root: Path) -> Classification:
    """Open `root/dtd` or `root`, whichever holds `dtd/dtd/`; training includes validation."""
    from torchvision.datasets import DTD

    place = WANTED.found(root)
    *train, test = (
        Listed(found._image_files, found._labels, found.classes)
        for found in (opened(DTD, place, f"{WANTED}", split=split) for split in ("train", "val", "test"))
    )
    return classification(WANTED.name, place, train, test)


DATASET = DatasetSpec(name=WANTED.name, load=load, note="3,760 + 1,880 images of textures, 47 classes")
