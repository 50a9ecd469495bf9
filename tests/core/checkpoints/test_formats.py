"""Every format, on files built as its framework builds them (tests/golden/checkpoint_layouts.json)."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hsa_bench.core import registry
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.recognise import FORMATS
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import Backbone, weights_hash
from tests.golden.make_checkpoint_layouts import rebuilt
from tests.golden.trunk_namings import NAMINGS

GOLDEN = Path(__file__).parents[2] / "golden" / "checkpoint_layouts.json"
LAYOUTS: dict[str, Any] = json.loads(GOLDEN.read_text())

QUERY, KEY = "state_dict:module.encoder_q.", "state_dict:module.encoder_k."
TRUNK = "classy_state_dict/base_model/model/trunk"
EXPECTED = {
    "barlowtwins-release.pth": ("torchvision", "", ":"),
    "barlowtwins.pth": ("barlowtwins", "backbone", "model:module.backbone."),
    "csml.pth": ("csml", "query", QUERY),
    "detectron2-detector.pth": ("detectron2", "bottom_up", "model:backbone.bottom_up."),
    "detectron2.pkl": ("detectron2", "trunk", "model:"),
    "dino-r50.pth": ("dino", "teacher", "teacher:module.backbone."),
    "dino-release-vit.pth": ("vit", "", ":"),
    "dino-vit.pth": ("dino", "teacher", "teacher:backbone."),
    "dinov2-release-reg.pth": ("dinov2", "", ":"),
    "dinov2-release.pth": ("dinov2", "", ":"),
    "dinov2-teacher.pth": ("dinov2", "teacher", "teacher:backbone."),
    "hcsc.pth": ("hcsc", "query", QUERY),
    "hf-dinov2-reg.safetensors": ("hf-vit", "", ":"),
    "hf-dinov2.safetensors": ("hf-vit", "", ":"),
    "hf-resnet.safetensors": ("hf-resnet", "", ":resnet."),
    "hf-vit-classifier.safetensors": ("hf-vit", "", ":vit."),
    "hf-vit-model.safetensors": ("hf-vit", "", ":"),
    "lightly-benchmark-byol.ckpt": ("lightly", "backbone", "state_dict:backbone."),
    "lightly-benchmark-dino.ckpt": ("lightly", "backbone", "state_dict:backbone."),
    "lightly-benchmark-mocov2.ckpt": ("lightly", "backbone", "state_dict:backbone."),
    "lightly-benchmark-simclr.ckpt": ("lightly", "backbone", "state_dict:backbone."),
    "lightly-example.pth": ("lightly", "backbone", ":backbone."),
    "lightning-plain.ckpt": ("lightning", "encoder", "state_dict:encoder."),
    "mmselfsup-extracted.pth": ("mmselfsup", "", "state_dict:"),
    "moco-v1.pth": ("moco", "query", QUERY),
    "moco-v2.pth": ("moco", "query", QUERY),
    "mocov3-r50.pth": ("mocov3", "base", "state_dict:module.base_encoder."),
    "mocov3-vit.pth": ("mocov3", "base", "state_dict:module.base_encoder."),
    "pcl.pth": ("moco", "query", QUERY),
    "pycontrast.pth": ("pycontrast", "model", "model:module.encoder."),
    "simclr-andrewatanov.pth": ("simclr-andrewatanov", "convnet", "state_dict:convnet."),
    "simclr-leftthomas.pth": ("simclr-leftthomas", "f", ":f."),
    "simclr-spijkervet.pth": ("simclr-spijkervet", "encoder", ":encoder."),
    "simclr-sthalles.pth": ("simclr-sthalles", "backbone", "state_dict:backbone."),
    "simclr-tf.pth": ("simclr-tf", "", "state_dict:"),
    "simsiam.pth": ("simsiam", "encoder", "state_dict:module.encoder."),
    "solo-learn-cifar.ckpt": ("sololearn", "online", "state_dict:backbone."),
    "solo-learn.ckpt": ("sololearn", "online", "state_dict:backbone."),
    "stable-pretraining-pair.ckpt": ("stable-pretraining", "teacher", "state_dict:backbone.teacher."),
    "stable-pretraining-plain.ckpt": ("lightning", "backbone", "state_dict:backbone."),
    "swav-deepcluster.pth": ("swav", "", ":module."),
    "swav-release.pth": ("swav", "", ":module."),
    "swav-training.pth": ("swav", "", "state_dict:module."),
    "timm-dinov2-reg.safetensors": ("vit", "", ":"),
    "timm-train.pth": ("torchvision", "", "state_dict:"),
    "timm-vit.safetensors": ("vit", "", ":"),
    "timm.safetensors": ("torchvision", "", ":"),
    "torchvision-resnet.pth": ("torchvision", "", ":"),
    "torchvision-vit.pth": ("torchvision-vit", "", ":"),
    "vicreg-release.pth": ("torchvision", "", ":"),
    "vicreg.pth": ("vicreg", "backbone", "model:module.backbone."),
    "vissl-extractor.pth": ("vissl", "base_model", f"{TRUNK}:base_model._feature_blocks."),
    "vissl-numpy.pth": ("vissl", "trunk", "model_state_dict:_feature_blocks."),
    "vissl-trunk.pth": ("vissl", "trunk", f"{TRUNK}:_feature_blocks."),
}
"""By file: format, default branch, and where the trunk stands that is taken."""

OTHERS = {
    "csml.pth": ("key", KEY),
    "dino-r50.pth": ("student", "student:module.backbone."),
    "dino-vit.pth": ("student", "student:module.backbone."),
    "hcsc.pth": ("key", KEY),
    "lightly-benchmark-byol.ckpt": ("teacher", "state_dict:teacher_backbone."),
    "lightly-benchmark-dino.ckpt": ("student", "state_dict:student_backbone."),
    "lightly-benchmark-mocov2.ckpt": ("key", "state_dict:key_backbone."),
    "moco-v2.pth": ("key", KEY),
    "mocov3-vit.pth": ("momentum", "state_dict:module.momentum_encoder."),
    "pycontrast.pth": ("ema", "model_ema:encoder."),
    "solo-learn.ckpt": ("momentum", "state_dict:momentum_backbone."),
    "stable-pretraining-pair.ckpt": ("student", "state_dict:backbone.student."),
    "timm-train.pth": ("ema", "state_dict_ema:"),
}
"""By file: another branch, and where it stands."""

STRUCTURE = {
    "mocov3-vit.pth": "-h12",
    "simclr-tf.pth": "-samepool",
    "solo-learn-cifar.ckpt": "-pad2",
    "dino-vit.pth": "-dinopos",
    "dinov2-release.pth": "-dinopos",
    "dinov2-teacher.pth": "-dinopos",
    "hf-vit-classifier.safetensors": "-eps12",
    "hf-vit-model.safetensors": "-eps12",
}
"""What no shape shows and the format knows."""

CARDS = {"swav": (0.228, 0.224, 0.225), "simclr-tf": (1.0, 1.0, 1.0), "simclr-sthalles": (1.0, 1.0, 1.0)}

FIRST = {form: name for name, (form, _, _) in reversed(EXPECTED.items())}
ONE_OF_EACH = [
    pytest.param(name, marks=[] if FIRST[EXPECTED[name][0]] == name else [pytest.mark.long])
    for name in LAYOUTS
]
"""The first file of each format in every test run, the others in the long campaigns."""


@cache
def trunk(arch: str, seed: int) -> dict[str, Tensor]:
    return build(arch, seed).state_dict()


@cache
def expected_hash(arch: str, seed: int) -> str:
    return weights_hash(build(arch, seed))


def write(payload: Mapping[str, Any], container: str, path: Path) -> Path:
    if container == "safetensors":
        save_file({k: v.contiguous() for k, v in payload.items()}, path)
    elif container == "pickle":
        path.write_bytes(pickle.dumps(dict(payload)))
    else:
        torch.save(dict(payload), path)
    return path


NAMED: dict[str, dict[str, Any]] = {
    "simclr-tf.pth": {"file_format": "simclr-tf"},
    "simclr-spijkervet.pth": {"file_format": "simclr-spijkervet"},
    "detectron2-detector.pth": {"card": {"channels": "RGB"}},
}
"""What has to be said of layouts that others have too."""


def opened(path: Path, branch: str = "") -> Backbone:
    """The file's backbone."""
    asked = NAMED.get(path.name, {})
    return open_backbone(BackboneRequest(label="mine", path=str(path), branch=branch, **asked))


