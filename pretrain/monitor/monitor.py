"""A training as a person sees it: curves, warnings, a line for each epoch. No weight depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Self

from torch import nn

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import CentreView
from hsa_bench.core.processes import rank
from pretrain.monitor.described import RATE
from pretrain.monitor.scalars import Scalars
from pretrain.monitor.watch import collapse, look
from pretrain.optim.schedule import rate
from pretrain.positives import purity
from pretrain.progress import Progress
from pretrain.settings import Settings


@dataclass
class Monitor:
    """Notes each epoch in the progress and tells a person, between `with` and its end."""

    settings: Settings
    progress: Progress
    trunk: nn.Module
    """Its features are looked at."""
    images: ImageSet
    transform: CentreView
    """The un-augmented view of the images."""
    ctx: Context
    scalars: Scalars
    say: Callable[[str], None]
    """Called by the first process alone."""
    epoch_start: float = field(init=False)

    def __enter__(self) -> Self:
        self.scalars.open()
        self.epoch_start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.scalars.close()

    def warn(self, texts: Sequence[str]) -> None:
        """Say what has not been said yet, and keep it for the report."""
        for text in texts:
            if text not in self.progress.warnings:
                self.progress.warnings.append(text)
                self._say(f"warning: {text}")

    def note(self, losses: dict[str, float]) -> None:
        """Take the means of the epoch that has just been counted in the progress."""
        progress = self.progress
        for name, value in {**losses, **self._figures()}.items():
            progress.note(name, value)
        now = time.perf_counter()
        seconds, self.epoch_start = now - self.epoch_start, now
        progress.seconds += seconds
        self.scalars.write(progress.curves, progress.epoch)
        self._say(self._line(seconds))

    @property
    def _steps(self) -> int:
        return len(self.images) // self.settings.batch

    def _figures(self) -> dict[str, float]:
        """Measure what is watched besides the losses."""
        progress, settings = self.progress, self.settings
        figures = {RATE: rate(settings, progress.epoch - 1, self._steps - 1, self._steps)}
        if progress.neighbours is not None and len(self.images.classes) > 1:
            figures["purity"] = purity(progress.neighbours, self.images.labels)
        last = progress.epoch == settings.epochs
        if settings.knn_every and (progress.epoch % settings.knn_every == 0 or last):
            figures |= look(self.trunk, self.images, self.transform, self.ctx)
            if text := collapse(figures):
                self.warn([f"after epoch {progress.epoch} {text}"])
        return figures

    def _line(self, seconds: float) -> str:
        """Say what the last epoch came to."""
        done, epochs = self.progress.epoch, self.settings.epochs
        speed = self._steps * self.settings.batch / seconds
        left = timedelta(seconds=round(self.progress.seconds / done * (epochs - done)))
        return f"epoch {done} of {epochs}, {speed:,.0f} images/s, {left} left: {self.progress.latest}"

    def _say(self, text: str) -> None:
        if rank() == 0:
            self.say(text)
