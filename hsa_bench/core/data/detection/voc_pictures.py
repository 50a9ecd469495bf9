"""The picture of an image's id in VOC's layout: `JPEGImages/ID.jpg`, as in Detectron2."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data.detection.listed_files import ListedFiles
from hsa_bench.core.data.detection.voc_list import PICTURES
from hsa_bench.core.errors import DataError


class VocPictures:
    """Pictures of one folder in VOC's layout, by their ids.

    Where there is no `ID.jpg`, the one of another ending, or in capitals, is taken.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        """List the pictures.

        Args:
            folder: In VOC's layout.
            root: The data's.

        Raises:
            DataError: It has no pictures' folder.
        """
        self.files = ListedFiles(folder / "JPEGImages", root)
        self._by_id: dict[str, list[str]] = {}
        for name in self.files.names:
            stem, dot, ending = name.rpartition(".")
            if f"{dot}{ending}".lower() in PICTURES:
                self._by_id.setdefault(stem, []).append(name)

    def picture(self, number: str, listing: str, stated: str = "") -> Path:
        """Path of the picture with an id.

        Args:
            number: The id.
            listing: What names it, for messages, for example "test lists it".
            stated: The name that its annotation gives, which a message repeats.

        Raises:
            DataError: There is none, or there are several none of which is `ID.jpg`.
        """
        usual = f"{number}.jpg"
        there = self._by_id.get(number, [])
        names = [usual] if usual in there or not there else sorted(there)
        if len(names) > 1:
            raise DataError(f"{self.files.folder / names[0]}: {listing}, or {names[1]} beside it; remove one")
        if trouble := self.files.trouble(names[0], "picture"):
            other = Path(stated.replace("\\", "/")).name
            hint = ""
            if not there and other in self.files.names:
                hint = f"; the annotation names {other}, but a picture is found by its id: rename it {usual}"
            raise DataError(f"{self.files.folder / names[0]}: {trouble}, though {listing}{hint}")
        return self.files.folder / names[0]
