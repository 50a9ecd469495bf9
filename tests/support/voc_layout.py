"""Folders in VOC's layout for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from hsa_bench.core.data.detection.detection_data import DetectionData
from hsa_bench.core.data.detection.voc_folder import open_voc

Named = tuple[str, tuple[int, int, int, int], bool]
"""Class, xmin, ymin, xmax, ymax, difficult."""


def write_voc(folder: Path, split: str, images: Mapping[str, Sequence[Named]], pictures: bool = True) -> None:
    """Images of 60 x 40 px with these objects, and the list that names them."""
    for name in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i, (number, objects) in enumerate(images.items()):
        if pictures:
            Image.new("RGB", (60, 40), (40 * i % 256, 10, 10)).save(folder / "JPEGImages" / f"{number}.jpg")
        rows = "".join(
            f"<object><name>{name}</name><difficult>{int(difficult)}</difficult><bndbox><xmin>{x0}</xmin>"
            f"<ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
            for name, (x0, y0, x1, y1), difficult in objects
        )
        size = "<size><width>60</width><height>40</height></size>"
        (folder / "Annotations" / f"{number}.xml").write_text(f"<annotation>{size}{rows}</annotation>")
    (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{number}\n" for number in images))


def opened_voc(root: Path, train: str, test: str) -> DetectionData:
    """Open lists of a folder as it is now, with the classes that occur."""
    open_voc.cache_clear()
    return open_voc(root, (train,), test, "auto")
