"""Batches as a training steps on them: loaded by other processes, finished on its device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from hsa_bench.core.data.device_views import DeviceViews
from hsa_bench.core.data.drawn_view import DrawnView
from hsa_bench.core.data.loading import pinned
from pretrain.data.augment import AUGMENTATIONS
from pretrain.data.batches import Carried, ContrastiveViews, OwnParts, batches
from pretrain.monitor.flops import uncounted
from pretrain.positives import Neighbours
from pretrain.settings import Settings


@dataclass(frozen=True)
class TrainingViews:
    """The views of one training."""

    settings: Settings
    there: DeviceViews
    """What the device makes of the images."""
    size: int
    """Side of the full views, px."""
    crops: tuple[int, ...]
    """Sides of the small ones, px."""
    seed: int
    workers: int

    def batches(self, epochs: range, neighbours: Neighbours | None) -> Iterator[list[Tensor]]:
        """Load and augment the images of these epochs, each process its own parts of every batch.

        Loader processes start here, not at the first batch: one that is forked while a step is counted would
        count its own tensors too, and take four times as long over each view.

        Args:
            epochs: One after the other.
            neighbours: The table of which a picture's partner is drawn; None for pictures alone.

        Returns:
            For each part of a batch its views, float32 [B, 3, S, S] each, on the device.
        """
        settings, size, there = self.settings, self.size, self.there
        augment = AUGMENTATIONS[settings.augment]
        plain, crops = augment(size, 1.0), [augment(crop, crop / size) for crop in self.crops]
        views = ContrastiveViews(
            there.images, there.carried(plain), neighbours, tuple(map(there.carried, crops)), self.seed
        )
        kinds = [*[plain] * (2 if neighbours is None else 4), *crops]
        places = OwnParts(len(there.images), settings.batch, settings.accumulate, self.seed, epochs)
        return self._finished(iter(batches(views, places, self.workers, pinned(there.device))), kinds)

    def _finished(self, loaded: Iterator[Carried], kinds: Sequence[DrawnView]) -> Iterator[list[Tensor]]:
        """Make on the device what is left of each batch's views."""
        for carried, shown in loaded:
            with uncounted():
                made = [self.there.finished(*view) for view in zip(kinds, carried, shown, strict=True)]
            yield made
