from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.models.architectures import build
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.result import Budget

ARCH = "resnet18-w8-cifar"
BUDGET = Budget(method="moco", dataset="digits", epochs=1, images=2, views=2, seconds=1.0, seed=0)


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a module on the import path leaves when it is imported."""
    touched = tmp_path / "touched"
    (tmp_path / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(touched)!r}).write_text('imported')\n"
        "def net():\n"
        "    from hsa_bench.core.models.architectures import build\n"
        "    return build('resnet18-w8-cifar')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    return touched


def write(path: Path, arch: Any, state: dict[str, torch.Tensor] | None = None, **fields: Any) -> Path:
    """A checkpoint as our pretraining writes it that states this architecture, with some fields changed."""
    about = {"format": "hsa_bench/1", "arch": arch, "card": Preprocess().as_dict()}
    about = {**about, "budget": BUDGET.model_dump(), **fields}
    state = state or build(ARCH).state_dict()
    if path.suffix == ".safetensors":
        header = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()
        }
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path, header)
    else:
        torch.save({"state_dict": state, **about}, path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_function_that_a_file_states_as_its_arch_is_never_imported(
    suffix: str, evil: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / f"file{suffix}", "evil:net")

    with pytest.raises(CheckpointError, match=r"not imported.*give --arch evil:net"):
        open_backbone(BackboneRequest(label="mine", path=str(path)))

    assert not evil.exists() and "evil" not in sys.modules


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_neither_is_it_where_the_file_is_tried_for_advice(suffix: str, evil: Path, tmp_path: Path) -> None:
    path = write(tmp_path / f"file{suffix}", "evil:net")

    with pytest.raises(CheckpointError):
        open_backbone(BackboneRequest(label="mine", path=str(path), file_format="moco"))

    assert not evil.exists() and "evil" not in sys.modules


def test_the_users_word_for_the_same_function_is_followed(evil: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "file.pth", "evil:net")

    backbone = open_backbone(BackboneRequest(label="mine", path=str(path), arch="evil:net"))

    assert backbone.arch == "evil:net" and evil.exists()
    assert backbone.source.coverage is not None
    assert backbone.source.coverage.matched == backbone.source.coverage.total


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (18, r"field arch: .*a \w+, not a name; give --arch"),
        (["resnet18"], r"field arch: .*a \w+, not a name; give --arch"),
        ({"a": 1}, r"field arch: .*a \w+, not a name; give --arch"),
        (1e308, r"field arch: .*a \w+, not a name; give --arch"),
        ("x" * 10_000, "field arch: is no name"),
        ("resnet18\n", "field arch: is no name"),
        ("nonsense", "field arch: .*none of this suite"),
        ("../../etc/passwd", "field arch: .*none of this suite"),
        ("hf-hub:evil/net", "field arch: .*none of this suite"),
        ("maskrcnn_resnet50_fpn", "field arch: .*none of this suite"),
        ("torchvision:fcn_resnet50", "field arch: .*none of this suite"),
        ("resnet18-w999999999-s2", r"field arch: .*a first stage of 999999999 channels; .*give --arch"),
        ("resnet18-w0", "field arch: .*a first stage of 0 channels"),
        ("vit_w999999999x2_patch8_32", "field arch: .*width 999999999"),
        ("vit_w64x999999999_patch8_32", "field arch: .*depth 999999999"),
        ("vit_w64x2_patch0_32", "field arch: .*patch 0"),
        ("vit_w64x2_patch1_999999999", "field arch: .*image 999999999"),
        ("vit_w64x2_patch64_32", "field arch: .*do not make patches"),
        ("vit_w64x2_patch8_32-h7", "field arch: .*64 channels cannot be shared by 7"),
        ("vit_w64x2_patch8_32-h0", "field arch: .*cannot be shared by 0"),
        ("vit_w64x2_patch8_32-mlp999999999", "field arch: .*hidden 999999999"),
        ("vit_w64x2_patch8_32-reg999999999", "field arch: .*registers 999999999"),
        ("vit_gigantic_patch14_224", "trunk tensors match; nothing was loaded"),
        ("resnet152-w1024", "trunk tensors match; nothing was loaded"),
    ],
)
def test_an_arch_that_cannot_be_is_refused_before_memory_is_taken(
    arch: Any, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "file.pth", arch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(CheckpointError, match=message) as refusal:
        open_backbone(BackboneRequest(label="mine", path=str(path)))

    assert str(path) in str(refusal.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB; timm itself has some


def test_a_model_of_timm_that_a_file_states_is_of_the_table(tmp_path: Path) -> None:
    state = build("convnext_atto").state_dict()
    path = write(tmp_path / "file.pth", "convnext_atto", state=state)

    backbone = open_backbone(BackboneRequest(label="mine", path=str(path)))

    assert (backbone.arch, backbone.dim) == ("convnext_atto", 320)
    assert backbone.source.coverage is not None
    assert backbone.source.coverage.matched == len(state)


def test_the_users_word_goes_over_an_arch_that_is_none(tmp_path: Path) -> None:
    path = write(tmp_path / "file.pth", 18)

    assert open_backbone(BackboneRequest(label="mine", path=str(path), arch=ARCH)).arch == ARCH


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("card", 3),
        ("card", {"mean": [0.5, 0.5]}),
        ("card", {"mean": [float("nan"), 0.5, 0.5]}),
        ("card", {"std": [0.0, 1.0, 1.0]}),
        ("card", {"std": [-1.0, 1.0, 1.0]}),
        ("card", {"std": [float("inf"), 1.0, 1.0]}),
        ("card", {"channels": "XYZ"}),
        ("card", {"value_range": -1}),
        ("card", {"tokens": 3}),
        ("card", {"colour": "red"}),
        ("budget", {}),
        ("budget", {"seed": -1}),
        ("budget", {"seed": "x"}),
        ("budget", {"epochs": 10**30}),
        ("budget", {"views": float("nan")}),
        ("budget", {"seconds": float("inf")}),
        ("budget", {"method": "m" * 1000}),
        ("budget", {"dataset": "a\0b"}),
        ("budget", {"method": ["moco"]}),
        ("budget", {"device": "a\nb"}),
    ],
)
def test_a_field_that_is_amiss_is_named_with_its_file(
    suffix: str, field: str, value: Any, tmp_path: Path
) -> None:
    full = {"card": Preprocess().as_dict(), "budget": BUDGET.model_dump()}[field]
    about = {**full, **value} if isinstance(value, dict) and value else value
    path = write(tmp_path / f"file{suffix}", ARCH, **{field: about})

    with pytest.raises(CheckpointError, match=rf"file{suffix}: field {field}") as refusal:
        open_backbone(BackboneRequest(label="mine", path=str(path)))

    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize(
    "hashes", [torch.ones(3), torch.ones(2, 2, dtype=torch.int64), [1, 2], "many", torch.tensor(1)]
)
def test_hashes_of_another_kind_are_refused(hashes: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "file.pth", ARCH, image_hashes=hashes)

    with pytest.raises(CheckpointError, match="field image_hashes: "):
        open_backbone(BackboneRequest(label="mine", path=str(path)))


def test_hashes_in_any_order_are_sorted(tmp_path: Path) -> None:
    path = write(tmp_path / "file.pth", ARCH, image_hashes=torch.tensor([5, -3, 9]))

    seen = open_backbone(BackboneRequest(label="mine", path=str(path))).seen

    assert seen is not None and seen.tolist() == [-3, 5, 9]


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "nope"])
def test_a_header_that_is_no_json_names_its_field(text: str, tmp_path: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in build(ARCH).state_dict().items()}
    save_file(state, tmp_path / "file.safetensors", {"format": "hsa_bench/1", "arch": ARCH, "card": text})

    with pytest.raises(CheckpointError, match="field card of its header: is no JSON"):
        open_backbone(BackboneRequest(label="mine", path=str(tmp_path / "file.safetensors")))


@pytest.mark.parametrize("state", [3, [], {}, {"a": 1}, None])
def test_a_file_whose_state_dict_is_none_says_so(state: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="field state_dict: is no mapping of names to tensors"):
        open_backbone(
            BackboneRequest(label="mine", path=str(write(tmp_path / "f.pth", ARCH, state_dict=state)))
        )
