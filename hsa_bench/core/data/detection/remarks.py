"""What a person should know of detection data that can be used: nothing is refused or left out for it."""

from __future__ import annotations

from collections.abc import Sequence

from hsa_bench.core.data.detection.coco_file import Category, Instance
from hsa_bench.core.data.fingerprint import Reader
from hsa_bench.core.data.images import FileImages
from hsa_bench.core.data.manifest import manifest_of, stamps_of

NAMED = 3
"""Pictures or classes that a remark names; the others it counts."""

Objects = Sequence[Sequence[Instance]]


def pictures_of_both(train: FileImages, test: FileImages) -> list[str]:
    """Names of the test pictures whose file is one of training's, byte for byte.

    Only files of one length are read, and what is known of them is not read again.
    """
    learnt, tested = (dict(zip(i.names, stamps_of(i.root, i.names), strict=True)) for i in (train, test))
    lengths = {stamp.size for stamp in learnt.values()} & {stamp.size for stamp in tested.values()}
    hashes = []
    for images, stamps in ((train, learnt), (test, tested)):
        reader = Reader(manifest_of(images.root))
        hashes.append(
            {name: reader.hash(name, stamp) for name, stamp in stamps.items() if stamp.size in lengths}
        )
        reader.flush()
    seen = set(hashes[0].values())
    return [name for name, content in hashes[1].items() if content in seen]


def on_pictures(train: FileImages, test: FileImages) -> list[str]:
    """Say which pictures are both learnt and tested."""
    both = pictures_of_both(train, test)
    if not both:
        return []
    return [
        f"{len(both):,} of {len(test):,} test images are training images too, such as {_named(both)}: their "
        "objects are learnt by heart"
    ]


def on_classes(categories: Sequence[Category], train: Objects, test: Objects) -> list[str]:
    """Say which classes are not learnt, and which not tested."""
    learnt = {o.category_id for objects in train for o in objects if not o.iscrowd}
    tested = {o.category_id for objects in test for o in objects if not o.iscrowd and not o.difficult}
    said = []
    for what, names in (
        ("tested without an object to learn from", [c.name for c in categories if c.id in tested - learnt]),
        ("not tested for want of objects", [c.name for c in categories if c.id not in tested]),
    ):
        if names:
            said.append(f"{what}: {_named(names)} ({len(names)} of {len(categories)} classes)")
    return said


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
