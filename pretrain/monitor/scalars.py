"""Curves for TensorBoard, if a folder is given."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Scalars:
    """A writer of every curve's latest point; without a folder it writes nothing."""

    def __init__(self, folder: Path | None, curves: Mapping[str, Sequence[float]]) -> None:
        self.folder = folder
        self.writer: Any = None
        self.written = {name: len(curve) for name, curve in curves.items()}

    def open(self) -> None:
        """Make the folder, before the first epoch rather than after it."""
        if self.folder is not None:
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            self.writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(self.folder))

    def close(self) -> None:
        """End the writer's thread."""
        if self.writer is not None:
            self.writer.close()

    def write(self, curves: Mapping[str, Sequence[float]], epoch: int) -> None:
        """Write the curves that have a new point, at an epoch counted from 1."""
        if self.writer is None:
            return
        for name, curve in curves.items():
            if len(curve) != self.written.get(name):
                self.writer.add_scalar(name, curve[-1], epoch)
                self.written[name] = len(curve)
        self.writer.flush()
