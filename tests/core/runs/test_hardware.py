"""What a result says of its machine, on one without a GPU and for drivers and cards as they are elsewhere."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hsa_bench.core import devices, processes
from hsa_bench.core.devices import fault_of
from hsa_bench.core.results.device import computed_on, device_of, kind_of
from hsa_bench.core.runs import hardware as machine
from hsa_bench.core.runs.hardware import cudnn_version, driver_version, hardware
from hsa_bench.core.runs.peak_memory import device_peak_mb, reset_device_peak
from hsa_bench.core.runs.provenance import PACKAGES, provenance

H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB"


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch answers where there are two unlike cards, the second chosen."""
    cards = [SimpleNamespace(name=name, total_memory=m * 2**30) for name, m in ((H100, 80), (A100, 40))]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda card: cards[card])
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91200)
    monkeypatch.setattr(machine, "driver_version", lambda: "580.65.06")
    for name in machine.VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_cpu_says_nothing_of_cards() -> None:
    assert list(hardware("cpu")) == ["cpu", "cores", "device", "system"]
    assert all(hardware("cpu").values())


def test_a_card_is_named_with_driver_and_libraries(two_cards: None) -> None:
    found = hardware("cuda:0")
    assert list(found) == ["cpu", "cores", "device", "system", "gpu", "gpu memory", "driver", "cuda", "cudnn"]
    assert {name: found[name] for name in list(found)[4:]} == {
        "gpu": H100,
        "gpu memory": "80.0 GiB",
        "driver": "580.65.06",
        "cuda": "13.0",
        "cudnn": "9.12.0",
    }


def test_cuda_without_a_number_is_the_card_that_the_process_has_chosen(two_cards: None) -> None:
    assert (hardware("cuda")["device"], hardware("cuda")["gpu"]) == ("cuda:1", A100)


def test_several_processes_name_all_cards_of_their_machine(
    two_cards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "world", lambda: 8)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    found = hardware("cuda:0")
    assert found["gpu"] == f"{H100} and {A100}"
    assert computed_on(found) == f"{H100} and {A100}, 8 processes"


def test_variables_that_choose_or_overrule_are_noted_where_they_are_set(
    two_cards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    found = hardware("cuda:0")
    assert found["CUDA_VISIBLE_DEVICES"] == "3" and found["NVIDIA_TF32_OVERRIDE"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in hardware("cpu")


def test_a_card_of_amd_is_not_taken_for_nvidias(two_cards: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.4")
    monkeypatch.setattr(torch.version, "cuda", None)
    found = hardware("cuda:0")
    assert kind_of(found) == "rocm" and "cuda" not in found
    assert device_of(found) == f"rocm {H100}"


@pytest.mark.parametrize("device", ["mps", "xpu", "cuda"])
def test_a_device_that_is_not_here_stops_nothing(device: str) -> None:
    if fault_of(device):
        assert hardware(device)["device"] == device


@pytest.mark.parametrize(
    ("line", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024",
            "550.54.15",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs)  Sun",
            "580.65.06",
        ),
        ("NVRM version: NVIDIA UNIX aarch64 Kernel Module  470.42  Thu", "470.42"),
    ],
)
def test_the_driver_is_read_as_the_system_has_it(line: str, version: str, tmp_path: Path) -> None:
    (tmp_path / "version").write_text(
        f"{line}\nGCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"
    )
    assert driver_version(tmp_path / "version") == version


def test_without_a_driver_its_version_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", none)
    machine._driver_by_its_library.cache_clear()
    assert driver_version(tmp_path / "none") == ""
    machine._driver_by_its_library.cache_clear()


@pytest.mark.parametrize(
    ("number", "text"), [(92400, "9.24.0"), (91002, "9.10.2"), (8902, "8.9.2"), (None, "")]
)
def test_cudnn_is_written_as_its_authors_write_it(number: int | None, text: str) -> None:
    assert cudnn_version(number) == text


@pytest.mark.processes
def test_versions_are_those_of_libraries_that_are_installed() -> None:
    found = provenance("pytest").packages
    assert (
        {"torch", "timm", "lightning-fabric", "pillow", "simplejpeg", "scipy"}
        <= found.keys()
        <= set(PACKAGES)
    )
    assert all(found.values())


def test_no_device_but_a_gpu_has_a_peak() -> None:
    for device in ("cpu", "mps", "cpu:0"):
        reset_device_peak(device)
        assert device_peak_mb(device) == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_peak_of_a_gpu_is_that_of_its_tensors() -> None:
    reset_device_peak("cuda:0")
    before = device_peak_mb("cuda:0")
    there = torch.zeros(64, 2**20, device="cuda:0", dtype=torch.uint8)
    del there
    assert device_peak_mb("cuda:0") - before == pytest.approx(64, abs=1)


def test_a_card_that_is_not_there_is_refused_with_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(devices.VISIBLE, raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert fault_of("cuda") == fault_of("cuda:0") == ""
    assert fault_of("cuda:9") == "torch sees 1 GPU: cuda:0; choose among them, or use cpu"
    assert fault_of("cuda", 4) == (
        "4 processes want a GPU each, and torch sees 1 GPU: cuda:0; choose among them, or use cpu"
    )
    monkeypatch.setenv(devices.VISIBLE, "3,5")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert fault_of("cuda:2").startswith("torch sees 2 GPUs: cuda:0 to cuda:1 (CUDA_VISIBLE_DEVICES=3,5);")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_reason_is_torchs_own() -> None:
    said = fault_of("cuda:9")
    assert said.startswith("torch sees no GPU") and said.endswith("; use cpu")


@pytest.mark.parametrize("device", ["meta", "gpu", "", "cuda:x", "cuda:01", "cuda:²", "cuda:-1", "cuda:"])
def test_what_is_no_device_is_refused(device: str) -> None:
    assert fault_of(device).startswith("not usable here (") and "; there is cpu" in fault_of(device)


def test_the_cpu_needs_nothing() -> None:
    assert fault_of("cpu") == fault_of("cpu:0") == fault_of("cpu", 64) == ""
