"""What a set of weights expects and no key name shows: a checkpoint's card, which no recipe overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.name_value import split_pair
from hsa_bench.core.input.settings import explain
from hsa_bench.core.input.suggest import did_you_mean
from hsa_bench.core.input.yaml_text import parse_yaml

Tokens = Literal["", "cls", "mean", "cls+mean"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Preprocess:
    """How pixels become input, and tokens become one vector."""

    mean: tuple[Finite, Finite, Finite] = (0.485, 0.456, 0.406)
    """Per channel, in units of the value range, in RGB order whatever `channels` says."""
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    channels: Literal["RGB", "BGR"] = "RGB"
    """Order in which the network takes its channels."""
    value_range: Positive = 1.0
    """Pixels run from 0 to this before mean and std are applied: 1 or 255."""
    tokens: Tokens = ""
    """What of a vision transformer's output is the feature; empty for other networks."""

    def as_dict(self) -> dict[str, Any]:
        """For the key and the report."""
        card: dict[str, Any] = {
            "mean": list(self.mean),
            "std": list(self.std),
            "channels": self.channels,
            "value_range": self.value_range,
        }
        return {**card, "tokens": self.tokens} if self.tokens else card


IMAGENET = Preprocess()
STD_228 = Preprocess(std=(0.228, 0.224, 0.225))
"""SwAV's and HCSC's: facebookresearch/swav src/multicropdataset.py."""
UNNORMALISED = Preprocess(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""SimCLR's in TensorFlow: pixels in [0, 1] as they are (google-research/simclr, issue 12)."""
HALF = Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""Google's vision transformers: pixels in [-1, 1]."""
CAFFE = Preprocess(mean=(123.675, 116.28, 103.53), std=(1.0, 1.0, 1.0), channels="BGR", value_range=255.0)
"""The MSRA ResNets of Caffe and Detectron."""
CIFAR = Preprocess(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))


def in_words(card: Preprocess) -> str:
    """What the card does to pixels, for a list of what was taken for granted."""
    known = {
        (IMAGENET.mean, IMAGENET.std): "ImageNet's mean and deviation",
        (UNNORMALISED.mean, UNNORMALISED.std): "pixels in [0, 1], not normalised",
    }
    return known.get((card.mean, card.std), f"mean {card.mean} and deviation {card.std}")


def overridden(card: Preprocess, changes: Mapping[str, Any]) -> Preprocess:
    """The card with some fields changed.

    Raises:
        UsageError: It has no such field, or the field does not take that value.
    """
    known = [f.name for f in fields(Preprocess)]
    for name, value in changes.items():
        if name not in known:
            raise UsageError(f"--card {name}: no such field; {did_you_mean(name, known)}")
        try:
            card = replace(card, **{name: value})
        except ValidationError as error:
            three = "; write three numbers: 0.5,0.5,0.5" if name in {"mean", "std"} else ""
            raise UsageError(f"--card {name}={value}: {explain(error).reason}{three}") from error
    return card


def parse_card(texts: list[str]) -> dict[str, dict[str, Any]]:
    """`field=value` or `NAME.field=value` to changes by backbone; "" stands for all of them.

    Raises:
        UsageError: Another form.
    """
    changes: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, value = split_pair(text, "--card", "field=value, for example mean=0.5,0.5,0.5 or tokens=mean")
        label, _, field = name.rpartition(".")
        try:
            parsed = (
                [float(p) for p in value.strip("[]").split(",")]
                if "," in value
                else parse_yaml(value, "--card")
            )
        except ValueError:
            raise UsageError(f"--card {text}: write one value, or numbers as in mean=0.5,0.5,0.5") from None
        changes.setdefault(label, {})[field] = parsed
    return changes
