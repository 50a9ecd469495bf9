"""Curves for TensorBoard, if a folder is given."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Scalars:
    """A writer of every curve's latest point."""

    def __init__(self, folder: Path | None, curves: Mapping[str, Sequence[float]]) -> None:
        self.folder = folder
        self.writer: Any = None
        self.written = {name: len(curve) for name, curve in curves.items()}

    def __enter__(self) -> Self:
        if self.folder is not None:
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            self.writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(str(self.folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
