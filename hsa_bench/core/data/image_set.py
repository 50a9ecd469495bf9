"""Labelled image sets: what a data set is, its fingerprint, and class-balanced draws from it."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hsa_bench.core.data.images import Images
from hsa_bench.core.data.manifest import reason
from hsa_bench.core.digest import digest
from hsa_bench.core.errors import DataError
from hsa_bench.core.seed import generator

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ImageSet:
    """One split: pictures, their labels, and a stable name for each."""

    images: Images
    labels: Labels
    """Class of each picture, [N], in [0, len(classes))."""
    classes: tuple[str, ...]
    examples: tuple[str, ...]
    """Name of each picture: path relative to the data set's root, or index as text."""
    indices: tuple[int, ...] | None = None
    """Rows of `images` that belong to the set; None for all."""

    def __post_init__(self) -> None:
        assert len(self.labels) == len(self.examples) == len(self)
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise DataError(
                f"labels run from {self.labels.min()} to {self.labels.max()}, "
                f"but there are {len(self.classes)} classes"
            )

    def __len__(self) -> int:
        return len(self.images) if self.indices is None else len(self.indices)

    def picture(self, index: int) -> Image.Image:
        """Picture `index` of this set, in RGB."""
        return self.images[index if self.indices is None else self.indices[index]]

    def subset(self, chosen: Sequence[int]) -> ImageSet:
        """The chosen pictures, in the order given."""
        rows = chosen if self.indices is None else [self.indices[i] for i in chosen]
        return replace(
            self,
            labels=self.labels[list(chosen)],
            examples=tuple(self.examples[i] for i in chosen),
            indices=tuple(int(i) for i in rows),
        )

    def fingerprint(self) -> str:
        """Hash over pictures, labels, names and the rows chosen."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return digest(
            self.images.digest(),
            np.ascontiguousarray(self.labels).tobytes(),
            "\0".join((*self.classes, "", *self.examples)),
            repr(self.indices),
        )


@dataclass(frozen=True)
class Classification:
    """A data set for classification with its fixed splits."""

    name: str
    train: ImageSet
    test: ImageSet
    image_size: int
    """Side of the square the backbone sees unless a task says otherwise, px."""
    resize: int
    """Shorter side before the centre crop at that image size, px; equal to it for small images."""
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    """What a person should know of the files: what was passed over, classes that one split lacks."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, shared by both splits."""
        return self.train.classes

    def fingerprint(self) -> str:
        """Hash over both splits."""
        return digest(self.train.fingerprint(), self.test.fingerprint())

    def limited(self, limit: int | None) -> Classification:
        """A class-balanced draw of `limit` training and `limit` test images, for quick looks."""
        if limit is None:
            return self
        return replace(
            self,
            train=self.train.subset(balanced(self.train.labels, limit, seed=0)),
            test=self.test.subset(balanced(self.test.labels, limit, seed=0)),
        )


@dataclass(frozen=True)
class DatasetSpec:
    """A data set as a plug-in file declares it."""

    name: str
    load: Callable[[Path], Classification]
    """Opens the data set below a data root; raises DataError that names what is missing."""
    note: str = ""
    """One line for `--list`."""


def balanced(labels: Labels, count: int, seed: int) -> list[int]:
    """Draw `count` examples spread over the classes as evenly as the classes allow.

    Returns:
        Sorted indices, [min(count, N)].
    """
    order = [
        rows[_permutation(len(rows), seed, "balanced", int(c))]
        for c in np.unique(labels)
        for rows in (np.flatnonzero(labels == c),)
    ]
    rounds = [rows[i] for i in range(max(map(len, order), default=0)) for rows in order if i < len(rows)]
    return sorted(int(i) for i in rounds[:count])


def label_subset(labels: Labels, fraction: float, seed: int) -> list[int]:
    """Draw the same share of every class: round(fraction x class size), at least one.

    Args:
        labels: Class of each example, [N].
        fraction: Share in (0, 1].
        seed: Draws which ones.

    Returns:
        Sorted indices of the drawn examples.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie in (0, 1], not {fraction}")
    drawn: list[int] = []
    for c in np.unique(labels):
        share = max(1, round(fraction * len(rows := np.flatnonzero(labels == c))))
        drawn += rows[_permutation(len(rows), seed, "subset", int(c))][:share].tolist()
    return sorted(drawn)


def listed_subset(examples: Sequence[str], path: Path) -> list[int]:
    """Read a subset from a file that names one example a line, by its path or its base name.

    Names may have blanks, and quotes around them; a line whose whole is no name may hold several.

    Raises:
        DataError: No such file, none of text, or a name that the data set does not have or has twice.
    """
    by_name: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        for name in {example, Path(example).name}:
            by_name.setdefault(name, []).append(index)
    drawn = set()
    for number, name in enumerate(_listed_names(path, by_name), start=1):
        found = by_name.get(name, [])
        if len(found) != 1:
            raise DataError(f"{path}, entry {number}: {name!r} names {len(found)} training images, not one")
        drawn.add(found[0])
    if not drawn:
        raise DataError(f"{path}: names no image")
    return sorted(drawn)


def _listed_names(path: Path, known: Container[str]) -> Iterator[str]:
    for line in _lines(path):
        whole = line.strip()
        bare = whole.strip("\"'")
        yield from [whole] if whole in known else [bare] if bare in known else whole.split()


def _lines(path: Path) -> list[str]:
    """The lines of a text file, in UTF-8 or as its first bytes say."""
    if not path.is_file():
        raise DataError(f"{path}: no such list of images")
    try:
        content = path.read_bytes()
        marks = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
        return content.decode(marks.get(content[:2], "utf-8-sig")).replace("\r", "\n").split("\n")
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path}: is no text in UTF-8 ({reason(error)}); save it as such") from error


def subset_hash(examples: Sequence[str], chosen: Sequence[int]) -> str:
    """Identity of a drawn subset, for the result."""
    return digest("\0".join(examples[i] for i in chosen))


def _permutation(n: int, seed: int, *purpose: str | int) -> NDArray[np.int64]:
    return torch.randperm(n, generator=generator(seed, *purpose)).numpy()
