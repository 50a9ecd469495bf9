"""The device and the number format that a result was measured with, in words. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping

from hsa_bench.core.results.result import TaskResult

TESTED = frozenset({"cpu", "cuda"})
"""Kinds of device that this suite's tests know."""

NOT_STATED = "not stated"

USUAL = "float32"
"""The number format of a task that states none, and one that a report need not name."""

FORCED = "NVIDIA_TF32_OVERRIDE"
"""Variable of the environment that gives NVIDIA's libraries TF32 whatever a program asks for; recorded where
it is set."""

FABRICS = {"32-true": "float32", "64-true": "float64", "bf16-mixed": "bfloat16"}
"""Number formats by the names that Lightning Fabric, and so pretraining, has for them."""

PROCESSES = "processes"
"""How many computed together, where they were several, each with a GPU or a share of the CPU of its own."""

OVERRULED = {("float32", "1"): "tf32", ("", "1"): "tf32", ("tf32", "0"): "float32"}
"""What a number format becomes under a value of `FORCED`; a task that states none computes in float32."""

UNSHOWN = frozenset({"CUDA_VISIBLE_DEVICES"})
"""Parts of a machine's record that say where it computed and not on what."""


def kind_of(hardware: Mapping[str, str]) -> str:
    """Return "cpu", "cuda", "rocm", "mps" …; empty where the record does not say.

    Args:
        hardware: As in a result's provenance.
    """
    return "rocm" if hardware.get("rocm") else hardware.get("device", "").partition(":")[0]


def device_of(hardware: Mapping[str, str]) -> str:
    """Name the model that computed, e.g. "NVIDIA H100 80GB HBM3" or "cpu AMD EPYC".

    Two of one model are one device: a card's number, its driver and how many there were are left out.
    """
    kind = kind_of(hardware)
    model = hardware.get("cpu" if kind == "cpu" else "gpu", "")
    if not kind:
        return NOT_STATED
    if kind == "cuda":
        return model or "cuda, which card is not on file"
    return f"{kind} {model}".strip()


def differ(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two machines are known to have computed on unlike devices; what is not on file may be alike."""
    kinds = kind_of(one), kind_of(other)
    if not all(kinds):
        return False
    part = "cpu" if kinds[0] == "cpu" else "gpu"
    models = one.get(part, ""), other.get(part, "")
    return kinds[0] != kinds[1] or (all(models) and models[0] != models[1])


def computed_on(hardware: Mapping[str, str]) -> str:
    """Name model and number of processes, e.g. "NVIDIA H100 80GB HBM3, 4 processes"."""
    several = f", {hardware[PROCESSES]} processes" if PROCESSES in hardware else ""
    return device_of(hardware) + several


def precision_of(result: TaskResult) -> str:
    """Name the number format of a run, e.g. "bfloat16"; empty where its task states none.

    It is that which was decided on its device, unless the environment overruled it there.
    """
    found = str(result.spec.settings.get("precision", result.effective.get("precision", "")))
    stated = FABRICS.get(found, found)
    hardware = result.provenance.hardware
    forced = hardware.get(FORCED, "") if kind_of(hardware) == "cuda" else ""
    return f"{OVERRULED[stated, forced]} by {FORCED}" if (stated, forced) in OVERRULED else stated
