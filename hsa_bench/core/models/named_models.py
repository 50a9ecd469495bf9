"""Models of timm and torchvision by their names there, without a classifier, whatever the family.

timm's features are those of its own interface: `num_classes=0`, which is `forward_head(…, pre_logits=True)`.
torchvision has none: the last linear layer of its classifier is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import nn

from hsa_bench.core.errors import UsageError

TORCHVISION, TIMM = "torchvision:", "timm:"
HEADS = ("classifier", "head", "heads", "fc")
"""Where torchvision's models keep their classifiers."""


def plain_name(arch: str) -> str:
    """The name of an architecture without what does not decide it: `timm:` and the tag of its weights.

    torchvision's models keep `torchvision:`, because timm has others by the same names; its ResNets do not.
    """
    if arch.startswith(TIMM):
        return arch.removeprefix(TIMM).partition(".")[0]
    if arch.startswith(TORCHVISION):
        name = arch.removeprefix(TORCHVISION).partition(".")[0]
        return name if "resne" in name else f"{TORCHVISION}{name}"
    return arch


def is_timms(arch: str) -> bool:
    """Whether timm has a model of that name."""
    return arch in timm_names()


@lru_cache(maxsize=1)
def timm_names() -> frozenset[str]:
    """All architectures of timm; importing it takes seconds."""
    import timm

    return frozenset(timm.list_models())


def is_torchvisions(arch: str) -> bool:
    """Whether it is `torchvision:NAME` and classifies pictures."""
    return arch.startswith(TORCHVISION) and arch.removeprefix(TORCHVISION) in torchvision_names()


@lru_cache(maxsize=1)
def torchvision_names() -> frozenset[str]:
    """Torchvision's classifiers of pictures; its detectors would fetch weights."""
    import torchvision

    return frozenset(torchvision.models.list_models(module=torchvision.models))


def build_named(arch: str) -> nn.Module:
    """A randomly initialised model of timm or torchvision that maps [B, 3, H, W] to features, [B, dim].

    It takes other picture sizes than its own where timm's code can resample what depends on them.

    Raises:
        UsageError: It ends in no linear classifier, so that nothing says what its features are.
    """
    if arch.startswith(TORCHVISION):
        import torchvision

        return _headless(torchvision.models.get_model(arch.removeprefix(TORCHVISION), weights=None), arch)
    import timm

    try:
        return timm.create_model(arch, pretrained=False, num_classes=0, dynamic_img_size=True)
    except TypeError:  # a family without such a choice
        return timm.create_model(arch, pretrained=False, num_classes=0)


def classifier_names(arch: str) -> tuple[str, ...]:
    """Beginnings of the tensors' names that are the model's classifier, `head.fc.`; none for other models.

    timm says so itself (`pretrained_cfg["classifier"]`); what else its model has with a classifier and has
    not without is one too.
    """
    if not (is_torchvisions(arch) or is_timms(arch)):
        return ()
    return _classifier_names(arch)


@lru_cache(maxsize=16)
def _classifier_names(arch: str) -> tuple[str, ...]:
    full = without_memory(partial(_with_classifier, arch))
    named = (getattr(full, "pretrained_cfg", None) or {}).get("classifier") or ()
    said = (named,) if isinstance(named, str) else tuple(named)
    kept = set(without_memory(partial(build_named, arch)).state_dict())
    more = [re.sub(r"(weight|bias)$", "", name) for name in full.state_dict() if name not in kept]
    return tuple(dict.fromkeys([*(f"{name}." for name in said), *more]))


def _with_classifier(arch: str) -> nn.Module:
    if arch.startswith(TORCHVISION):
        import torchvision

        return torchvision.models.get_model(arch.removeprefix(TORCHVISION), weights=None)
    import timm

    return timm.create_model(arch, pretrained=False)


def without_memory(make: Callable[[], nn.Module]) -> nn.Module:
    """A module for its names and shapes alone, without memory of its own where its code allows."""
    try:
        with torch.device("meta"):
            return make()
    except (NotImplementedError, RuntimeError):  # it computes with what it has just made
        return make()


def _headless(net: nn.Module, arch: str) -> nn.Module:
    for head in HEADS:
        part = getattr(net, head, None)
        if isinstance(part, nn.Linear):
            setattr(net, head, nn.Identity())
            return net
        children = part.named_children() if isinstance(part, nn.Module) else ()
        linear = [name for name, child in children if isinstance(child, nn.Linear)]
        if linear:
            setattr(part, linear[-1], nn.Identity())
            return net
    raise UsageError(
        f"--arch {arch}: ends in no linear classifier; write a function of your own that takes its features, "
        "--arch my_lab.nets:build"
    )
