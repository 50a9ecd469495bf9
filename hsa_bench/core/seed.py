"""One generator per purpose, all from one seed, so that nothing drawn depends on what ran before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that belongs to (seed, purpose) alone.

    Args:
        seed: The run's seed.
        purpose: What it is for, e.g. `("augment", epoch, index)`.
    """
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


def seed_device(device: torch.device, seed: int, *purpose: str | int) -> None:
    """Seed the generator of a device other than the CPU, which layers there draw from, for one purpose."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(derive(seed, *purpose))
    elif device.type == "mps":
        torch.mps.manual_seed(derive(seed, *purpose))


def generator_states(device: torch.device) -> list[Tensor]:
    """Return the states of torch's global generator and of the device's, from which layers there draw."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state())
    return states


def set_generator_states(device: torch.device, states: list[Tensor]) -> None:
    """Put the generators back to states that `generator_states` returned."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states[1])


@contextmanager
def forked(seed: int, *purpose: str | int) -> Iterator[None]:
    """Run a block with torch's global generator seeded for one purpose, then put it back.

    For libraries that insist on the global one (torchvision's transforms, weight initialisation).
    """
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(derive(seed, *purpose))
    try:
        yield
    finally:
        torch.set_rng_state(state)
