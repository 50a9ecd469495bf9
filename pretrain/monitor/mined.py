"""Whether mined neighbours are worth pulling together: their purity beside that of bare pixels'."""

from __future__ import annotations

from hsa_bench.core.results.mined import Mined
from pretrain.contrastive import Contrastive
from pretrain.monitor.described import PURITY
from pretrain.progress import Progress

NO_BETTER = "no better than bare pixels'"


def mined(progress: Progress, method: Contrastive) -> Mined | None:
    """Sum up the purity of a training's minings; None where not every epoch has one."""
    curve = progress.curves.get(PURITY, [])
    if progress.pixels is None or not curve or len(curve) != progress.epoch:
        return None
    first = next((epoch for epoch in range(len(curve)) if method.weighs_neighbours(epoch)), None)
    return Mined(
        counted_from=0 if first is None else first + 1,
        counted=curve[-1 if first is None else first],
        last=curve[-1],
        pixels=progress.pixels,
    )


def doubt(epoch: int, purity: float, pixels: float | None) -> str:
    """Return a warning where neighbours have weight and are not worth it; else an empty text.

    Args:
        epoch: That begins, counted from 1.
        purity: Of the neighbours in force, percent.
        pixels: Purity of bare pixels' neighbours, percent; None if it is not known.
    """
    if pixels is None or purity > pixels:
        return ""
    return (
        f"neighbours have weight in epoch {epoch} and are {NO_BETTER}: {purity:.1f} % of them are of the "
        f"picture's own class, of bare pixels' neighbours {pixels:.1f} %. A longer warm-up lets the network "
        "learn first: raise warmup, or warmup_steps"
    )
