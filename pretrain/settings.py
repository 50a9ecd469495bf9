"""Settings of a pretraining. Defaults are MoCo v2's and HSA's; what a method does not use is left alone."""

from __future__ import annotations

import math
from dataclasses import field, replace
from typing import Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from hsa_bench.core import registry
from hsa_bench.core.data.device_views import AugmentOn
from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.input.bounds import Decay, Many, Rate, Shown, Width
from hsa_bench.core.input.suggest import did_you_mean
from hsa_bench.core.runs.task import SETTINGS
from pretrain.data.augment import Augmentation
from pretrain.heads import Projection

METHODS = "pretrain.methods"

Precision = Literal["32-true", "tf32", "bf16-mixed", "64-true"]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Settings:
    """Everything that can change the weights. Sources: facebookresearch/moco main_moco.py, haohang96/CSML."""

    method: str = "moco"
    """A file of `pretrain/methods`, or the dotted path of a module like one."""
    epochs: PositiveInt = 200
    batch: Many = 256
    """Pictures in one step of the optimiser, over all processes."""
    accumulate: PositiveInt = 1
    """Parts that a batch goes through one after the other, where it does not fit at once. Each part has its
    own batch norm and negatives, so this changes numbers."""
    precision: Precision = "32-true"
    """Lightning Fabric's name for the numbers that layers compute with; losses are never below float32.
    "tf32" is 32-true whose products and convolutions round to 10 bits, on NVIDIA's GPUs from Ampere on."""
    optimiser: Literal["sgd", "lars"] = "sgd"
    """LARS leaves batch norm and biases without decay and without adaptation (SimCLR's model_util.py:95)."""
    lr: Rate = 0.03
    lr_rule: Literal["fixed", "linear", "sqrt"] = "fixed"
    """The rate in force is lr, lr x batch / 256, or lr x the square root of the batch (SimCLR's flag)."""
    lr_warmup: NonNegativeFloat = 0
    """Epochs over which the rate rises linearly; the cosine follows."""
    schedule: Literal["epoch", "step", "constant"] = "epoch"
    """When the cosine changes the rate: MoCo's with each epoch, SimCLR's with each step. Constant: there is
    no cosine, the rate stays where the warm-up, which rises with each step, left it."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: Decay = 1e-4
    augment: Augmentation = "moco-v2"
    augment_on: AugmentOn = "cpu"
    """Who makes the views: Pillow in loader processes, or the device of the training, from the same draws and
    within a grey level or two of Pillow's pixels, where bicubic crops overshoot neither black nor white."""
    dim: Width = 128
    """Width of the embedding."""
    head_layers: int = Field(default=2, ge=1, le=1000)
    """Linear layers of the projection heads."""
    head_bn: Literal["none", "hidden", "all"] = "none"
    """Where projection heads have batch norm: after hidden layers, or after the last one too, there without
    an offset (SimCLR's code)."""
    temperature: float = Field(default=0.2, ge=1e-4, le=1e4)
    symmetric: bool = False
    """moco: both views are queries, each against the other's key, and both keys enter the queue. The loss is
    the mean of both directions, as lightly's; MoCo's CIFAR demo has their sum, which is lr x 2 and
    weight_decay / 2 here."""
    queue: Many = 65536
    """Keys kept as negatives (moco, hsa)."""
    bn_groups: NonNegativeInt = 0
    """Equal parts of the batch that batch norm runs over, keys shuffled between them (moco, hsa). 0: a part
    for every 32 pictures, as on MoCo's eight GPUs, at least two."""
    ema: float = Field(default=0.999, ge=0, lt=1)
    """Momentum of the key encoder (moco, hsa)."""
    ema_share: float = Field(default=0, ge=0, le=1)
    """Momentum of the key encoder by length, in place of `ema`: 1 - 1 / (ema_share x steps of the training).
    0: `ema` counts. MoCo's CIFAR demo has .005 (.99 in 19,400 steps), ImageNet's 200 epochs .001."""
    neighbours: bool = True
    """hsa: pull mined neighbours together."""
    k: Many = 5
    """hsa: neighbours mined for each picture."""
    mutual: bool = False
    """hsa: keep of them those that have the picture among their own k; one without any is paired with
    itself. Not the paper's; the same group's CLIM filters neighbours too (arXiv:2011.02697)."""
    refresh: PositiveInt = 5
    """hsa: epochs between minings."""
    warmup: float = Field(default=0.055, ge=0, lt=1)
    """hsa: share of the epochs, at least one, in which neighbours have no weight (11 of 200). Exactly 0: they
    count from the first epoch on, as suits a training that starts from another's state."""
    warmup_steps: NonNegativeInt = 0
    """hsa: the same in steps of the optimiser, in place of `warmup`, to the end of the epoch that they reach
    into (the authors': 55,000). 0: `warmup` counts."""
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
    crops: tuple[Shown, ...] = ()
    """hsa: sides, px, of further small crops of the anchor, each a query against its key. The loss is the
    mean over all queries. The authors' branch `mc` has half of the sum over full view and crops, and no
    neighbours, so that its rates are not ours."""
    knn_every: NonNegativeInt = 5
    """Epochs between looks at the features: kNN accuracy on a held-out tenth of train, and signs of collapse;
    0 for none."""
    knn_of: Literal["features", "embedding"] = "features"
    """What the looks' kNN compares: pooled features, or the head's output of the last stage, as MoCo's CIFAR
    demo does; that takes a pass of its own."""
    knn_k: Many = 20
    """Neighbours that vote in the looks' kNN."""
    knn_temperature: float = Field(default=0.07, gt=0.0125, le=1e4)
    """Of the looks' votes; below 1/80 a sum of thousands of exp(1 / T) overflows float32."""
    until_purity: float = Field(default=0, ge=0, le=100)
    """End after the first look at which the purity of neighbours lies this many points above bare pixels';
    0: train all epochs. **Labels then decide how long training lasts**: for experiments that start others
    from such a state, not for a backbone that is called self-supervised."""
    init: str = ""
    """Checkpoint whose weights all encoders begin with; in keys and records the hash of these weights."""
    start_from: str = ""
    """Whole state of another training, also by another method, that this one begins with: what both have is
    taken, the rest begins as usual. In keys and records the hash of its tensors."""
    keep_state: bool = False
    """Leave the whole state beside the checkpoint: encoders, heads, queues and optimiser."""

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        known = list(registry.files(METHODS))
        if method in known or ("." in method and not method.startswith(".")):
            return method
        raise ValueError(f"no such method; {did_you_mean(method, known)}")

    @model_validator(mode="after")
    def _fit(self) -> Settings:
        if self.batch % self.accumulate:
            raise ValueError(
                f"batch {self.batch} cannot be cut into {self.accumulate} equal parts (accumulate)"
            )
        if self.level_weights and len(self.level_weights) != len(self.levels):
            raise ValueError(
                f"level_weights {self.level_weights}: needs one for each of levels {self.levels}"
            )
        if not sum(self.weights):
            raise ValueError("weights: at least one of (own, neighbour) must be above zero")
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(f"levels {self.levels}: name each stage once")
        if self.lr_warmup >= self.epochs and self.lr_warmup:
            raise ValueError(f"lr_warmup {self.lr_warmup:g} must be shorter than the {self.epochs} epochs")
        if self.until_purity and not self.knn_every:
            raise ValueError(
                f"until_purity {self.until_purity:g} is asked for at looks: set knn_every above 0"
            )
        return self

    @property
    def groups(self) -> int:
        """Parts of batch norm in force, for one part of an accumulated batch."""
        return self.bn_groups or max(2, self.part // 32)

    @property
    def part(self) -> int:
        """Pictures that go through together, over all processes."""
        return self.batch // self.accumulate

    @property
    def projection(self) -> Projection:
        """Form of the MLPs in the projection heads."""
        return Projection(self.dim, self.head_layers, self.head_bn)

    @property
    def warmup_epochs(self) -> int:
        """hsa: epochs, from the first, in which neighbours have no weight; of settings that are `fitted`."""
        assert not self.warmup_steps, "warmup_steps: fit the settings to the training's length first"
        return max(1, round(self.warmup * self.epochs)) if self.warmup else 0

    @property
    def peak_lr(self) -> float:
        """The rate in force after the warm-up."""
        factor = {"fixed": 1.0, "linear": self.batch / 256, "sqrt": math.sqrt(self.batch)}
        return self.lr * factor[self.lr_rule]

    @property
    def knn_taken(self) -> str:
        """How the looks' kNN is taken, in words; empty where as usual."""
        if (self.knn_of, self.knn_k, self.knn_temperature) == ("features", 20, 0.07):
            return ""
        return f"of the {self.knn_of}, k {self.knn_k}, temperature {self.knn_temperature:g}"

    def fitted(self, steps_per_epoch: int) -> Self:
        """Put in numbers what depends on the length: `ema_share` in `ema`, `warmup_steps` in `warmup`.

        Raises:
            PretrainingError: The training is too short for either.
        """
        fit: dict[str, Any] = {}
        steps = steps_per_epoch * self.epochs
        if self.ema_share:
            memory = self.ema_share * steps
            if memory <= 1:
                raise PretrainingError(
                    f"ema_share {self.ema_share:g}: is {memory:.3g} of the training's {steps} steps, and the "
                    "key encoder's memory must be longer than one; choose a larger share, or ema"
                )
            fit |= {"ema": 1 - 1 / memory, "ema_share": 0}
        if self.warmup_steps:
            epochs = -(-self.warmup_steps // steps_per_epoch)
            if epochs >= self.epochs:
                raise PretrainingError(
                    f"warmup_steps {self.warmup_steps}: must end before the last epoch begins, after "
                    f"{steps - steps_per_epoch} steps (epochs {self.epochs})"
                )
            fit |= {"warmup": epochs / self.epochs, "warmup_steps": 0}
        return replace(self, **fit)
