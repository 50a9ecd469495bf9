"""Names of vision transformers: width, depth, patch and picture size, and what no tensor's shape shows."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIZES = {
    "tiny": (192, 12),
    "small": (384, 12),
    "base": (768, 12),
    "large": (1024, 24),
    "huge": (1280, 32),
}
"""Width and depth by name (Dosovitskiy et al. 2021, arXiv:2010.11929, table 1; DeiT's for the first two)."""

_WORDS = {"ls", "swiglu", "eps12", "dinopos"}

_HEADS = {1280: 16}
"""Attention heads by width where a head is not 64 wide."""

_NAME = re.compile(
    r"vit_(?:(tiny|small|base|large|huge)|w(\d+)x(\d+))_patch(\d+)_(\d+)((?:-(?:h\d+|ls|reg\d+|swiglu|eps12|mlp\d+|dinopos))*)"
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
    """"ls", "swiglu", "eps12", "dinopos"."""


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
