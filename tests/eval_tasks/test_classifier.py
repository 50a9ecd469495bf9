import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from eval_tasks._linear.heads import Heads

RATES = (0.01, 0.3, 5.0)
DECAYS = (0.0, 0.01, 0.1)

pytestmark = pytest.mark.usefixtures("one_thread")


def batches(steps: int, size: int = 12) -> list[tuple[Tensor, Tensor]]:
    g = torch.Generator().manual_seed(0)
    return [(torch.randn(size, 6, generator=g), torch.randint(4, (size,), generator=g)) for _ in range(steps)]


def start() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(len(RATES), 4, 6, generator=g), torch.randn(len(RATES), 4, generator=g)


def heads(momentum: float = 0.9, nesterov: bool = False, trust: float = 0.0) -> Heads:
    return Heads(*start(), torch.tensor(RATES), torch.tensor(DECAYS), momentum, nesterov, trust)


class LARC:
    """NVIDIA/apex's rule with clip=False, parameter by parameter, as its docstring and code say."""

    def __init__(self, sgd: torch.optim.SGD, trust: float, decay: float) -> None:
        self.sgd, self.trust, self.decay = sgd, trust, decay

    def step(self) -> None:
        for parameter in self.sgd.param_groups[0]["params"]:
            size, slope = float(parameter.data.norm()), float(parameter.grad.norm())
            if size and slope:
                ratio = self.trust * size / (slope + size * self.decay + 1e-8)
                parameter.grad = (parameter.grad + self.decay * parameter.data) * ratio
        self.sgd.step()


def everyone(size: int) -> Tensor:
    return torch.ones(size, len(RATES), dtype=torch.bool)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_every_head_follows_torchs_sgd(momentum: float, nesterov: bool) -> None:
    ours = heads(momentum, nesterov)
    plain = []
    for h in range(len(RATES)):
        layer = nn.Linear(6, 4)
        layer.weight.data, layer.bias.data = ours.weight[h].clone(), ours.bias[h].clone()
        sgd = torch.optim.SGD(
            layer.parameters(), lr=RATES[h], momentum=momentum, weight_decay=DECAYS[h], nesterov=nesterov
        )
        plain.append((layer, sgd, torch.optim.lr_scheduler.MultiStepLR(sgd, [4, 7], gamma=0.1)))

    for step, (x, y) in enumerate(batches(10)):
        losses = ours.step(x, y, everyone(len(x)), factor=0.1 ** ((step >= 4) + (step >= 7)))
        for h, (layer, sgd, schedule) in enumerate(plain):
            loss = cross_entropy(layer(x), y)
            assert float(losses[h]) == pytest.approx(loss.item(), rel=1e-4)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            schedule.step()

    x = torch.randn(5, 6)
    for h, (layer, _, _) in enumerate(plain):
        assert torch.allclose(ours.weight[h], layer.weight, rtol=1e-3, atol=1e-4)
        assert torch.allclose(ours.logits(x)[:, h], layer(x), rtol=1e-3, atol=1e-4)


def test_with_a_trust_coefficient_every_head_follows_larc() -> None:
    ours = heads(trust=0.02)
    ours.bias.zero_()  # a parameter of length zero takes the plain gradient
    plain = []
    for h in range(len(RATES)):
        layer = nn.Linear(6, 4)
        layer.weight.data, layer.bias.data = ours.weight[h].clone(), ours.bias[h].clone()
        sgd = torch.optim.SGD(layer.parameters(), lr=RATES[h], momentum=0.9)
        plain.append((layer, sgd, LARC(sgd, 0.02, DECAYS[h])))
    for x, y in batches(6):
        ours.step(x, y, everyone(len(x)))
        for layer, sgd, larc in plain:
            sgd.zero_grad()
            cross_entropy(layer(x), y).backward()
            larc.step()
    for h, (layer, _, _) in enumerate(plain):
        assert torch.allclose(ours.weight[h], layer.weight, rtol=1e-4, atol=1e-5)
        assert torch.allclose(ours.bias[h], layer.bias, rtol=1e-4, atol=1e-5)


def test_scores_in_parts_are_the_scores() -> None:
    ours, x = heads(), torch.randn(50, 6)
    ours.bias[:] = torch.randn(3, 4)
    parts = [logits for _, logits in ours.logits_in_parts(x.half(), slice(1, 3))]
    assert torch.allclose(torch.cat(parts), ours.logits(x.half().float())[:, 1:3], atol=1e-6)


def test_a_head_learns_only_from_the_examples_it_keeps() -> None:
    ours, alone = heads(), heads()
    for x, y in batches(4):
        keep = everyone(len(x))
        keep[:5, 1] = False
        ours.step(x, y, keep)
        alone.step(x[5:], y[5:], everyone(len(x) - 5))
    assert torch.allclose(ours.weight[1], alone.weight[1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(ours.weight[0], alone.weight[0], atol=1e-3)


def test_a_batch_without_an_example_for_a_head_has_gradient_zero() -> None:
    ours = heads(momentum=0.0)
    before = ours.weight.clone()
    x, y = batches(1)[0]
    keep = everyone(len(x))
    keep[:, 0] = False  # the one without weight decay
    assert float(ours.step(x, y, keep)[0]) == 0.0
    assert torch.equal(ours.weight[0], before[0])
    assert not torch.equal(ours.weight[1], before[1])


def test_a_head_that_diverges_does_not_hurt_the_others() -> None:
    data = batches(60)
    wild = Heads(*start(), torch.tensor([0.1, 1e4, 0.1]), torch.tensor([0.0, 1.0, 0.0]), 0.9)
    calm = Heads(*start(), torch.tensor([0.1, 0.1, 0.1]), torch.zeros(3), 0.9)
    for x, y in data:
        wild.step(x, y, everyone(len(x)))
        calm.step(x, y, everyone(len(x)))
    assert wild.finite().tolist() == [True, False, True]
    assert torch.equal(wild.weight[[0, 2]], calm.weight[[0, 2]])
