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
from hsa_bench.core.processes import from_first, rank
from pretrain.monitor.described import LOOKED, PAIRED, PIXELS, PURITY, RATE
from pretrain.monitor.mined import NO_BETTER, doubt
from pretrain.monitor.pixels import classes_of, pixels_purity
from pretrain.monitor.scalars import Scalars
from pretrain.monitor.watch import LOOKED_AT, USUAL, Vote, collapse, look, looked_at
from pretrain.optim.schedule import rate
from pretrain.positives import paired, purity
from pretrain.progress import Progress
from pretrain.settings import Settings


@dataclass
class Monitor:
    """Notes each epoch in the progress and tells a person, between `with` and its end."""

    settings: Settings
    progress: Progress
    trunk: nn.Module
    """Its features are looked at."""
    mines: bool
    """Whether the method mines neighbours."""
    images: ImageSet
    transform: CentreView
    """The un-augmented view of the images."""
    ctx: Context
    scalars: Scalars
    say: Callable[[str], None]
    """Called by the first process alone."""
    knn: Vote = USUAL
    """Of each look."""
    epoch_start: float = field(init=False)

    def __enter__(self) -> Self:
        self.scalars.open()
        self._look_at_pixels()
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

    def weigh(self, weighed: bool) -> None:
        """Warn, once in a training, where the epoch that begins weighs neighbours that are not worth it."""
        progress, told = self.progress, any(NO_BETTER in text for text in self.progress.warnings)
        if weighed and not told and (found := self._mined().get(PURITY)) is not None:
            text = doubt(progress.epoch + 1, found, progress.pixels)
            self.warn([text] if text else [])

    def note(self, losses: dict[str, float]) -> None:
        """Take the means of the epoch that has just been counted in the progress."""
        progress = self.progress
        for name, value in {**losses, **self._figures()}.items():
            progress.note(name, value)
        now = time.perf_counter()
        seconds, self.epoch_start = now - self.epoch_start, now
        progress.seconds += seconds
        self._end()
        self.scalars.write(progress.curves, progress.epoch)
        self._say(self._line(seconds))

    @property
    def _steps(self) -> int:
        return len(self.images) // self.settings.batch

    def _figures(self) -> dict[str, float]:
        """Measure what is watched besides the losses."""
        progress, settings = self.progress, self.settings
        figures = {RATE: rate(settings, progress.epoch - 1, self._steps - 1, self._steps)}
        figures |= self._mined()
        if progress.pixels is not None:
            figures[PIXELS] = progress.pixels
        if self._looks:
            figures |= look(self.trunk, self.images, self.transform, self.ctx, self._looked_k, self.knn)
            if text := collapse(figures):
                self.warn([f"after epoch {progress.epoch} {text}"])
        return figures

    def _mined(self) -> dict[str, float]:
        """Measure the table of neighbours in force."""
        table, figures = self.progress.neighbours, {}
        if table is None:
            return {}
        if self.settings.mutual:
            figures[PAIRED] = float(paired(table).any(1).mean() * 100)
        if classes_of(self.images) > 1 and figures.get(PAIRED, 100.0) > 0:
            figures[PURITY] = purity(table, self.images.labels)
        return figures

    @property
    def _looks(self) -> bool:
        """Whether the features are looked at after the latest epoch."""
        done, every = self.progress.epoch, self.settings.knn_every
        return bool(every) and (done % every == 0 or done == self.settings.epochs)

    @property
    def _looked_k(self) -> int:
        """Neighbours whose purity a look measures: where it sees but a part of what is mined, none."""
        few = self.mines and len(self.images) > LOOKED_AT
        return 0 if few else min(self.settings.k, len(self.images) - 1)

    def _look_at_pixels(self) -> None:
        """Mine bare pixels, once in a training, among the images that neighbours are taken from."""
        progress, settings = self.progress, self.settings
        watched = classes_of(self.images) > 1 and (self.mines or settings.knn_every)
        if not watched or progress.pixels is not None or progress.ended or progress.epoch == settings.epochs:
            return
        images = self.images if self.mines else looked_at(self.images)
        only_mutual = self.mines and settings.mutual
        progress.pixels = pixels_purity(images, settings.k, only_mutual, self.transform, self.ctx)
        if progress.epoch:  # taken up from an older file
            progress.curves[PIXELS] = [progress.pixels] * progress.epoch

    def _end(self) -> None:
        """End the training where neighbours are as pure as is asked for; warn where they never were."""
        progress, wanted = self.progress, self.settings.until_purity
        curve = progress.curves.get(PURITY if self.mines else LOOKED)
        if not (wanted and self._looks and curve and progress.pixels is not None):
            return
        where = f"purity {curve[-1]:.1f} %, bare pixels' {progress.pixels:.1f} %, until_purity {wanted:g}"
        progress.ended = from_first(curve[-1] - progress.pixels >= wanted)
        if progress.ended:
            self._say(f"ends after epoch {progress.epoch} of at most {self.settings.epochs}: {where}")
        elif progress.epoch == self.settings.epochs:
            self.warn(
                [f"the last epoch, {progress.epoch}, came before neighbours were as pure as wanted: {where}"]
            )

    def _line(self, seconds: float) -> str:
        """Say what the last epoch came to."""
        done, epochs = self.progress.epoch, self.settings.epochs
        speed = self._steps * self.settings.batch / seconds
        ahead = 0 if self.progress.ended else epochs - done
        left = timedelta(seconds=round(self.progress.seconds / done * ahead))
        return f"epoch {done} of {epochs}, {speed:,.0f} images/s, {left} left: {self.progress.latest}"

    def _say(self, text: str) -> None:
        if rank() == 0:
            self.say(text)
