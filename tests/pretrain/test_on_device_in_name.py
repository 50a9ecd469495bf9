"""A step on a GPU in name only: its tensors have shapes and a device, and no numbers to be waited for.

What would bring a number to the CPU, or mix tensors of two devices, raises. The backward pass, autocast, and
CutMix, which draws its box on the CPU, need a real GPU: tests/device.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from pretrain.contrastive import Contrastive
from pretrain.data import shuffle
from pretrain.encoder import Encoder
from pretrain.optim.optimiser import optimiser
from tests.pretrain.test_joined import CASES, made, passes

GPU = torch.device("cuda:0")


@pytest.fixture(autouse=True)
def _without_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)  # which a driver would be asked for


def moved(method: Contrastive) -> Contrastive:
    """The method, in name on a GPU, and left to choose how it computes."""
    for module in method.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                there = torch.empty(parameter.shape, device=GPU)
                module._parameters[name] = nn.Parameter(there, requires_grad=parameter.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=GPU)
        if hasattr(module, "at_once"):
            module.at_once = None
        if isinstance(module, Encoder):
            module.joined = None
    return method


def views(method: Contrastive) -> list[Tensor]:
    sides = [32] * (4 if method.pairs else 2) + [*method.crops]
    return [torch.empty(8, 3, side, side, device=GPU) for side in sides]


UNMIXED = {
    name: {**CASES[name], "mix": False} for name in ("moco", "simclr", "hsa", "hsa without neighbours")
}


@pytest.mark.parametrize("case", UNMIXED)
def test_a_forward_pass_waits_for_no_number(case: str) -> None:
    method = made(False, **UNMIXED[case]).float()
    calls = passes(method)
    with FakeTensorMode():
        parts = moved(method)(given := views(method))
        method.after_step()
        assert {(part.device, part.dtype) for part in parts.values()} == {(GPU, torch.float32)}
    assert len(calls) < len(given) or case in {"moco", "hsa without neighbours"}  # pairs in one pass


def test_neither_does_a_step_by_lars() -> None:
    method = made(False, method="simclr", head_bn="all", optimiser="lars").float()
    with FakeTensorMode():
        stepper = optimiser(moved(method), method.settings)
        for parameter in method.parameters():
            parameter.grad = torch.empty_like(parameter)
        stepper.step()


def test_keys_are_shuffled_on_the_device() -> None:
    with FakeTensorMode():
        order, place = shuffle._drawn(8, GPU)
    assert order.device == place.device == GPU


def test_a_number_that_is_asked_for_raises() -> None:
    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        float(torch.empty(3, device=GPU).sum())
