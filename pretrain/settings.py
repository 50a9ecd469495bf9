"""Settings of a pretraining. Defaults are MoCo v2's and HSA's; what a method does not use is left alone."""

from __future__ import annotations

import difflib
from dataclasses import field

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator
from pydantic.dataclasses import dataclass

from hsa_bench.core import registry
from hsa_bench.core.task import SETTINGS
from pretrain.augment import Augmentation

METHODS = "pretrain.methods"


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Settings:
    """Everything that can change the weights. Sources: facebookresearch/moco main_moco.py, haohang96/CSML."""

    method: str = "moco"
    """A file of `pretrain/methods`, or the dotted path of a module like one."""
    epochs: PositiveInt = 200
    batch: PositiveInt = 256
    lr: PositiveFloat = 0.03
    """Of SGD; a cosine over epochs takes it to zero."""
    lr_warmup: NonNegativeInt = 0
    """Epochs over which the rate rises linearly."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: NonNegativeFloat = 1e-4
    augment: Augmentation = "moco-v2"
    dim: PositiveInt = 128
    """Width of the embedding."""
    head_bn: bool = False
    """Batch norm in the projection heads."""
    temperature: PositiveFloat = 0.2
    queue: PositiveInt = 65536
    """Keys kept as negatives (moco, hsa)."""
    bn_groups: NonNegativeInt = 0
    """Equal parts of the batch that batch norm runs over, keys shuffled between them (moco, hsa). 0: a part
    for every 32 pictures, as on MoCo's eight GPUs, at least two."""
    ema: float = Field(default=0.999, ge=0, lt=1)
    """Momentum of the key encoder (moco, hsa)."""
    neighbours: bool = True
    """hsa: pull mined neighbours together."""
    k: PositiveInt = 5
    """hsa: neighbours mined for each picture."""
    refresh: PositiveInt = 5
    """hsa: epochs between minings."""
    warmup: float = Field(default=0.055, ge=0, lt=1)
    """hsa: share of the epochs, at least one, in which neighbours have no weight (11 of 200)."""
    weights: tuple[NonNegativeFloat, NonNegativeFloat] = (0.5, 0.5)
    """hsa: (own, neighbour) after the warm-up."""
    mix: bool = True
    """hsa: a further query that is CutMix of anchor and neighbour."""
    mix_alpha: PositiveFloat = 2.0
    gate_mix: bool = False
    """hsa: no mixing during warm-up either. The authors' code does not gate it."""
    levels: tuple[PositiveInt, ...] = (3,)
    """hsa: earlier stages that get the loss too, each through a head of its own."""
    level_weights: tuple[PositiveFloat, ...] = field(default=())
    """hsa: weight of each of `levels`; one each if empty. The last stage has weight one."""
    knn_every: NonNegativeInt = 5
    """Epochs between looks at kNN accuracy on a held-out tenth of train; 0 for none."""

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        known = list(registry.files(METHODS))
        if method in known or "." in method:
            return method
        near = difflib.get_close_matches(method, known, n=1) or known
        raise ValueError(f"no such method; did you mean {', '.join(near)}?")

    @property
    def groups(self) -> int:
        """Parts of batch norm in force."""
        return self.bn_groups or max(2, self.batch // 32)
