"""What a piece of `make device` is, and what a call of it has: a device, a folder, and so much time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.device.piece_folder import PieceFolder


@dataclass(frozen=True)
class Call:
    """What a person asked for."""

    device: str
    tiny: bool
    """Whether everything is as small as can be, to see that it works."""
    out: Path
    until: float
    """On the monotonic clock: nothing begins that would not end by then."""
    data: Path = Path("data")
    """Folder that holds the data sets, for pieces that want some."""
    minutes: float = 25.0
    """Of the device, over all calls together, for a piece that fits its length to them."""

    @property
    def left(self) -> float:
        """Seconds."""
        return self.until - time.monotonic()

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")

    def has_time_for(self, seconds: float) -> bool:
        """Whether something that takes so long may begin; tiny things always may, while there is any time."""
        return self.left > (0 if self.tiny else seconds)


@dataclass(frozen=True)
class Piece:
    """A question to a device, answered part by part."""

    number: int
    title: str
    run: Callable[[Call, PieceFolder], list[str]]
    """Does what is missing while there is time; returns the parts that are left."""
