"""Files of a whole state with contents that no training leaves: refused in a sentence, nothing passed on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hsa_bench.core.errors import PretrainingError
from hsa_bench.core.models.architectures import build
from pretrain.carry_over import carry_over
from pretrain.contrastive import Contrastive
from pretrain.kept_state import FIELD, KeptState, as_field, read_state_file, state_of
from pretrain.methods.moco import Method
from pretrain.settings import Settings

KEYS, POINTER = "queues.stage4.keys", "queues.stage4.pointer"
KERNEL, VARIANCE = "encoder.trunk.conv1.weight", "encoder.trunk.bn1.running_var"


@pytest.fixture(scope="module")
def method() -> Contrastive:
    return Method(build("resnet18-w8-s2", 0), Settings(method="moco", batch=16, queue=20, dim=16))


@pytest.fixture
def held(method: Contrastive) -> dict[str, Any]:
    """What a training with momentum leaves."""
    stepped = torch.optim.SGD(method.encoder.parameters(), 0.1, momentum=0.9)
    method.encoder.heads[0](torch.zeros(2, 64)).sum().backward()
    stepped.step()
    return {FIELD: as_field(state_of(method, stepped, "sgd"))}


def read(held: dict[str, Any], folder: Path) -> KeptState:
    torch.save(held, folder / "odd.state.pth")
    return read_state_file(folder / "odd.state.pth")


@pytest.mark.parametrize(
    ("at", "made", "what"),
    [
        (KEYS, lambda t: t.to(torch.float8_e4m3fn), r"float8_e4m3fn"),
        (KEYS, lambda t: t.to(torch.complex64), r"complex64"),
        (KEYS, lambda t: t.to(torch.complex64).conj(), r"complex64"),
        (KEYS, lambda t: t.to("meta"), r"meta"),
        (VARIANCE, lambda t: -t - 1, r"variances below 0"),
    ],
)
def test_tensors_of_another_kind_are_refused_by_name(
    at: str, made: Callable[[Tensor], Tensor], what: str, held: dict[str, Any], tmp_path: Path
) -> None:
    held[FIELD]["tensors"][at] = made(held[FIELD]["tensors"][at])
    with pytest.raises(PretrainingError, match=rf"odd\.state\.pth: .*{at} .*{what}"):
        read(held, tmp_path)


@pytest.mark.parametrize("kind", [["sgd"], {"sgd": 1}, None, 7])
def test_an_optimiser_that_is_no_name_is_refused(kind: Any, held: dict[str, Any], tmp_path: Path) -> None:
    held[FIELD]["optimiser"] = kind
    with pytest.raises(PretrainingError, match=r"field whole_state\.optimiser: is none of sgd, lars"):
        read(held, tmp_path)


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "x" * 201, "", "a:b", 7])
@pytest.mark.parametrize("field", ["tensors", "momentum"])
def test_a_name_that_is_none_is_not_passed_on(
    name: Any, field: str, held: dict[str, Any], tmp_path: Path
) -> None:
    held[FIELD][field][name] = torch.zeros(1)
    with pytest.raises(PretrainingError) as raised:
        read(held, tmp_path)
    assert f"field whole_state.{field}: is no mapping of names to tensors" in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_a_start_with_thousands_of_parts_is_told_of_in_a_line(
    method: Contrastive, held: dict[str, Any], tmp_path: Path
) -> None:
    held[FIELD]["tensors"] |= {f"part{i}.weight": torch.zeros(1) for i in range(3000)}
    said = carry_over(read(held, tmp_path), method).in_words
    assert "left out: part0, part1" in said
    assert "and 2,980 more" in said
    assert len(said) < 600


@pytest.mark.parametrize(
    ("at", "made", "what"),
    [
        (KERNEL, lambda t: t.long(), "encoder.trunk does not fit"),
        (KEYS, lambda t: t > 0, "queues.stage4 does not fit"),
        (POINTER, lambda t: t + 0.7, "queues.stage4 does not fit"),
    ],
)
def test_whole_numbers_are_not_taken_for_weights_nor_weights_for_them(
    at: str,
    made: Callable[[Tensor], Tensor],
    what: str,
    method: Contrastive,
    held: dict[str, Any],
    tmp_path: Path,
) -> None:
    held[FIELD]["tensors"][at] = made(held[FIELD]["tensors"][at])
    with pytest.raises(PretrainingError, match=what):
        carry_over(read(held, tmp_path), method)


def test_momentum_is_taken_by_the_same_rule(
    method: Contrastive, held: dict[str, Any], tmp_path: Path
) -> None:
    held[FIELD]["momentum"][KERNEL] = torch.zeros(8, 3, 3, 3, dtype=torch.long)
    optimiser = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.1, momentum=0.9)
    with pytest.raises(PretrainingError, match=r"conv1\.weight does not fit: its momentum"):
        carry_over(read(held, tmp_path), method, optimiser, "sgd")


def test_numbers_of_another_precision_are_taken(
    method: Contrastive, held: dict[str, Any], tmp_path: Path
) -> None:
    tensors = held[FIELD]["tensors"]
    tensors[KERNEL] = nn.Parameter(tensors[KERNEL].double() + 1)
    carry_over(read(held, tmp_path), method)
    assert torch.equal(method.state_dict()[KERNEL], tensors[KERNEL].float())
