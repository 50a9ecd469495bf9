"""Pictures opened before they are needed: sizes from headers, and whether all of a file decodes.

Both are kept in the folder's manifest, so that a picture is looked at once until its file changes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from PIL import Image
from torch.utils.data import DataLoader, Dataset

from hsa_bench.core.context import Context
from hsa_bench.core.data.fingerprint import Reader, drawn, hash_of
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.images import FAULTS, FileImages, Images, decoded, refuse_depth, trouble
from hsa_bench.core.data.manifest import Fact, content_of, manifest_of, shown, stamps_of
from hsa_bench.core.errors import BrokenPicture

ALL_PICTURES = 100_000
"""Pictures up to which each one is decoded; of more, `SAMPLE`."""

SAMPLE = 20_000

NAMED = 10
"""Broken pictures that a message names; the others it counts."""

BATCH = 64

ORIENTATION = 274
"""EXIF's tag."""


def headers(images: FileImages) -> list[Fact]:
    """Width, height, mode and EXIF's turn of each picture, as its header says; no pixel is decoded.

    Raises:
        BrokenPicture: A picture has no header that Pillow reads, or is of more than 8 bits;
            DataError: one is missing.
    """
    reader = Reader(manifest_of(images.root))
    found = []
    for name, stamp in zip(images.names, stamps_of(images.root, images.names), strict=True):
        path = images.root / name
        fact = reader.manifest.known(name, stamp)
        try:
            if not fact.width:
                with Image.open(path) as picture:
                    fact = _with_header(fact, picture)
                reader.note(name, fact)
            refuse_depth(fact.mode)
        except FAULTS as error:
            raise BrokenPicture(f"{shown(path)}: {trouble(error)}") from error
        found.append(fact)
    reader.flush()
    return found


def check_decoding(pictures: ImageSet | Images, ctx: Context, what: str) -> None:
    """Decode what is read only after a long training, and refuse what cannot be.

    Args:
        pictures: Of which those in files are looked at; above `ALL_PICTURES` a fixed draw of them.
        ctx: Whose loader processes decode, and who is told how far it is.
        what: They are, for the progress bar, e.g. "test pictures".

    Raises:
        BrokenPicture: Some cannot be decoded; the message names the first `NAMED` of them.
    """
    faults = faulty(pictures, ctx, what)
    if faults:
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise BrokenPicture("; ".join(list(faults.values())[:NAMED]) + more)


def faulty(pictures: ImageSet | Images, ctx: Context, what: str) -> dict[str, str]:
    """What is wrong with each picture that cannot be decoded, by its name in the folder."""
    images = pictures.images if isinstance(pictures, ImageSet) else pictures
    if not isinstance(images, FileImages):
        return {}
    rows = pictures.indices if isinstance(pictures, ImageSet) and pictures.indices is not None else None
    names = sorted({images.names[i] for i in (range(len(images)) if rows is None else rows)})
    if len(names) > ALL_PICTURES:
        what = f"{SAMPLE:,} of {len(names):,} {what}"
    names = [names[i] for i in drawn(len(names), ALL_PICTURES, SAMPLE, "decoding")]
    reader = Reader(manifest_of(images.root))
    known = map(reader.manifest.known, names, stamps_of(images.root, names))
    todo = [name for name, fact in zip(names, known, strict=True) if not fact.decoded]
    faults: dict[str, str] = {}
    loader = DataLoader(
        cast("Dataset[tuple[str, Fact]]", _Decoding(images, todo)),
        batch_size=BATCH,
        num_workers=ctx.workers,
        collate_fn=list,
    )
    for batch in ctx.track(loader, f"decoding {what}", len(loader)) if todo else ():
        for name, fact in batch:
            reader.note(name, fact)
            if fact.fault:
                faults[name] = f"{shown(images.root / name)}: {fact.fault}"
    reader.flush()
    return faults


@dataclass(frozen=True)
class _Decoding(Dataset[tuple[str, Fact]]):
    images: FileImages
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[str, Fact]:
        name = self.names[index]
        content, stamp = content_of(self.images.root / name)
        fact = Fact(stamp, content=hash_of(content))
        try:
            decoded(content)
            with Image.open(io.BytesIO(content)) as picture:
                return name, replace(_with_header(fact, picture), decoded=True)
        except FAULTS as error:
            return name, replace(fact, fault=trouble(error))


def _with_header(fact: Fact, picture: Image.Image) -> Fact:
    return replace(fact, width=picture.width, height=picture.height, mode=picture.mode, turn=_turn(picture))


def _turn(picture: Image.Image) -> int:
    """EXIF's orientation, 1 where there is none, or none that can be read (detectron2, issue 1885)."""
    if picture.format == "TIFF":
        return 1  # Pillow turns these itself, and says the size after that
    try:
        turn = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # a broken EXIF block can raise anything, and turns nothing
        return 1
    return turn if isinstance(turn, int) else 1
