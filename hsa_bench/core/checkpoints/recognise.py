"""Which checkpoint format a file has; where none fits, which is nearest and what to try."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType

from torch import Tensor

from hsa_bench.core import registry
from hsa_bench.core.checkpoints.choose_arch import choose_arch
from hsa_bench.core.checkpoints.find_trunks import find_trunks, flat
from hsa_bench.core.checkpoints.layout import CLASSIFIERS, Payload, split
from hsa_bench.core.checkpoints.match import few, match
from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.architectures import blank

FORMATS = "hsa_bench.core.checkpoints.formats"


def formats() -> dict[str, ModuleType]:
    """All formats by name."""
    return {name: by_name(name) for name in registry.files(FORMATS)}


def by_name(name: str) -> ModuleType:
    """One format, of this suite or by dotted path.

    Raises:
        UsageError: No such format.
    """
    if "." in name:
        return registry.load(FORMATS, name)
    if name not in registry.files(FORMATS):
        raise UsageError(f"--format {name}: unknown; there are {', '.join(registry.files(FORMATS))}")
    return importlib.import_module(f"{FORMATS}.{name.replace('-', '_')}")


def name_of(form: ModuleType) -> str:
    """Name of a format, as `--format` takes it."""
    return form.__name__.rsplit(".", 1)[1].replace("_", "-")


def recognise(payload: Payload) -> ModuleType:
    """The one format that matches; generic ones are asked only where no other does.

    Raises:
        UsageError: None or several do.
    """
    forms = formats()
    found = {name: form for name, form in forms.items() if form.matches(payload)}
    special = {name: form for name, form in found.items() if not getattr(form, "GENERIC", False)}
    if len(left := special or found) == 1:
        return next(iter(left.values()))
    if left:
        raise UsageError(f"could be any of {', '.join(left)}; choose with --format")
    keys = few([str(key) for key in payload])
    raise UsageError(f"no known format (its keys: {keys}). {advice(payload)} Known are {', '.join(forms)}")


def advice(payload: Payload, arch: str = "", but: str = "", beyond: float = 0.0) -> str:
    """What to try: the trunks that stand in the file, and the format that comes nearest; empty for nothing.

    Args:
        payload: The file.
        arch: Architecture asked for, if any.
        but: Format that was tried.
        beyond: Share of the trunk's tensors that it found; only what finds more is named.
    """
    state = flat(payload)
    told = [
        f"{named} under {prefix or 'the top'!r}: try `--format prefix --branch {prefix.rstrip('.') or '.'}`."
        for prefix, named in list(find_trunks(state).items())[:3]
        if match(_places(arch or named), split(state, prefix, CLASSIFIERS)[0]).share > beyond
    ]
    scores = {
        name: _score(form, payload, arch) for name, form in formats().items() if name not in {but, "prefix"}
    }
    best = max(scores, key=lambda name: scores[name], default="")
    if best and scores[best] > beyond:
        told.append(f"The nearest format is {best} ({scores[best]:.0%} of its tensors): `--format {best}`.")
    nothing = "" if beyond else "No ResNet or ViT by torchvision's or timm's names is in it."
    return " ".join(told) or nothing


@lru_cache(maxsize=8)
def _places(arch: str) -> Mapping[str, Tensor]:
    return blank(arch).state_dict()


def _score(form: ModuleType, payload: Payload, arch: str) -> float:
    """Share of a trunk's tensors that this format finds."""
    try:
        found = form.convert(payload)
        return match(_places(choose_arch(found, arch)), found.state).share
    except Exception:  # a format tried on what it is not made for
        return 0.0
