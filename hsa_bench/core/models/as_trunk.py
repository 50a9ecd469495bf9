"""From a module as it is handed in to the trunk that is measured: unwrapped, without its known classifier.

timm's models give features by timm's own interface, torchvision's what goes into their last layer. What else
ends in a classifier is refused, unless the user says what to do with it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.architectures import ResNetTrunk
from hsa_bench.core.models.probe import computed, pictures, probe, shadow
from hsa_bench.core.models.unwrap import unwrapped

HEADS = ("", "drop", "keep")
"""What becomes of a classifier: refused where it is not known; dropped; kept, its output measured."""

CLASSES = frozenset({10, 100, 1000, 21841, 21843})
"""Outputs of a last layer that are the classes of CIFAR and ImageNet, whatever the layer is called."""

_WORDS = re.compile(
    r"fc\d*|heads?|classifiers?|cls(_head|_score)?|logits?|linear|lin|last_linear|last_layer|head_dist|prototypes?"
    r"|predictions?|predictor|fc_out|(classification|class|projection)_head|projector|class_embed"
    r"|clf|(fc|linear|lin|mlp|cls)_(cls|head|probe|fc)|probe|preds?|scores?|outs?|outputs?|(out|output|final)_layer"
    r"|final(_fc|_linear)?|last_fc|top"
)


class TimmTrunk(nn.Module):
    """A model of timm, up to what its classifier takes."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] to [B, D]."""
        net: Any = self.net
        return net.forward_head(net.forward_features(x), pre_logits=True)


def as_trunk(module: nn.Module, name: str, head: str = "", asked: int = 0) -> nn.Module:
    """Return the trunk of a module; the module itself where it gives features.

    Args:
        module: On the CPU; it may be changed, so hand in a copy.
        name: What it is called in a message.
        head: One of `HEADS`.
        asked: Side of the pictures that are going to be measured, px; 0 if that is not known.

    Raises:
        UsageError: It fails on pictures, gives no [B, D], or ends in a classifier that is neither kept nor
            dropped.
    """
    if head not in HEADS:
        raise UsageError(f"{name}: head={head}: write drop or keep")
    module = unwrapped(module)
    if head == "keep":
        return module
    if type(module) is torchvision.models.ResNet and _forward_of(module):
        return ResNetTrunk(module).eval()  # its own layers, so that its strides stay what they are
    if _is_timms(module):
        return _of_timm(module, name, asked)
    if _is_torchvisions(module):
        _strip_torchvisions(module)
        return module
    return _without_classifier(module, name, head, asked)


def _without_classifier(module: nn.Module, name: str, head: str, asked: int) -> nn.Module:
    found = probe(module, name, asked)
    x = pictures(found.side, 2)
    last = _last_layer(module, x, found.dim)
    if last and head == "drop":
        return _dropped(module, name, last)
    keep = 'measure its output as it is by --head keep (evaluate: head="keep")'
    if last:
        raise UsageError(
            f"{name}: ends in {last}, a classifier by name, width or place: its {found.dim:,} numbers are "
            f'logits and no features. Drop that layer by --head drop (evaluate: head="drop"), or {keep}'
        )
    if _are_probabilities(computed(shadow(module), x)):
        raise UsageError(
            f"{name}: gives {found.dim:,} numbers that sum to 1: they are probabilities and no features. "
            f"Give the module without its classifier, or {keep}"
        )
    if head == "drop":
        raise UsageError(f"{name}: head=drop, but it ends in no classifier; leave that out")
    return module


def _dropped(module: nn.Module, name: str, last: str) -> nn.Module:
    try:
        module.set_submodule(last, nn.Identity())
    except Exception as error:  # nothing would be left, or a scripted module
        raise UsageError(f"{name}: {last} cannot be dropped; give the module without it") from error
    return module


def _is_timms(module: nn.Module) -> bool:
    own = all(hasattr(module, name) for name in ("forward_features", "forward_head", "reset_classifier"))
    return own and _forward_of(module).startswith("timm.")


def _is_torchvisions(module: nn.Module) -> bool:
    place = _forward_of(module)
    return place.startswith("torchvision.models.") and place.count(".") == 2


