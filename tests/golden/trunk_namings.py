"""How frameworks name the tensors of a ResNet or ViT: from torchvision's and timm's names to theirs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

State = dict[str, Tensor]


def renamed(state: Mapping[str, Tensor], *patterns: tuple[str, str]) -> State:
    """Apply every pattern to every name, in order."""
    result = {}
    for key, value in state.items():
        name = key
        for pattern, new in patterns:
            name = re.sub(pattern, new, name)
        result[name] = value
    return result


def in_a_row(places: tuple[int, ...]) -> Callable[[State], State]:
    """A ResNet's children as entries of a Sequential, at these places."""
    parts = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
    return lambda state: renamed(
        state, *((rf"^{part}\.", f"{place}.") for part, place in zip(parts, places, strict=True))
    )


def detectron2(state: State) -> State:
    """facebookresearch/moco @132aea9 detection/convert-pretrain-to-detectron2.py."""
    return renamed(
        state,
        *((rf"^layer{i}\.", f"res{i + 1}.") for i in (1, 2, 3, 4)),
        (r"^(conv1|bn1)\.", r"stem.\1."),
        (r"bn(\d)\.", r"conv\1.norm."),
        (r"downsample\.0\.", "shortcut."),
        (r"downsample\.1\.", "shortcut.norm."),
    )


def hf_resnet(state: State) -> State:
    """transformers 5, models/resnet."""
    return renamed(
        state,
        (r"^layer(\d)\.(\d+)\.", lambda m: f"encoder.stages.{int(m[1]) - 1}.layers.{m[2]}."),  # type: ignore[list-item]
        (r"^conv1\.", "embedder.embedder.convolution."),
        (r"^bn1\.", "embedder.embedder.normalization."),
        (r"(layers\.\d+)\.conv(\d)\.", lambda m: f"{m[1]}.layer.{int(m[2]) - 1}.convolution."),  # type: ignore[list-item]
        (r"(layers\.\d+)\.bn(\d)\.", lambda m: f"{m[1]}.layer.{int(m[2]) - 1}.normalization."),  # type: ignore[list-item]
        (r"downsample\.0\.", "shortcut.convolution."),
        (r"downsample\.1\.", "shortcut.normalization."),
    )


def torchvision_vit(state: State) -> State:
    """torchvision/models/vision_transformer.py."""
    return renamed(
        state,
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


def dinov2(state: State) -> State:
    """facebookresearch/dinov2: registers apart, and the class token's position in the embedding."""
    if "reg_token" not in state:
        return dict(state)
    state = dict(state)
    nothing = torch.zeros_like(state["cls_token"])
    state["register_tokens"] = state.pop("reg_token")
    state["pos_embed"] = torch.cat([nothing, state["pos_embed"]], 1)
    return state


def dinov2_chunks(state: State) -> State:
    """The same in training, its blocks in chunks of three."""
    return renamed(state, (r"^blocks\.(\d+)\.", lambda m: f"blocks.{int(m[1]) // 3}.{m[1]}."))  # type: ignore[arg-type]


def hf_vit(
    block: str, attention: tuple[str, str, str, str], mlp: tuple[str, str]
) -> Callable[[State], State]:
    """transformers' ViT, by how a version spells block, attention and MLP."""

    def named(state: State) -> State:
        result: State = {}
        for key, value in renamed(
            state,
            (r"^(cls_token)$", r"embeddings.\1"),
            (r"^pos_embed$", "embeddings.position_embeddings"),
            (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
            (r"^norm\.", "layernorm."),
            (r"^blocks\.(\d+)\.", rf"{block}.\1."),
            (r"\.norm1\.", ".layernorm_before."),
            (r"\.norm2\.", ".layernorm_after."),
            (r"\.attn\.proj\.", f".{attention[3]}."),
            (r"\.mlp\.fc1\.", f".{mlp[0]}."),
            (r"\.mlp\.fc2\.", f".{mlp[1]}."),
        ).items():
            if ".attn.qkv." in key:
                for name, part in zip(attention, value.chunk(3), strict=False):
                    result[key.replace("attn.qkv", name)] = part.clone()
            else:
                result[key] = value
        return result

    return named


NEW = ("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj")
OLD = (
    "attention.attention.query",
    "attention.attention.key",
    "attention.attention.value",
    "attention.output.dense",
)


def hf_dinov2(attention: tuple[str, str, str, str]) -> Callable[[State], State]:
    """transformers' DINOv2."""
    vit = hf_vit("encoder.layer", attention, ("mlp.fc1", "mlp.fc2"))

    def named(state: State) -> State:
        found = renamed(
            vit(dinov2(state)),
            (r"\.layernorm_before\.", ".norm1."),
            (r"\.layernorm_after\.", ".norm2."),
            (r"\.ls(\d)\.gamma$", r".layer_scale\1.lambda1"),
            (r"^register_tokens$", "embeddings.register_tokens"),
        )
        return found

    return named


def mmselfsup_vit(state: State) -> State:
    """open-mmlab's VisionTransformer (mmcls)."""
    return renamed(
        state,
        (r"^blocks\.", "layers."),
        (r"\.norm(\d)\.", r".ln\1."),
        (r"^norm\.", "ln1."),
        (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
        (r"\.mlp\.fc2\.", ".ffn.layers.1."),
        (r"^patch_embed\.proj\.", "patch_embed.projection."),
    )


NAMINGS: dict[str, Callable[[State], State]] = {
    "plain": dict,
    "row": in_a_row((0, 1, 4, 5, 6, 7)),
    "row without pool": in_a_row((0, 1, 3, 4, 5, 6)),
    "detectron2": detectron2,
    "hf-resnet": hf_resnet,
    "torchvision-vit": torchvision_vit,
    "dinov2": dinov2,
    "dinov2 in chunks": dinov2_chunks,
    "hf-vit": hf_vit("encoder.layer", OLD, ("intermediate.dense", "output.dense")),
    "hf-vit new": hf_vit("layers", NEW, ("mlp.fc1", "mlp.fc2")),
    "hf-dinov2": hf_dinov2(OLD),
    "hf-dinov2 new": hf_dinov2(NEW),
    "mmselfsup-vit": mmselfsup_vit,
}
