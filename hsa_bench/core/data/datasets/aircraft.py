"""FGVC-Aircraft (Maji et al. 2013), by variant, read through torchvision."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data.datasets._listed import Listed, Wanted, classification
from hsa_bench.core.data.datasets._torchvision import opened
from hsa_bench.core.data.image_set import Classification, DatasetSpec

WANTED = Wanted(
    "aircraft",
    "fgvc-aircraft-2013b",
    "fgvc-aircraft-2013b.tar.gz (robots.ox.ac.uk/~vgg/data/fgvc-aircraft), extracted",
)


def load(root: Path) -> Classification:
    """Open `root/aircraft` or `root`, whichever holds the extracted archive."""
    from torchvision.datasets import FGVCAircraft

    place = WANTED.found(root)
    train, test = (
        Listed(found._image_files, found._labels, found.classes)
        for found in (
            opened(FGVCAircraft, place, f"{WANTED}", split=split, annotation_level="variant")
            for split in ("trainval", "test")
        )
    )
    return classification(WANTED.name, place, [train], test)


DATASET = DatasetSpec(name=WANTED.name, load=load, note="6,667 + 3,333 images of aircraft, 100 variants")
