from __future__ import annotations

import pytest
import torch

from hsa_bench.core.runs.peak_memory import device_peak_mb, reset_device_peak
from hsa_bench.core.runs.provenance import provenance


def test_card_driver_and_libraries_are_in_the_record(device: str, on_gpu: bool) -> None:
    if not on_gpu:
        pytest.skip("needs a GPU: its name and driver")
    hardware = provenance("pytest", device).hardware
    assert hardware["gpu"] == torch.cuda.get_device_name(device)
    assert hardware["cuda"] == torch.version.cuda
    missing = {"gpu memory", "driver", "cudnn"} - set(hardware)
    assert not missing, f"{missing} not found out: {hardware}"


def test_the_peak_is_what_a_tensor_takes(device: str, on_gpu: bool) -> None:
    if not on_gpu:
        pytest.skip("needs a GPU: memory of its own")
    reset_device_peak(device)
    before = device_peak_mb(device)
    taken = torch.zeros(2**26, device=device)  # 256 MiB
    assert 256 <= device_peak_mb(device) - before < 300
    del taken
