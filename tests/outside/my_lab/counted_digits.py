"""200 + 100 digits that write down in a file which of them are decoded, one number a line."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from hsa_bench.api import Classification, DatasetSpec, ImageSet
from hsa_bench.core.data.datasets import digits
from hsa_bench.core.data.images import Images

LOG = "HSA_BENCH_TEST_DECODED"


@dataclass(frozen=True)
class Counted:
    """Pictures of another kind than those in memory, which are not asked for one by one."""

    held: Images

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, index: int) -> Image.Image:
        with Path(os.environ[LOG]).open("a") as log:
            log.write(f"{index}\n")
        return self.held[index]

    @property
    def side(self) -> int:
        return self.held.side

    def digest(self) -> str:
        return self.held.digest()


def part(images: ImageSet, rows: range) -> ImageSet:
    """Some of them, of whole pictures held."""
    return replace(images, images=Counted(images.images)).subset(rows)


def load(root: Path) -> Classification:
    """Both splits are of the same pictures held."""
    whole = digits.load(root)
    train, test = part(whole.train, range(200)), part(whole.test, range(100))
    return replace(whole, name="counted-digits", train=train, test=test)


DATASET = DatasetSpec(name="counted-digits", load=load)
