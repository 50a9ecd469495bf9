"""Google's SimCLR v1, converted from TensorFlow (tonylins/simclr-converter, convert.py:85).

Not to be recognised: the file has torchvision's names and nothing else, so give `--format simclr-tf`. Then
its pictures run from 0 to 1 and are not normalised (google-research/simclr, issue 12), and its max-pooling
pads as TensorFlow's 'SAME' does. Widths 1, 2 and 4 are `resnet50`, `resnet50-w128`, `resnet50-w256`.
"""

from __future__ import annotations

from hsa_bench.core.checkpoints.layout import CLASSIFIERS, Converted, Payload, split, state_in
from hsa_bench.core.models.infer_arch import inferred
from hsa_bench.core.models.preprocess import UNNORMALISED

BRANCHES: dict[str, str] = {}


def matches(payload: Payload) -> bool:
    """Never: see above."""
    return False


def convert(payload: Payload, branch: str = "") -> Converted:
    """Take all but the classifier."""
    trunk, dropped = split(state_in(payload, "state_dict", ""), "", CLASSIFIERS)
    arch = inferred(trunk)
    arch = f"{arch}-samepool" if arch and "-cifar" not in arch else arch
    return Converted(trunk, dropped, arch=arch, card=UNNORMALISED)
