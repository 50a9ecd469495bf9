"""How many trunks fit at once, by what the system says."""

from pathlib import Path

import pytest
import torch
from torch import nn

from hsa_bench.core.features import room as measured
from hsa_bench.core.features.extraction import PIECE
from hsa_bench.core.features.room import bytes_of, room


def test_a_trunk_takes_its_tensors_and_a_piece_of_features() -> None:
    net = nn.Sequential(nn.Linear(10, 4, bias=False), nn.BatchNorm1d(4))  # 40 + 8 numbers, 8 + 1 kept beside

    assert bytes_of(net, [""], dim=4) == (40 + 8 + 8) * 4 + 8 + PIECE * 4 * 4
    assert bytes_of(net.half(), [], dim=4) == (40 + 8 + 8) * 2 + 8
    assert bytes_of(net, ["", "stage1"], dim=4) > bytes_of(net, [""], dim=4)


def test_there_is_some_room_but_not_all_of_the_memory() -> None:
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    total = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal")), 2**62)

    assert 0 < room("cpu") < total


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": "1000\n", "memory.stat": "anon 300\nfile 600\n"}, 700),
        ({"memory.max": "max\n", "memory.stat": "anon 300\n"}, 2**62),
        ({"memory/memory.limit_in_bytes": "500", "memory/memory.stat": "total_rss 600\ntotal_cache 1"}, 0),
        ({}, 2**62),
    ],
)
def test_a_container_s_limit_is_kept(
    files: dict[str, str], left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(measured, "GROUPS", tmp_path)

    assert min(measured._limits()) == left


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_has_room_for_half_of_what_is_free() -> None:
    assert 0 < room("cuda") <= torch.cuda.mem_get_info()[0] * measured.SHARE
