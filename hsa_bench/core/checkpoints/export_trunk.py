"""Write a loaded trunk for other tools: torchvision's, timm's or Detectron2's names."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Literal, get_args

from safetensors.torch import save
from torch import Tensor

from hsa_bench.core.checkpoints.detectron2_names import to_detectron2
from hsa_bench.core.errors import UsageError
from hsa_bench.core.files import whole_file
from hsa_bench.core.models.architectures import ResNetTrunk
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.models.vit_names import is_vit

Names = Literal["torchvision", "timm", "detectron2"]

_TORCHVISION_VIT = (
    (r"^cls_token$", "class_token"),
    (r"^pos_embed$", "encoder.pos_embedding"),
    (r"^patch_embed\.proj\.", "conv_proj."),
    (r"^norm\.", "encoder.ln."),
    (r"^blocks\.(\d+)\.", r"encoder.layers.encoder_layer_\1."),
    (r"\.norm(\d)\.", r".ln_\1."),
    (r"\.attn\.qkv\.(weight|bias)", r".self_attention.in_proj_\1"),
    (r"\.attn\.proj\.", ".self_attention.out_proj."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.3."),
)


def export_trunk(backbone: Backbone, out: Path, names: Names | None = None) -> Names:
    """Write the trunk's tensors, whole or not at all.

    Args:
        backbone: A loaded ResNet or ViT.
        out: `.pkl` for Detectron2, else safetensors.
        names: Whose names the tensors get; by default Detectron2's for `.pkl`, else torchvision's for a
            ResNet (timm's are the same) and timm's for a ViT.

    Returns:
        The names that were used.

    Raises:
        UsageError: Name and suffix disagree, the trunk has no such names, or the file is there already.
    """
    if out.suffix not in {".safetensors", ".pkl"}:
        raise UsageError(f"--export {out}: end its name with .safetensors, or with .pkl for Detectron2")
    if out.exists():
        raise UsageError(f"--export {out}: is there already and would be lost; choose another name")
    vit = is_vit(backbone.arch)
    chosen: Names = names or ("detectron2" if out.suffix == ".pkl" else "timm" if vit else "torchvision")
    if chosen not in get_args(Names):
        raise UsageError(f"--names {chosen}: there are {', '.join(get_args(Names))}")
    if (out.suffix == ".pkl") != (chosen == "detectron2"):
        raise UsageError(f"--export {out}: Detectron2's names go into a .pkl file, others into .safetensors")
    state = _named(backbone, chosen)
    with whole_file(out) as file:
        if chosen == "detectron2":
            held = {"model": {k: v.numpy() for k, v in state.items()}, "__author__": "hsa_bench"}
            pickle.dump({**held, "matching_heuristics": True}, file)
        else:
            about = {"arch": backbone.arch, "names": chosen, "weights": backbone.weights, "format": "pt"}
            file.write(save({k: v.contiguous() for k, v in state.items()}, about))
    return chosen


def _named(backbone: Backbone, names: Names) -> dict[str, Tensor]:
    state = {name: tensor.detach().cpu() for name, tensor in backbone.module.state_dict().items()}
    if isinstance(backbone.module, ResNetTrunk):
        return to_detectron2(state) if names == "detectron2" else state
    if not is_vit(backbone.arch) or names == "detectron2":
        raise UsageError(
            f"--export: {backbone.arch} has no {names} names; ViTs have timm's and torchvision's"
        )
    if names == "timm":
        return state
    if set(backbone.arch.split("-")[1:]) & {"ls", "reg4", "swiglu"}:
        raise UsageError(f"--export: torchvision has no ViT like {backbone.arch}; use --names timm")
    for pattern, new in _TORCHVISION_VIT:
        state = {re.sub(pattern, new, name): tensor for name, tensor in state.items()}
    return state
