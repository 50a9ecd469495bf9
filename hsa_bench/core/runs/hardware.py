"""The machine that computes: processor, and where a GPU computes its model, driver and libraries."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from hsa_bench.core.cores import cores
from hsa_bench.core.results.device import FORCED, PROCESSES

DRIVER = Path("/proc/driver/nvidia/version")

VARIABLES = ("CUDA_VISIBLE_DEVICES", FORCED, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG")
"""Of the environment: they choose the card, or how its libraries compute."""


def hardware(device: str) -> dict[str, str]:
    """Describe this machine; what is not known, or says nothing of this device, is left out.

    No process is started and no memory of the device is taken.

    Args:
        device: Where tensors live, e.g. "cpu" or "cuda:1"; "cuda" is the card that this process has chosen.
    """
    from hsa_bench.core.processes import world  # only now: it loads torch

    found = {"cpu": _cpu(), "cores": str(cores()), "device": device}
    found[PROCESSES] = str(world()) if world() > 1 else ""
    found["system"] = f"{platform.system()} {platform.machine()}"
    if device.partition(":")[0] != "cpu":
        with suppress(RuntimeError, AssertionError, AttributeError):  # a device that torch does not know well
            found |= _accelerator(device)
    return {name: value for name, value in found.items() if value}


@lru_cache(maxsize=1)
def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _accelerator(device: str) -> dict[str, str]:
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return _card(device)
    api: Any = torch.backends.mps if kind == "mps" else getattr(torch, kind, None)
    named = getattr(api, "get_name" if kind == "mps" else "get_device_name", None)
    return {"gpu": str(named()) if named else ""}


def _card(device: str) -> dict[str, str]:
    """Describe an NVIDIA card, or AMD's, which torch calls cuda as well."""
    import torch

    from hsa_bench.core.processes import world

    number = torch.device(device).index
    own = torch.cuda.current_device() if number is None else number
    processes = world()
    here = min(int(os.environ.get("LOCAL_WORLD_SIZE", processes)), torch.cuda.device_count())
    # each of several processes has the card of its number on its machine; of other machines nothing is known
    cards = range(here) if processes > 1 else [own]
    about = [torch.cuda.get_device_properties(card) for card in cards]
    return {
        "device": f"cuda:{own}",
        "gpu": " and ".join(dict.fromkeys(card.name for card in about)),
        "gpu memory": f"{about[0].total_memory / 2**30:.1f} GiB",
        "driver": driver_version(),
        "cuda": torch.version.cuda or "",
        "rocm": getattr(torch.version, "hip", None) or "",
        "cudnn": cudnn_version(torch.backends.cudnn.version()),
        **{name: os.environ.get(name, "") for name in VARIABLES},
    }


def cudnn_version(number: int | None) -> str:
    """Write cuDNN's version with points, e.g. 92400 as 9.24.0; empty where there is none."""
    if not number:
        return ""
    major, rest = divmod(number, 10_000 if number >= 90_000 else 1_000)
    return f"{major}.{rest // 100}.{rest % 100}"


def driver_version(about: Path = DRIVER) -> str:
    """Version of NVIDIA's driver, by the system or by its own library; empty where there is none."""
    with suppress(OSError):
        first = about.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
        if match := re.search(r"(?<![\w.])\d{3,}\.\d+(?:\.\d+)*(?![\w.])", first):
            return match[0]
    return _driver_by_its_library()


@lru_cache(maxsize=1)
def _driver_by_its_library() -> str:
    """For containers and other systems that do not show the driver below /proc."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        text = ctypes.create_string_buffer(96)
        if library.nvmlInit_v2():
            return ""
        done = library.nvmlSystemGetDriverVersion(text, ctypes.c_uint(len(text)))
        library.nvmlShutdown()
    except (OSError, AttributeError):
        return ""
    return "" if done else text.value.decode(errors="replace")
