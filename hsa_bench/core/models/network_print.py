"""The print of a network: its features of a few fixed pictures, by which another one under its key is found.

Keys hold what a network is made of. Whether it still does the same, under another version of a library or
after an edit that no key sees, is found by computing: the print stands beside each result and each file of
features, and is compared before these are used again. It is computed on the CPU, in the network's own
number format, so that device and precision of a run do not matter.

Tolerance: two prints are of one network if they differ by no more than `SHARE` of the spread between the
pictures plus `ROUNDING` of their size (root mean squares). Threads, memory layout, oneDNN and float64 move
features in float32 by 1e-6 of their size (measured: ResNet-50, ViT-S, ConvNeXt-T, Swin-T), another pooling,
activation or normalisation by per cents: the bounds are far from either. Networks kept in half precision
round at every layer (bfloat16: up to 1e-2) and have `HALF` times that room.
"""

from __future__ import annotations

import base64
import binascii
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from hsa_bench.core.models.probe import SIDES, computed, dtype_of, pictures, shadow, stated_sides
from hsa_bench.core.tf32 import tf32

SHARE = 2e-3
ROUNDING = 1e-4
HALF = 100
PICTURES = 4
NUMBERS = 128
"""Of each picture, at most: of longer features, sums of groups with fixed signs, so that all take part."""

_VERSION = "1"


@dataclass(frozen=True)
class _Print:
    side: int
    room: int
    values: NDArray[np.float32]
    """[PICTURES, NUMBERS or fewer]."""


def network_print(module: nn.Module, side: int = 0) -> str:
    """Compute a network's print, as text for a file; empty where that fails. The module is left as it is.

    Args:
        module: [B, 3, H, W] to [B, D].
        side: Of pictures that it is known to take, px, for one that takes neither `SIDES` nor what it states.
    """
    copied = shadow(module)
    sides = (SIDES[0], *stated_sides(module), *SIDES[1:], *([side] if side else []))
    with tf32(False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for tried in dict.fromkeys(sides):
            try:
                found = computed(copied, pictures(tried, PICTURES))
            except Exception:  # of a network of one's own
                continue
            return _text(found, tried, HALF if dtype_of(module).itemsize < 4 else 1)
    return ""


def is_changeable(module: nn.Module, side: int = 0) -> bool:
    """Whether a network gives other features each time, so that its print tells nothing."""
    return differ(network_print(module, side), network_print(module, side))


def differ(one: str, other: str) -> bool:
    """Whether two prints are of different networks; not if one is missing, or of an unknown form."""
    first, second = _read(one), _read(other)
    if first is None or second is None:
        return False
    if first.side != second.side or first.values.shape != second.values.shape:
        return True
    a, b = first.values.astype(np.float64), second.values.astype(np.float64)
    numbers = np.isfinite(a)
    if not np.array_equal(numbers, np.isfinite(b)):
        return True
    a, b = np.where(numbers, a, 0.0), np.where(numbers, b, 0.0)
    allowed = SHARE * _size(a - a.mean(0)) + ROUNDING * _size(a)
    return _size(a - b) > allowed * max(first.room, second.room)


def _text(found: object, side: int, room: int) -> str:
    if not isinstance(found, Tensor) or found.ndim != 2:
        return ""
    values = _summed(found.double().numpy()).astype("<f4")
    return ";".join([_VERSION, str(side), str(room), base64.b64encode(values.tobytes()).decode()])


def _summed(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """[B, D] to [B, NUMBERS]; shorter features as they are."""
    length = features.shape[1]
    if length <= NUMBERS:
        return features
    signs = np.random.RandomState(1).choice([-1.0, 1.0], length)
    padded = np.zeros((len(features), -(-length // NUMBERS) * NUMBERS))
    padded[:, :length] = features * signs
    return padded.reshape(len(features), -1, NUMBERS).sum(1) / (padded.shape[1] / NUMBERS) ** 0.5


def _read(text: str) -> _Print | None:
    try:
        version, side, room, numbers = text.split(";")
        values = np.frombuffer(base64.b64decode(numbers, validate=True), "<f4").reshape(PICTURES, -1)
        return _Print(int(side), int(room), values) if version == _VERSION else None
    except (ValueError, binascii.Error):
        return None


def _size(values: NDArray[np.float64]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
