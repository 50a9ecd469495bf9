"""One process with gloo and nccl: collectives give back what went in, and a wrapped step is a plain one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from hsa_bench.core import processes


@pytest.fixture(params=["gloo", "nccl"])
def group(request: pytest.FixtureRequest, on_gpu: bool, device: str, tmp_path: Path) -> Iterator[str]:
    """A group of this process alone; where its tensors are."""
    if request.param == "nccl" and not on_gpu:
        pytest.skip("needs a GPU: nccl")
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group(request.param, store=store, rank=0, world_size=1)
    yield device if request.param == "nccl" else "cpu"
    dist.destroy_process_group()


def test_what_is_gathered_is_what_went_in(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.arange(6.0, device=group).view(3, 2)
    found = [torch.empty_like(x)]
    dist.all_gather(found, x)
    total = x.clone()
    dist.all_reduce(total)
    dist.broadcast(total, src=0)
    assert torch.equal(found[0], x) and torch.equal(total, x)
    assert torch.equal(processes.gathered(x), x)
    assert processes.from_first("said") == "said"
    with processes.together():
        pass


def test_a_wrapped_step_is_a_plain_one(group: str) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2)).to(group)
    wrapped = DistributedDataParallel(copy.deepcopy(plain))
    x = torch.randn(5, 3, 8, 8, device=group)
    for network in (plain, wrapped):
        network(x).square().mean().backward()
    for one, other in zip(plain.parameters(), wrapped.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-6)  # type: ignore[arg-type]  # all have one
