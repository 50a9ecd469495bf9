"""SwAV and DeepCluster-v2, the published file and a training's (facebookresearch/swav, main_swav.py:239-247).

Recognised by `prototypes` and `projection_head` beside a ResNet, at the top or in `state_dict`; drops both.
The deviation of red is 0.228 (src/multicropdataset.py).
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.layout import Converted, Payload, from_lightning, has, split, state_in
from hsa_bench.core.models.preprocess import STD_228

BRANCHES: dict[str, str] = {}
NO_TRUNK = ("projection_head.", "prototypes.", "fc.")


def matches(payload: Payload) -> bool:
    """Whether projection head and prototypes stand beside a ResNet."""
    state = state_in(payload, "state_dict", "")
    return has(state, "projection_head.", "prototypes.", "conv1.") and not from_lightning(payload)


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take all but projection head and prototypes."""
    trunk, dropped = split(state_in(payload, "state_dict", ""), "", NO_TRUNK)
    return Converted(trunk, dropped, card=STD_228)
