"""Any file: the ResNet or ViT under the prefix that `--branch` gives.

Never recognised; ask for it: `--format prefix --branch model.encoder.`. Everything outside the prefix, and
a classifier under it, is dropped. For a trunk of torchvision's or timm's names in a layout of one's own.
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.find_trunks import at_prefix, flat
from hsa_bench.core.checkpoints.layout import Converted, Payload


def matches(payload: Payload) -> bool:
    """Never: see above."""
    return False


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take what stands under the prefix `branch`."""
    return at_prefix(flat(payload), branch)
