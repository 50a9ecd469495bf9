import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from eval_tasks._classifier import Heads, stepped

RATES = (0.01, 0.3, 5.0)
DECAYS = (0.0, 0.01, 0.1)

pytestmark = pytest.mark.usefixtures("one_thread")


def batches(steps: int, size: int = 12) -> list[tuple[Tensor, Tensor]]:
    g = torch.Generator().manual_seed(0)
    return [(torch.randn(size, 6, generator=g), torch.randint(4, (size,), generator=g)) for _ in range(steps)]


def heads(momentum: float = 0.9) -> Heads:
    start = torch.randn(len(RATES), 4, 7, generator=torch.Generator().manual_seed(1))
    return Heads(start, torch.tensor(RATES), torch.tensor(DECAYS), momentum)


def everyone(size: int) -> Tensor:
    return torch.ones(size, len(RATES), dtype=torch.bool)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_head_follows_torchs_sgd(momentum: float) -> None:
    ours = heads(momentum)
    plain = []
    for h in range(len(RATES)):
        layer = nn.Linear(6, 4)
        layer.weight.data, layer.bias.data = ours.weight[h, :, :6].clone(), ours.weight[h, :, 6].clone()
        sgd = torch.optim.SGD(layer.parameters(), lr=RATES[h], momentum=momentum, weight_decay=DECAYS[h])
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
        assert torch.allclose(ours.weight[h, :, :6], layer.weight, rtol=1e-3, atol=1e-4)
        assert torch.allclose(ours.logits(x)[:, h], layer(x), rtol=1e-3, atol=1e-4)


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
    start = heads().weight
    wild = Heads(start.clone(), torch.tensor([0.1, 1e4, 0.1]), torch.tensor([0.0, 1.0, 0.0]), 0.9)
    calm = Heads(start.clone(), torch.tensor([0.1, 0.1, 0.1]), torch.zeros(3), 0.9)
    for x, y in data:
        wild.step(x, y, everyone(len(x)))
        calm.step(x, y, everyone(len(x)))
    assert wild.finite().tolist() == [True, False, True]
    assert torch.equal(wild.weight[[0, 2]], calm.weight[[0, 2]])


@pytest.mark.parametrize("total", [1, 4, 5, 100])
def test_the_rate_drops_at_its_milestones(total: int) -> None:
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    milestones = [round(0.6 * total), round(0.8 * total)]
    schedule = torch.optim.lr_scheduler.MultiStepLR(sgd, milestones, gamma=0.1)
    for epoch in range(total):
        assert stepped(epoch, total, (0.6, 0.8), 0.1) == pytest.approx(sgd.param_groups[0]["lr"])
        sgd.step()
        schedule.step()


def test_without_milestones_the_rate_is_constant() -> None:
    assert [stepped(e, 3, (), 0.1) for e in range(3)] == [1.0, 1.0, 1.0]
