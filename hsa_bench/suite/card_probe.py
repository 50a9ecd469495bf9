"""Which card fits? A quick kNN on training images alone, under every plausible card of a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from eval_tasks.knn import without
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import Classification
from hsa_bench.core.data.views import centre_view, eval_view
from hsa_bench.core.features.forward import batches
from hsa_bench.core.features.neighbours import cast_votes, search
from hsa_bench.core.models import preprocess as cards
from hsa_bench.core.models.vit_names import with_heads
from reports.statistics.significance import ALPHA, holm, mcnemar

IMAGES = 2_000
"""Training images drawn, class-balanced; each is classified by the others."""

K, TEMPERATURE = 20, 0.07

INPUTS = {
    "ImageNet's mean and std": cards.IMAGENET,
    "std 0.228 (SwAV)": cards.STD_228,
    "pixels in [0, 1] (SimCLR)": cards.UNNORMALISED,
    "pixels in [-1, 1]": cards.HALF,
    "CIFAR-10's mean and std": cards.CIFAR,
    "Caffe: BGR, 0 to 255": cards.CAFFE,
    "ImageNet's, BGR": replace(cards.IMAGENET, channels="BGR"),
}


@dataclass(frozen=True)
class Probed:
    """One card and how well it does."""

    name: str
    flags: str
    """Options that choose it."""
    top1: float
    """Percent of the training images that the others classify rightly."""
    p: float
    """Of the difference to the card in force: exact McNemar, two-sided, for all cards of the probe (Holm)."""


def probe(request: BackboneRequest, data: Classification, ctx: Context, image_size: int = 0) -> list[Probed]:
    """Try every plausible card and structure, the one in force first, the others best first.

    The test split is not opened. Structures that give the same features as another are left out.
    """
    train = data.limited(IMAGES).train
    view = eval_view(data, image_size)
    found: dict[str, tuple[str, Tensor]] = {}
    for name, flags, one in _candidates(request):
        backbone = open_backbone(one)
        rows = range(len(train))
        parts = batches(backbone.module, train, rows, centre_view(view, backbone.card), ctx)
        features = torch.nn.functional.normalize(torch.cat(list(parts)), dim=1)
        labels = torch.from_numpy(train.labels)
        found[name] = flags, _right(features, labels, len(data.classes))
    names = list(found)
    base = found[names[0]][1].numpy()
    p = holm([mcnemar(base, found[name][1].numpy()) for name in names[1:]])
    probed = [
        Probed(name, found[name][0], 100 * found[name][1].double().mean().item(), q)
        for name, q in zip(names, [1.0, *p], strict=True)
    ]
    return [probed[0], *sorted(probed[1:], key=lambda one: -one.top1)]


def verdict(probed: Sequence[Probed]) -> str:
    """What to do, in a sentence."""
    now, best = probed[0], max(probed, key=lambda one: one.top1)
    if best is now:
        return "The card in force fits best."
    difference = f"{best.name} gives {best.top1 - now.top1:+.1f} points (p = {best.p:.2g})"
    if best.p < ALPHA:
        return f"{difference} to the card in force: consider {best.flags}."
    return f"{difference}: no card is shown to fit better than the one in force."


def _candidates(request: BackboneRequest) -> list[tuple[str, str, BackboneRequest]]:
    """Names, options and requests; the first is the card in force."""
    now = open_backbone(request)
    found = [("as loaded", "", request)]
    for name, card in INPUTS.items():
        if replace(card, tokens=now.card.tokens) != now.card:
            fields = {k: v for k, v in card.as_dict().items() if k != "tokens"}
            flags = " ".join(f"--card {k}={_plain(v)}" for k, v in fields.items())
            found.append((name, flags, request.model_copy(update={"card": {**request.card, **fields}})))
    for tokens in ("cls", "mean", "cls+mean") if now.card.tokens else ():
        if tokens != now.card.tokens:
            changed = request.model_copy(update={"card": {**request.card, "tokens": tokens}})
            found.append((f"tokens: {tokens}", f"--card tokens={tokens}", changed))
    for arch in _structures(now.arch):
        found.append((f"structure: {arch}", f"--arch {arch}", request.model_copy(update={"arch": arch})))
    return found


def _structures(arch: str) -> list[str]:
    """Architectures whose tensors have the same shapes."""
    if small := re.fullmatch(r"(resnet\d+(?:-w\d+)?)-(?:cifar|s2)(?:-pad2)?", arch):
        return [f"{small[1]}{end}" for end in ("-cifar", "-cifar-pad2", "-s2") if f"{small[1]}{end}" != arch]
    if plain := re.fullmatch(r"(resnet\d+(?:-w\d+)?)(-samepool)?", arch):
        return [plain[1] if plain[2] else f"{arch}-samepool"]
    if arch.startswith("vit_small_"):
        return [other for heads in (6, 12) if (other := with_heads(arch, heads)) != arch]
    return []


def _right(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Which images the others classify rightly, [N]."""
    found = search(features, features, min(K + 1, len(features)))
    others = without(found, torch.arange(len(features)))
    scores = cast_votes(others, labels, classes, TEMPERATURE)
    return scores.argmax(1) == labels


def _plain(value: object) -> str:
    return ",".join(f"{v:g}" for v in value) if isinstance(value, list) else f"{value}"
