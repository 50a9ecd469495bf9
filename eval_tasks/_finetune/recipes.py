"""Published recipes of fine-tuning on 1 % and 10 % of ImageNet's labels, each with its lines of code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eval_tasks._shared.schedule import Shape


@dataclass(frozen=True)
class Recipe:
    """The numbers of one paper for one share of the labels. Defaults are those that most share."""

    trunk_lr: float
    head_lr: float
    source: str
    """Paper, repository, commit and lines."""
    per_256: bool = False
    """Whether the rates are for 256 images a step, and scale with the batch."""
    epochs: int = 20
    batch: int = 256
    nesterov: bool = False
    schedule: Shape = "cosine-by-epoch"
    init_std: float | None = None
    deviations: str = (
        "batch norm sees the whole batch; the number is the last epoch's, the paper's the best on test"
    )

    def settings(self) -> dict[str, Any]:
        """What of it is a setting of the task."""
        return {name: value for name, value in vars(self).items() if name not in {"source", "deviations"}}


def _swav(trunk_lr: float, head_lr: float) -> Recipe:
    return Recipe(
        trunk_lr=trunk_lr,
        head_lr=head_lr,
        schedule="step",
        source="SwAV (Caron et al. 2020, arXiv:2006.09882, sec. 4.1); facebookresearch/swav @06b1b7c "
        "README.md:121-139, eval_semisup.py:62-70,97-123,136,165-176",
        deviations="the number is the last epoch's, the paper's the best on test; the script divides red by "
        "0.228, ours uses the checkpoint's own normalisation",
    )


def _simclr(epochs: int) -> Recipe:
    return Recipe(
        trunk_lr=0.05,
        head_lr=0.05,
        per_256=True,
        epochs=epochs,
        batch=4096,
        nesterov=True,
        schedule="cosine-by-step",
        init_std=0.0,
        source="SimCLR (Chen et al. 2020, arXiv:2002.05709, app. B.5)",
        deviations="the paper names no schedule: the cosine is that of google-research/simclr @383d414 "
        "model_util.py:57-83, the zero head that of README.md:158; an epoch's last batch may be smaller; "
        "crops are resized bilinearly, theirs bicubically",
    )


def _barlow() -> Recipe:
    return Recipe(
        trunk_lr=0.005,
        head_lr=0.5,
        init_std=0.01,
        source="Barlow Twins (Zbontar et al. 2021, arXiv:2103.03230, app. B; the same for 10 %: "
        "facebookresearch/barlowtwins#14); @8e8d284 README.md:75, evaluate.py:85-86,100-104,190-192",
    )


def _vicreg(trunk_lr: float, head_lr: float) -> Recipe:
    return Recipe(
        trunk_lr=trunk_lr,
        head_lr=head_lr,
        init_std=0.01,
        source="VICReg (Bardes et al. 2022, arXiv:2105.04906, app. C); facebookresearch/vicreg @4e12602 "
        "README.md:96-106, evaluate.py:152-153,167-168,180,236-238",
    )


RECIPES: dict[tuple[str, float], Recipe] = {
    ("swav", 0.01): _swav(0.02, 5.0),
    ("swav", 0.1): _swav(0.01, 0.2),
    ("simclr", 0.01): _simclr(60),
    ("simclr", 0.1): _simclr(30),
    ("barlow", 0.01): _barlow(),
    ("barlow", 0.1): _barlow(),
    ("vicreg", 0.01): _vicreg(0.03, 0.08),
    ("vicreg", 0.1): _vicreg(0.01, 0.1),
}
"""By name and share of the labels."""

SMALL_DATA_RATES = ((0.01, 0.2), (0.02, 5.0), (0.005, 0.5), (0.03, 0.08))
"""Trunk and head rates tried where a published number of epochs would be a few dozen steps: those of SwAV on
10 % and 1 %, of Barlow Twins and of VICReg on 1 %."""


def share_of(name: str) -> float:
    """Share of the labels that a task's name means, e.g. 0.01 for `semisup-1-simclr`."""
    return {"1": 0.01, "10": 0.1}[name.split("-")[1]]


def settings_of(name: str, recipe: str) -> dict[str, Any]:
    """Name and settings of a task: its recipe's."""
    fraction = share_of(name)
    return {"name": name, "fraction": fraction, **RECIPES[recipe, fraction].settings()}


def recipe_of(name: str) -> str:
    """Recipe that a task's name means: SwAV's where it names none."""
    return "".join(name.split("-")[2:]) or "swav"
