"""Oxford 102 Flowers (Nilsback and Zisserman 2008), read through torchvision."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data.datasets._listed import Listed, Wanted, classification
from hsa_bench.core.data.datasets._torchvision import opened
from hsa_bench.core.data.image_set import Classification, DatasetSpec

WANTED = Wanted(
    "flowers102",
    "flowers-102/jpg",
    "102flowers.tgz, extracted in flowers-102/, with imagelabels.mat and setid.mat beside jpg/ "
    "(robots.ox.ac.uk/~vgg/data/flowers/102)",
)

# The archive numbers its classes and older releases of torchvision have no names for them.
CLASSES = (  # noqa: SIM905 (a list would be 102 lines)
    "pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea, english marigold, tiger lily, "
    "moon orchid, bird of paradise, monkshood, globe thistle, snapdragon, colt's foot, king protea, spear "
    "thistle, yellow iris, globe-flower, purple coneflower, peruvian lily, balloon flower, giant white "
    "arum lily, fire lily, pincushion flower, fritillary, red ginger, grape hyacinth, corn poppy, prince "
    "of wales feathers, stemless gentian, artichoke, sweet william, carnation, garden phlox, love in the "
    "mist, mexican aster, alpine sea holly, ruby-lipped cattleya, cape flower, great masterwort, siam "
    "tulip, lenten rose, barbeton daisy, daffodil, sword lily, poinsettia, bolero deep blue, wallflower, "
    "marigold, buttercup, oxeye daisy, common dandelion, petunia, wild pansy, primula, sunflower, "
    "pelargonium, bishop of llandaff, gaura, geranium, orange dahlia, pink-yellow dahlia?, cautleya "
    "spicata, japanese anemone, black-eyed susan, silverbush, californian poppy, osteospermum, spring "
    "crocus, bearded iris, windflower, tree poppy, gazania, azalea, water lily, rose, thorn apple, "
    "morning glory, passion flower, lotus, toad lily, anthurium, frangipani, clematis, hibiscus, "
    "columbine, desert-rose, tree mallow, magnolia, cyclamen, watercress, canna lily, hippeastrum, bee "
    "balm, ball moss, foxglove, bougainvillea, camellia, mallow, mexican petunia, bromelia, blanket "
    "flower, trumpet creeper, blackberry lily"
).split(", ")


def load(root: Path) -> Classification:
    """Open `root/flowers102` or `root`, whichever holds `flowers-102/`; training includes validation."""
    from torchvision.datasets import Flowers102

    place = WANTED.found(root)
    *train, test = (
        Listed(found._image_files, found._labels, CLASSES)
        for found in (
            opened(Flowers102, place, f"{WANTED}", split=split) for split in ("train", "val", "test")
        )
    )
    return classification(WANTED.name, place, train, test)


DATASET = DatasetSpec(name=WANTED.name, load=load, note="2,040 + 6,149 images of flowers, 102 classes")
