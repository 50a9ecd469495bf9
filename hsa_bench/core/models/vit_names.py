"""Names of vision transformers: width, depth, patch and picture size, and what no tensor's shape shows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hsa_bench.core.errors import UsageError

_SIZES = {
    "tiny": (192, 12),
    "small": (384, 12),
    "base": (768, 12),
    "large": (1024, 24),
    "huge": (1280, 32),
}
"""Width and depth by name (Dosovitskiy et al. 2021, arXiv:2010.11929, table 1; DeiT's for the first two)."""

_WORDS = {"ls", "swiglu", "eps12", "dinopos", "fcnorm"}

_HEADS = {1280: 16}
"""Attention heads by width where a head is not 64 wide."""

_NAME = re.compile(
    r"vit_(?:(tiny|small|base|large|huge)|w(\d+)x(\d+))_patch(\d+)_(\d+)((?:-(?:h\d+|ls|reg\d+|swiglu|eps12|mlp\d+|dinopos|fcnorm))*)"
)


@dataclass(frozen=True)
class Form:
    """What a name says."""

    width: int
    depth: int
    patch: int
    image: int
    """Side of the pictures its position embedding is made for, px."""
    heads: int
    hidden: int
    """Width within the MLPs."""
    registers: int
    more: frozenset[str]
    """"ls", "swiglu", "eps12", "dinopos", "fcnorm"."""


def form_of(arch: str) -> Form:
    """Read a name.

    Raises:
        ValueError: It is none of a vision transformer.
    """
    found = _NAME.fullmatch(arch)
    if not found:
        raise ValueError(f"--arch {arch}: write vit_small_patch16_224 or vit_w256x8_patch4_32")
    width, depth = _SIZES[found[1]] if found[1] else (int(found[2]), int(found[3]))
    more = set(found[6].split("-")[1:])
    numbers = {m.rstrip("0123456789"): int(m.lstrip("abcdefghijklmnopqrstuvwxyz")) for m in more - _WORDS}
    return Form(
        width=width,
        depth=depth,
        patch=int(found[4]),
        image=int(found[5]),
        heads=numbers.get("h", usual_heads(width)),
        hidden=numbers.get("mlp", 4 * width),
        registers=numbers.get("reg", 0),
        more=frozenset(more & _WORDS),
    )


MOST = {"width": 8192, "depth": 200, "patch": 128, "image": 4096, "hidden": 65536, "registers": 64}
"""More is no network that anyone trained, and may be memory that no one has."""

MOST_PATCHES = 256**2


def check_form(arch: str) -> None:
    """Refuse a network that cannot be, before memory is asked for.

    Raises:
        UsageError: A number of its name is 0 or beyond `MOST`, or its parts do not fit together.
    """
    form = form_of(arch)
    for name, most in MOST.items():
        number = getattr(form, name)
        if not (0 if name == "registers" else 1) <= number <= most:
            raise UsageError(f"--arch {arch}: {name} {number}; at most {most}, and not 0")
    if form.patch > form.image or (form.image // form.patch) ** 2 > MOST_PATCHES:
        raise UsageError(f"--arch {arch}: pictures of {form.image} px do not make patches of {form.patch} px")
    if form.heads < 1 or form.width % form.heads:
        raise UsageError(
            f"--arch {arch}: {form.width} channels cannot be shared by {form.heads} attention heads; name "
            "their number, as in -h12"
        )


def is_vit(arch: str) -> bool:
    """Whether the name is one of these."""
    return _NAME.fullmatch(arch) is not None


def vit_name(width: int, depth: int, patch: int, image: int, more: tuple[str, ...] = ()) -> str:
    """Name of an architecture: `vit_small_patch16_224`, `vit_w256x8_patch4_32-ls-reg4`."""
    size = next((name for name, form in _SIZES.items() if form == (width, depth)), f"w{width}x{depth}")
    return "-".join([f"vit_{size}_patch{patch}_{image}", *more])


def usual_heads(width: int) -> int:
    """Attention heads where no one says otherwise: 64 channels each."""
    return _HEADS.get(width, max(1, width // 64))


def with_heads(arch: str, heads: int) -> str:
    """The name with a number of attention heads, which no shape shows."""
    bare = re.sub(r"-h\d+", "", arch)
    found = _NAME.fullmatch(bare)
    assert found, f"{arch} is no vision transformer"
    width = _SIZES[found[1]][0] if found[1] else int(found[2])
    stem, *more = bare.split("-")
    return bare if heads == usual_heads(width) else "-".join([stem, f"h{heads}", *more])
