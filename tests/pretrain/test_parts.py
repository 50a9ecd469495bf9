from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsa_bench.core.models.architectures import build
from hsa_bench.core.seed import forked
from pretrain.data.cutmix import cutmix
from pretrain.ema import follow
from pretrain.encoder import Encoder
from pretrain.heads import Projection, mlp_head
from pretrain.key_queue import KeyQueue


def test_the_queue_forgets_its_oldest_keys_first() -> None:
    queue = KeyQueue(dim=2, length=6)
    batches = [F.normalize(torch.randn(4, 2), dim=1) for _ in range(3)]
    for batch in batches:
        queue.enqueue(batch)
    # 12 keys went round a ring of 6 twice, so the last six stand in order.
    assert torch.equal(queue.keys.T, torch.cat(batches)[-6:])
    assert int(queue.pointer) == 0


def test_the_momentum_update_is_eq_2() -> None:
    key, query = nn.Linear(2, 1), nn.Linear(2, 1)
    expected = 0.9 * key.weight.detach() + 0.1 * query.weight.detach()
    follow(key, query, 0.9)
    assert torch.allclose(key.weight, expected)


def plain_cutmix(anchor: Tensor, other: Tensor, alpha: float) -> tuple[Tensor, float]:
    """The source's, of one GPU (haohang96/CSML main_moco.py:105-135 @be34e84), with torch's draws."""
    height, width = anchor.shape[2:]
    cut = math.sqrt(1 - float(torch.distributions.Beta(alpha, alpha).sample()))
    y, x = int(torch.randint(height, ())), int(torch.randint(width, ()))
    half_y, half_x = int(height * cut) // 2, int(width * cut) // 2
    top, bottom = max(y - half_y, 0), min(y + half_y, height)
    left, right = max(x - half_x, 0), min(x + half_x, width)
    mixed = anchor.clone()
    mixed[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_cutmix_pastes_a_box_for_each_part_of_the_batch_as_each_gpu_of_the_source(parts: int) -> None:
    draw = torch.Generator().manual_seed(0)
    anchor, other = (torch.randn(8, 3, 20, 30, generator=draw).double() for _ in range(2))
    for seed in range(20):
        with forked(seed):
            mixture, then = cutmix(anchor, other, 2.0, parts), torch.rand(1)
        with forked(seed):
            each = [
                plain_cutmix(*two, 2.0) for two in zip(anchor.chunk(parts), other.chunk(parts), strict=True)
            ]
            after = torch.rand(1)
        assert torch.equal(mixture.pictures, torch.cat([mixed for mixed, _ in each]))
        shares = torch.tensor([share for _, share in each], dtype=torch.float64)
        assert torch.equal(mixture.shares, shares.repeat_interleave(8 // parts))
        assert len(mixture.shares.unique()) == parts
        assert torch.equal(then, after)


@pytest.mark.parametrize(("parts", "processes"), [(4, 2), (4, 4), (2, 4), (1, 2)])
def test_each_process_mixes_its_samples_as_one_process_would(
    parts: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = torch.Generator().manual_seed(0)
    anchor, other = (torch.randn(8, 3, 16, 16, generator=draw) for _ in range(2))
    with forked(3):
        alone = cutmix(anchor, other, 2.0, parts)
    found = []
    for rank in range(processes):
        monkeypatch.setattr("pretrain.data.cutmix.world", lambda: processes)
        monkeypatch.setattr("pretrain.data.cutmix.rank", lambda here=rank: here)
        with forked(3):
            found.append(cutmix(anchor.chunk(processes)[rank], other.chunk(processes)[rank], 2.0, parts))
    assert torch.equal(torch.cat([one.pictures for one in found]), alone.pictures)
    assert torch.equal(torch.cat([one.shares for one in found]), alone.shares)
    assert len(alone.shares.unique()) == parts


def test_an_earlier_stages_head_has_the_backbones_kind_of_block() -> None:
    heads = {arch: Encoder(build(arch), (3,), Projection(16)).heads[0] for arch in ("resnet18", "resnet50")}
    kinds = {arch: [type(block).__name__ for block in head.blocks] for arch, head in heads.items()}
    assert kinds == {"resnet18": ["BasicBlock"] * 2, "resnet50": ["Bottleneck"] * 2}
    first = heads["resnet50"].blocks[0]  # 512 planes, stride 2, as in the authors' follow-up
    assert (first.conv2.out_channels, first.conv2.stride) == (512, (2, 2))
    assert sum(p.numel() for p in heads["resnet50"].blocks.parameters()) < 11e6


@pytest.mark.parametrize("arch", ["resnet18-w16", "resnet50"])
def test_an_earlier_stages_convolutions_start_as_those_of_the_authors_head(arch: str) -> None:
    with forked(0):
        heads = list(Encoder(build(arch), (2, 3), Projection(16)).heads)[:-1]
    layers = [layer for head in heads for layer in head.blocks.modules() if isinstance(layer, nn.Conv2d)]
    sides = {layer.kernel_size for layer in layers}
    assert sides == {(3, 3), (1, 1)}  # shortcuts, too
    for layer in layers:
        weights, (height, width) = layer.weight.detach(), layer.kernel_size
        std = math.sqrt(2 / (height * width * layer.out_channels))  # moco/head.py of branch mhead @6d4f100
        noise = std / math.sqrt(2 * weights.numel())
        assert float(weights.std()) == pytest.approx(std, abs=5 * noise)
        assert float(weights.mean()) == pytest.approx(0, abs=5 * std / math.sqrt(weights.numel()))
        assert float(weights.abs().max()) > 3 * std  # a uniform distribution ends at 1.73


def test_a_simclr_head_has_batch_norm_everywhere_and_no_last_offset() -> None:
    head = mlp_head(16, Projection(8, layers=3, bn="all"))
    kinds = [type(layer).__name__ for layer in head]
    block = ["Linear", "BatchNorm1d"]
    assert kinds == [*block, "ReLU", *block, "ReLU", *block]
    assert [layer.bias is None for layer in head if isinstance(layer, nn.Linear)] == [True] * 3
    assert not head[-1].bias.requires_grad
    assert not head[-1].bias.any()


def test_a_moco_head_is_two_layers_with_biases_and_no_batch_norm() -> None:
    head = mlp_head(16, Projection(8))
    assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Linear"]
    assert head[0].bias is not None


@pytest.mark.parametrize("arch", ["resnet18-w16", "resnet18-w16-cifar"])
def test_every_level_gives_unit_embeddings_through_a_head_of_the_last_map_size(arch: str) -> None:
    encoder = Encoder(build(arch), levels=(2, 3), form=Projection(16, bn="hidden"))
    embeddings = encoder(torch.randn(4, 3, 32, 32))
    assert [e.shape for e in embeddings] == [(4, 16)] * 3
    for e in embeddings:
        torch.testing.assert_close(e.norm(dim=1), torch.ones(4))
    maps = encoder.trunk.stages(torch.zeros(2, 3, 64, 64))
    for head, feature_map in zip(encoder.heads, maps[1:3], strict=False):
        assert head.blocks(feature_map).shape[-2:] == maps[3].shape[-2:]


@pytest.mark.parametrize("level", [0, 4, 5])
def test_a_level_the_backbone_lacks_is_refused(level: int) -> None:
    with pytest.raises(ValueError, match="earlier stages are 1 to 3"):
        Encoder(build("resnet18-w16"), levels=(level,), form=Projection(16))