def _of_timm(module: Any, name: str, asked: int) -> nn.Module:
    """The model without a classifier, as timm drops it if that gives what `forward_head` gives before it."""
    if not getattr(module, "num_classes", 0):
        return module
    x = pictures(probe(module, name, asked).side, 2)
    trunk = TimmTrunk(module).eval()
    expected = computed(shadow(trunk), x)
    bare: Any = copy.deepcopy(module)
    try:
        bare.reset_classifier(0)
        found = computed(shadow(bare), x)
    except Exception:  # of one of a thousand models
        return trunk
    same = expected.shape == found.shape and torch.allclose(
        expected, found, rtol=1e-3, atol=1e-4, equal_nan=True
    )
    return bare.eval() if same else trunk


def _strip_torchvisions(module: nn.Module) -> None:
    """Put nothing in place of the last layer, where it is a classifier and only dropout comes after it."""
    for head in ("fc", "classifier", "head", "heads"):
        if (part := getattr(module, head, None)) is None:
            continue
        leaves = [(n, m) for n, m in part.named_modules() if not list(m.children())]
        after: list[nn.Module] = []
        while leaves and not any(True for _ in leaves[-1][1].parameters()):
            after.append(leaves.pop()[1])
        if not leaves:
            return
        inside, last = leaves[-1]
        plain = all(isinstance(m, nn.Dropout | nn.Identity) for m in after)
        linear = isinstance(last, nn.Linear) and plain and last.in_features != last.out_features
        if linear or isinstance(last, nn.Conv2d):
            module.set_submodule(f"{head}.{inside}" if inside else head, nn.Identity())
        return


def _last_layer(module: nn.Module, x: Tensor, dim: int) -> str:
    """Name of the layer with weights that gives the output, if it is a classifier; "." for the module itself.

    It is the one that computes last, or last within what has weights beside its layers (a ViT its tokens);
    or one that nobody calls, for its weights alone are used.
    """
    copied = shadow(module)
    own = {
        name: part
        for name, part in copied.named_modules()
        if any(True for _ in part.parameters(recurse=False))
    }
    order = _order(copied, own, x)
    layers = [name for name in order if not any(other.startswith(f"{name}.") for other in own if name)]
    uncalled = [name for name in own if name not in order]
    for name in [*order[-1:], *[n for n in layers if n][-1:], *uncalled]:
        if _classifies(name, own[name], dim) or _follows_a_network(copied, name, own[name]):
            return name or "."
    return ""


def _order(module: nn.Module, parts: Mapping[str, nn.Module], x: Tensor) -> list[str]:
    """Names of parts in the order in which they end; as listed where a scripted module takes no hooks."""
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        return list(parts)
    order = list[str]()
    hooks = [
        part.register_forward_hook(lambda *_, name=name: order.append(name)) for name, part in parts.items()
    ]
    computed(module, x)
    for hook in hooks:
        hook.remove()
    return order


def _classifies(name: str, part: nn.Module, dim: int) -> bool:
    """Whether a layer gives that many numbers and is called, or is as wide as, what tells classes apart."""
    outputs = getattr(part, "out_features", getattr(part, "out_channels", 0))
    if outputs != dim or getattr(part, "kernel_size", (1, 1)) != (1, 1):
        return False
    return dim in CLASSES or any(_WORDS.fullmatch(word.lower()) for word in name.split("."))


def _follows_a_network(module: nn.Module, name: str, part: nn.Module) -> bool:
    """Tell whether a layer ends `Sequential(network, Linear)` and gives fewer numbers than the network."""
    place, _, index = name.rpartition(".")
    around = module.get_submodule(place)
    if not (isinstance(around, nn.Sequential) and isinstance(part, nn.Linear) and index.isdigit()):
        return False
    before = list(around.children())[: int(index)]
    network = any(list(one.children()) and any(True for _ in one.parameters()) for one in before)
    return network and part.out_features < part.in_features


def _forward_of(module: nn.Module) -> str:
    """Name of the Python module that defines a network's `forward`; empty where that is the network's own."""
    if "forward" in vars(module):
        return ""
    kind = next((kind for kind in type(module).__mro__ if "forward" in vars(kind)), nn.Module)
    return getattr(vars(kind).get("forward"), "__module__", "") or ""


def _are_probabilities(found: Tensor) -> bool:
    """Whether rows are above 0 and sum to 1, as they are or as logarithms."""
    rows = found.double()
    one = torch.ones(len(rows), dtype=torch.double)
    sums = [rows.sum(1)] if bool((rows >= 0).all()) else [rows.exp().sum(1)]
    return rows.shape[1] > 1 and any(torch.allclose(total, one, atol=1e-3) for total in sums)