def place_of(payload: dict[str, Any], where: str) -> tuple[dict[str, Any], str]:
    """The flat dict that holds a trunk, and the trunk's prefix."""
    path, _, prefix = where.partition(":")
    for part in path.split("/") if path else ():
        payload = payload[part]
    return payload, prefix


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_trunk_of_a_frameworks_file_comes_out_as_it_went_in(name: str, tmp_path: Path) -> None:
    payload, known = rebuilt(LAYOUTS[name])
    form, branch, where = EXPECTED[name]
    arch, seed = known[where]
    found = opened(write(payload, LAYOUTS[name]["container"], tmp_path / name))
    assert (found.source.format, found.source.branch) == (form, branch)
    assert found.weights == expected_hash(arch, seed)
    assert found.arch == arch + STRUCTURE.get(name, "")
    assert found.source.coverage is not None
    assert found.source.coverage.matched == found.source.coverage.total
    assert found.card.std == CARDS.get(form, found.card.std)


@pytest.mark.parametrize("name", OTHERS)
def test_another_branch_is_taken_where_it_is_asked_for(name: str, tmp_path: Path) -> None:
    payload, known = rebuilt(LAYOUTS[name])
    branch, where = OTHERS[name]
    path = write(payload, LAYOUTS[name]["container"], tmp_path / name)
    found = opened(path, branch)
    assert found.source.branch == branch
    assert found.weights == expected_hash(*known[where])
    with pytest.raises(CheckpointError, match="--branch nonsense"):
        opened(path, "nonsense")


