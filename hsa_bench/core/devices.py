"""Which devices torch has here, and why another one cannot be used."""

from __future__ import annotations

import os
import re

import torch

VISIBLE = "CUDA_VISIBLE_DEVICES"

CARD = re.compile(r"cuda(?::(0|[1-9][0-9]{0,3}))?")
"""A GPU as torch names it."""

SHOWN = 160
"""Characters of what torch says that are repeated."""


def fault_of(device: str, processes: int = 1) -> str:
    """Say why a device cannot be used, and which there are; empty where it can.

    Nothing is allocated on a GPU: it is the worker process that will compute there.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps", or whatever else torch may know.
        processes: Those on this machine, each of which wants a GPU of its own.
    """
    if card := CARD.fullmatch(device):
        wanted, there = max(int(card[1] or 0) + 1, processes), torch.cuda.device_count()
        if wanted <= there:
            return ""
        several = f"{processes} processes want a GPU each, and " if processes > max(there, 1) else ""
        return f"{several}{_cards(there)}{_remedy(there)}"
    try:
        torch.zeros(1, device=device).item()  # which "meta", a device without memory, cannot
    except (RuntimeError, AssertionError, ImportError) as error:
        return f"not usable here ({_first_sentence(error)}); there is {', '.join(_there())}"
    return ""


def _cards(count: int) -> str:
    """State in words which GPUs there are, and why there is none."""
    visible = f" ({VISIBLE}={os.environ[VISIBLE]})" if VISIBLE in os.environ else ""
    if count == 0:
        return f"torch sees no GPU{visible}{_why_none()}"
    if count == 1:
        return f"torch sees 1 GPU: cuda:0{visible}"
    return f"torch sees {count} GPUs: cuda:0 to cuda:{count - 1}{visible}"


def _remedy(count: int) -> str:
    return "; use cpu" if count == 0 else "; choose among them, or use cpu"


def _why_none() -> str:
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f": {_first_sentence(error)}"
    return ""


def _there() -> list[str]:
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), *mps]


def _first_sentence(error: Exception) -> str:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0].partition(". ")[0].rstrip(".")
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}…"
