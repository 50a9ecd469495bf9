from __future__ import annotations

import json
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


def write(path: Path, arch: Any, mark: str = "hsa_bench/1") -> Path:
    """A checkpoint as our pretraining writes it that states this architecture."""
    about = {"format": mark, "arch": arch, "card": Preprocess().as_dict(), "budget": BUDGET.model_dump()}
    state = build("resnet18-w8-cifar").state_dict()
    if path.suffix == ".safetensors":
        header = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()
        }
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path, header)
    else:
        torch.save({**about, "state_dict": state}, path)
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


@pytest.mark.parametrize("arch", [18, ["resnet18"], {"a": 1}])
def test_an_arch_that_is_not_a_name_is_refused(arch: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"states an arch that is a \w+, not a name; give --arch"):
        open_backbone(BackboneRequest(label="mine", path=str(write(tmp_path / "file.pth", arch))))
