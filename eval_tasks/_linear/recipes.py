"""Published recipes of linear evaluation on ImageNet, each with the lines it comes from.

Normalisation and channel order are the checkpoint's (its card), never a recipe's. All of them train on random
resized crops (area 0.08 to 1) and flips, and see test images as 256 px, centre crop 224.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from eval_tasks._shared.schedule import Shape


@dataclass(frozen=True)
class Recipe:
    """The numbers of one paper. Defaults are those that most share."""

    lr: float
    source: str
    """Paper, repository, commit and lines."""
    epochs: int
    batch: int
    per_256: bool
    """Whether `lr` is for 256 images a step, and scales with the batch; else it does not change with it."""
    weight_decay: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    trust: float = 0.0
    """LARC's trust coefficient; 0 for plain SGD."""
    schedule: Shape = "cosine-by-epoch"
    init_std: float = 0.01
    train_interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    prints: Literal["published_last", "published_best"] = "published_best"
    """Which accuracy the paper's code prints: of the last epoch, or of the best one on test."""
    deviations: str = ""
    """Where ours differs whatever the settings."""

    def settings(self) -> dict[str, Any]:
        """What of it is a setting of the task."""
        words = ("source", "prints", "deviations")
        return {name: value for name, value in vars(self).items() if name not in words}


RECIPES = {
    "moco": Recipe(
        lr=30.0,
        per_256=False,
        epochs=100,
        batch=256,
        schedule="step",
        source="MoCo v1 and v2 (He et al. 2020, arXiv:1911.05722, sec. 4.1); facebookresearch/moco @132aea9 "
        "main_lincls.py:57,68,77,86-92,95,240-241,309,354,381,411,450,605-610",
    ),
    "simclr": Recipe(
        lr=0.1,
        per_256=True,
        epochs=90,
        batch=4096,
        weight_decay=1e-6,
        nesterov=True,
        schedule="cosine-by-step",
        init_std=0.0,
        train_interpolation="bicubic",
        interpolation="bicubic",
        prints="published_last",
        source="SimCLR (Chen et al. 2020, arXiv:2002.05709, app. B.6); google-research/simclr @383d414 "
        "README.md:136-146, model_util.py:31-94, data_util.py:29,322-325",
        deviations="an epoch's last batch may be smaller; test images are resized, then cropped; resizing "
        "smaller is antialiased",
    ),
    "swav": Recipe(
        lr=0.3,
        per_256=False,
        epochs=100,
        batch=256,
        weight_decay=1e-6,
        source="SwAV (Caron et al. 2020, arXiv:2006.09882, sec. 4.1); facebookresearch/swav @06b1b7c "
        "eval_linear.py:62-75,107-113,149,170-185,226,250-251,375",
        deviations="the script divides red by 0.228; ours uses the checkpoint's own normalisation",
    ),
    "dino": Recipe(
        lr=0.001,
        per_256=True,
        epochs=100,
        batch=1024,
        interpolation="bicubic",
        source="DINO (Caron et al. 2021, arXiv:2104.14294, app. F); facebookresearch/dino @7c446df "
        "eval_linear.py:66,86-87,103-109,131-135,150,243-244,265-270",
    ),
    "simsiam": Recipe(
        lr=0.1,
        per_256=True,
        epochs=90,
        batch=4096,
        trust=0.001,
        source="SimSiam (Chen & He 2021, arXiv:2011.10566, app. A); facebookresearch/simsiam @a7bc177 "
        "main_lincls.py:44-57,160-161,188,226-232,267-268,284,308-309,342,491-495, with --lars: LARC of "
        "NVIDIA/apex apex/parallel/LARC.py, clip=False",
    ),
    "mocov3": Recipe(
        lr=0.1,
        per_256=True,
        epochs=90,
        batch=1024,
        source="MoCo v3, ResNet-50 (Chen et al. 2021, arXiv:2104.02057, app. A); facebookresearch/moco-v3 "
        "@c349e6e main_lincls.py:49-62,168-169,196,236,273-274,290,315,348,499-503",
    ),
    "barlow": Recipe(
        lr=0.3,
        per_256=False,
        epochs=100,
        batch=256,
        weight_decay=1e-6,
        source="Barlow Twins (Zbontar et al. 2021, arXiv:2103.03230, app. B); facebookresearch/barlowtwins "
        "@8e8d284 evaluate.py:35-43,85-86,100-104,126-132,157,190-192",
    ),
}
