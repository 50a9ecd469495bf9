"""Any other Lightning checkpoint with one ResNet or ViT in it.

Asked where no other format recognises a file that Lightning wrote. The trunk is found by its shapes; where
there are several, `--branch` names the prefix of one, such as `model.encoder.`. Drops everything else.
Cannot know the preprocessing: ImageNet's mean and deviation are assumed.
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.find_trunks import at_prefix
from hsa_bench.core.checkpoints.layout import Converted, Payload, from_lightning, state_in

GENERIC = True


def matches(payload: Payload) -> bool:
    """Whether Lightning wrote it."""
    return from_lightning(payload)


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take the one trunk there is, or the one that `branch` is the prefix of."""
    return at_prefix(state_in(payload, "state_dict"), branch)