@pytest.mark.parametrize("damage", ["missing", "renamed", "shape", "twice"])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_one_wrong_tensor_refuses_a_frameworks_file(name: str, damage: str, tmp_path: Path) -> None:
    payload, _ = rebuilt(LAYOUTS[name])
    state, prefix = place_of(payload, EXPECTED[name][2])
    names = [k for k in state if k.startswith(prefix) and k.endswith("weight") and state[k].ndim > 1]
    key = [k for k in names if not any(head in k for head in ("prototypes", "projection", "head", "fc"))][-4]
    tensor = state[key]
    if damage == "twice":
        state[key.replace("weight", "weight2")] = tensor * 1
    else:
        del state[key]
    if damage == "renamed":
        state[key.replace("weight", "wieght")] = tensor
    if damage == "shape":
        state[key] = tensor[:-1]
    path = write(payload, LAYOUTS[name]["container"], tmp_path / name)
    with pytest.raises(CheckpointError) as refusal:
        opened(path)
    assert name in str(refusal.value)


@pytest.mark.parametrize(
    "name", ["moco-v2.pth", "dino-vit.pth", "vicreg.pth", "torchvision-resnet.pth", "swav-release.pth"]
)
def test_wrappers_and_halves_change_nothing(name: str, tmp_path: Path) -> None:
    payload, known = rebuilt(LAYOUTS[name])
    where = EXPECTED[name][2]
    state, prefix = place_of(payload, where)
    for key in [k for k in state if k.startswith(prefix)]:
        value = state.pop(key)
        inner = key.replace("module.", "", 1) if key.startswith("module.") else key
        state[f"module._orig_mod.{inner}"] = value.half() if value.is_floating_point() else value
    for key in [k for k in state if not k.startswith("module._orig_mod.")]:
        state[f"module._orig_mod.{key.removeprefix('module.')}"] = state.pop(key)
    found = open_backbone(BackboneRequest(label="mine", path=str(write(payload, "torch", tmp_path / name))))
    half = build(*known[where])
    half.load_state_dict(
        {k: v.half().float() if v.is_floating_point() else v for k, v in half.state_dict().items()}
    )
    assert found.weights == weights_hash(half)


R18, VIT = "resnet18-w16", "vit_w96x2_patch8_32"


def under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def lightning(state: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"epoch": 1, "global_step": 2, "pytorch-lightning_version": "1.6.0", "state_dict": dict(state)}


def by_key_names() -> dict[str, tuple[dict[str, Any], str, str, str]]:
    """Layouts that no framework's code wrote here: payload, format, branch, architecture."""
    r18, vit, one = trunk(R18, 0), trunk(VIT, 0), torch.ones(2, 2)
    mean = {"meta": {"epoch": 1, "mmselfsup_version": "1.0"}, "message_hub": {}}
    momentum = under("encoder_k.module.0.", trunk(R18, 1))
    full = {**under("backbone.", r18), **momentum, "encoder_k.module.1.0.weight": one, "queue": one}
    probe = {"callbacks_modules.probe.weight": one, "projector.weight": one}
    budget = {
        "method": "moco",
        "dataset": "d",
        "epochs": 1,
        "images": 2,
        "views": 2,
        "seconds": 1.0,
        "seed": 0,
    }
    card = {"mean": [0.5] * 3, "std": [0.2] * 3, "channels": "RGB", "value_range": 1.0}
    own = {"format": "hsa_bench/1", "arch": R18, "state_dict": r18, "card": card, "budget": budget}
    mae = {**vit, "mask_token": one, "decoder_pred.weight": one, "decoder_blocks.0.norm1.weight": one}
    old = {**under("encoder.", r18), **under("momentum_encoder.", trunk(R18, 1)), "classifier.weight": one}
    mm_vit = under("backbone.", NAMINGS["mmselfsup-vit"](dict(vit)))
    hf_new = {**under("vit.", NAMINGS["hf-vit new"](dict(vit))), "classifier.weight": one}
    old_mlp = {
        k.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): v
        for k, v in NAMINGS["torchvision-vit"](dict(vit)).items()
    }
    return {
        "mmselfsup-full.pth": ({**mean, "state_dict": full}, "mmselfsup", "backbone", R18),
        "mmselfsup-vit.pth": ({**mean, "state_dict": mm_vit}, "mmselfsup", "backbone", VIT),
        "solo-learn-old.ckpt": (lightning(old), "sololearn", "online", R18),
        "stable-pretraining.ckpt": (
            lightning({**under("backbone.", r18), **probe}), "stable-pretraining", "backbone", R18,
        ),
        "own.pth": (own, "own", "query", R18),
        "mae.pth": ({"model": mae}, "vit", "", VIT),
        "deit.pth": ({"model": {**vit, "head.weight": one}}, "vit", "", VIT),
        "hf-vit-new.pth": (hf_new, "hf-vit", "", f"{VIT}-eps12"),
        "hf-dinov2-new.pth": (
            NAMINGS["hf-dinov2 new"](dict(trunk(f"{VIT}-ls", 0))), "hf-vit", "", f"{VIT}-ls",
        ),
        "torchvision-vit-old.pth": (old_mlp, "torchvision-vit", "", VIT),
        "prefix.pth": ({"net": {"deep": under("trunk.", r18)}}, "prefix", "net.deep.trunk", R18),
    }  # fmt: skip


