"""However names and tensors are disturbed, a checkpoint loads the network it holds or not at all."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from hsa_bench.core.checkpoints.match import COUNTER
from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.backbone import weights_hash

ARCHS = ("resnet18-w8-cifar", "vit_w16x2_patch8_32")
FILES: dict[str, tuple[str, str]] = {
    "bare": ("", ""),
    "moco": ("module.encoder_q.", "module.encoder_k."),
    "vicreg": ("module.backbone.", "module.projector."),
    "dino": ("backbone.", ""),
}


@cache
def state(arch: str) -> dict[str, Tensor]:
    return build(arch, 1).state_dict()


@cache
def intact(arch: str) -> str:
    return weights_hash(build(arch, 1))


def file_of(kind: str, trunk: dict[str, Tensor]) -> dict[str, Any]:
    prefix, other = FILES[kind]
    held = {prefix + k: v for k, v in trunk.items()}
    if kind == "moco":
        return {"arch": "x", "state_dict": {**held, **{other + k: v for k, v in trunk.items()}}}
    if kind == "vicreg":
        return {"model": {**held, f"{other}0.weight": torch.ones(2, 2)}, "epoch": 1}
    return {"student": held, "teacher": held} if kind == "dino" else held


def loaded(payload: dict[str, Any]) -> str:
    """Hash of what was loaded; empty if it was refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f.pth")
        torch.save(payload, path)
        try:
            return open_backbone(BackboneRequest(label="x", path=str(path))).weights
        except CheckpointError:
            return ""


cases = given(data=st.data(), arch=st.sampled_from(ARCHS), kind=st.sampled_from(sorted(FILES)))
few = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@few
@cases
def test_a_renamed_tensor_never_loads(data: st.DataObject, arch: str, kind: str) -> None:
    trunk = dict(state(arch))
    key = data.draw(st.sampled_from(sorted(trunk)))
    place = data.draw(st.integers(0, len(key) - 1))
    letter = data.draw(st.sampled_from("abxz0189._"))
    new = key[:place] + letter + key[place + 1 :]
    if new != key and new not in trunk:
        trunk[new] = trunk.pop(key)
        assert loaded(file_of(kind, trunk)) == ""


@few
@cases
def test_a_dropped_tensor_never_loads(data: st.DataObject, arch: str, kind: str) -> None:
    trunk = dict(state(arch))
    needed = sorted(key for key in trunk if not key.endswith(COUNTER))  # counters change no number
    for key in data.draw(st.sets(st.sampled_from(needed), min_size=1, max_size=3)):
        del trunk[key]
    assert loaded(file_of(kind, trunk)) == ""


@few
@cases
def test_a_tensor_under_two_names_never_loads(data: st.DataObject, arch: str, kind: str) -> None:
    trunk = dict(state(arch))
    key = data.draw(st.sampled_from(sorted(trunk)))
    trunk[data.draw(st.sampled_from(["x", "_2", ".0"])).join([key, ""])] = trunk[key] * 1
    assert loaded(file_of(kind, trunk)) == ""


@few
@cases
def test_a_turned_tensor_never_loads_where_its_shape_shows_it(
    data: st.DataObject, arch: str, kind: str
) -> None:
    trunk = dict(state(arch))
    sided = [k for k, v in trunk.items() if v.ndim > 1 and v.shape[0] != v.shape[1]]
    key = data.draw(st.sampled_from(sorted(sided)))
    trunk[key] = trunk[key].transpose(0, 1).contiguous()
    assert loaded(file_of(kind, trunk)) == ""


@few
@cases
def test_exchanged_tensors_never_pass_for_the_network(data: st.DataObject, arch: str, kind: str) -> None:
    """Of unlike shapes they are refused; of the same shape no importer can tell, but the hash is another."""
    trunk = dict(state(arch))
    floats = sorted(k for k, v in trunk.items() if v.is_floating_point())
    one, other = data.draw(st.lists(st.sampled_from(floats), min_size=2, max_size=2, unique=True))
    trunk[one], trunk[other] = trunk[other], trunk[one]
    if torch.equal(trunk[one], trunk[other]) and trunk[one].shape == trunk[other].shape:
        return
    found = loaded(file_of(kind, trunk))
    assert found != intact(arch)
    if trunk[one].shape != trunk[other].shape:
        assert found == ""


@few
@cases
def test_an_intact_file_loads_the_network(data: st.DataObject, arch: str, kind: str) -> None:
    trunk = state(arch)
    order = data.draw(st.permutations(sorted(trunk)))
    assert loaded(file_of(kind, {key: trunk[key] for key in order})) == intact(arch)