@pytest.mark.parametrize("name", by_key_names())
def test_a_file_by_key_names_is_read(name: str, tmp_path: Path) -> None:
    payload, form, branch, arch = by_key_names()[name]
    asked = {"file_format": "prefix", "branch": branch} if form == "prefix" else {}
    path = write(payload, "torch", tmp_path / name)
    found = open_backbone(BackboneRequest(label="mine", path=str(path), **asked))
    assert (found.source.format, found.source.branch, found.arch) == (form, branch, arch)
    assert found.weights == expected_hash(arch.removesuffix("-eps12"), 0)


def test_a_momentum_branch_has_one_name_in_every_spelling(tmp_path: Path) -> None:
    for name in ("mmselfsup-full.pth", "solo-learn-old.ckpt"):
        path = write(by_key_names()[name][0], "torch", tmp_path / name)
        found = open_backbone(BackboneRequest(label="mine", path=str(path), branch="momentum"))
        assert found.source.branch == "momentum"
        assert found.weights == expected_hash(R18, 1)


def test_every_format_has_a_file_here() -> None:
    tested = {form for form, _, _ in EXPECTED.values()} | {form for _, form, _, _ in by_key_names().values()}
    assert tested == set(registry.files(FORMATS))
    assert set(EXPECTED) == set(LAYOUTS)


@pytest.mark.parametrize("name", ["swav-release.pth", "torchvision-resnet.pth", "mmselfsup-extracted.pth"])
def test_a_branch_that_a_file_has_not_is_refused(name: str, tmp_path: Path) -> None:
    payload, _ = rebuilt(LAYOUTS[name])
    path = write(payload, "torch", tmp_path / name)
    for branch in ("ema", "teacher", "momentum"):
        with pytest.raises(CheckpointError, match=f"--branch {branch}"):
            open_backbone(BackboneRequest(label="mine", path=str(path), branch=branch))


def test_pointer_files_and_cmc_say_why_they_are_refused(tmp_path: Path) -> None:
    shards = write({"type": "shard_list", "shards": ["a", "b"]}, "torch", tmp_path / "shards.torch")
    with pytest.raises(CheckpointError, match="only names the files"):
        open_backbone(BackboneRequest(label="mine", path=str(shards)))
    state = under("module.encoder1.", trunk(R18, 0)) | under("module.encoder2.", trunk(R18, 1))
    cmc = write({"model": state, "contrast": {}, "epoch": 1}, "torch", tmp_path / "cmc.pth")
    with pytest.raises(CheckpointError, match="lightness and colour"):
        open_backbone(BackboneRequest(label="mine", path=str(cmc)))


def test_files_beside_a_hugging_face_model_give_heads_epsilon_and_card(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 3, "layer_norm_eps": 1e-6}))
    about = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(about))
    payload, _ = rebuilt(LAYOUTS["hf-vit-model.safetensors"])
    found = open_backbone(
        BackboneRequest(label="mine", path=str(write(payload, "safetensors", tmp_path / "model.safetensors")))
    )
    assert found.arch == f"{VIT}-h3"
    assert (found.card.mean, found.card.std) == ((0.5,) * 3, (0.25,) * 3)
    assert found.source.assumed == ()


def test_the_documented_list_says_what_was_checked_on_a_frameworks_file() -> None:
    rows = (GOLDEN.parents[2] / "docs" / "checkpoints.md").read_text().splitlines()
    said = {row.split("`")[1]: row.rstrip(" |").rpartition("| ")[2] for row in rows if row.startswith("| `")}
    files = {EXPECTED[name][0] for name, entry in LAYOUTS.items() if "by key names" not in entry["origin"]}
    formats = registry.files(FORMATS)
    assert {name: said[name] for name in formats} == {n: "file" if n in files else "names" for n in formats}
