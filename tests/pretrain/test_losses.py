from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.losses.hsa import hsa_loss
from pretrain.losses.info_nce import info_nce
from pretrain.losses.nt_xent import nt_xent
from tests.support import vectors


def unit(*shape: int, seed: int = 0, dim: int = 1) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=dim)


def softmax_loss(positive: float, others: list[float], temperature: float) -> float:
    """-log of the positive's share, term by term."""
    top = math.exp(positive / temperature)
    return -math.log(top / (top + sum(math.exp(s / temperature) for s in others)))


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_info_nce_equals_the_equation(temperature: float) -> None:
    q, k, queue = unit(5, 8), unit(5, 8, seed=1), unit(8, 16, seed=2, dim=0)
    terms = [
        softmax_loss(float(q[n] @ k[n]), [float(q[n] @ queue[:, i]) for i in range(16)], temperature)
        for n in range(5)
    ]
    assert float(info_nce(q, k, queue, temperature)) == pytest.approx(sum(terms) / 5, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_equals_the_equation(temperature: float) -> None:
    z0, z1 = unit(4, 8), unit(4, 8, seed=1)
    z = [*z0, *z1]
    terms = [
        softmax_loss(
            float(z[i] @ z[(i + 4) % 8]),
            [float(z[i] @ z[j]) for j in range(8) if j not in (i, (i + 4) % 8)],
            temperature,
        )
        for i in range(8)
    ]
    assert float(nt_xent(z0, z1, temperature)) == pytest.approx(sum(terms) / 8, rel=1e-5)


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.5, 0.5), (0.6, 0.4)])
def test_hsa_equals_the_equation(weights: tuple[float, float]) -> None:
    q, p_q, m, k, p_k = (unit(3, 8, seed=s) for s in range(5))
    queue, mix, tau = unit(8, 6, seed=9, dim=0), 0.3, 0.2

    def term(u: Tensor, v: Tensor) -> float:
        return softmax_loss(float(u @ v), [float(u @ queue[:, i]) for i in range(6)], tau)

    own, neighbour = weights
    expected = 0.0
    for n in range(3):
        l_q = own * term(q[n], k[n]) + neighbour * term(q[n], p_k[n])
        l_p = own * term(p_q[n], p_k[n]) + neighbour * term(p_q[n], k[n])
        l_mix = mix * term(m[n], k[n]) + (1 - mix) * term(m[n], p_k[n])
        expected += (l_q + l_p + l_mix) / 3 / 3
    assert float(hsa_loss(q, p_q, m, k, p_k, queue, tau, weights, mix)) == pytest.approx(expected, rel=1e-5)


def test_mixtures_of_several_shares_count_as_the_mean_over_gpus_of_each_ones_mean() -> None:
    q, p_q, m, k, p_k = (unit(6, 8, seed=s).double() for s in range(5))
    queue, tau, weights = unit(8, 10, seed=9, dim=0).double(), 0.2, (0.5, 0.5)
    shares = (0.9, 0.0, 0.4)  # of three GPUs with two pictures each
    each = [
        hsa_loss(*(view[2 * i : 2 * i + 2] for view in (q, p_q, m, k, p_k)), queue, tau, weights, share)
        for i, share in enumerate(shares)
    ]
    mix = torch.tensor(shares, dtype=torch.float64).repeat_interleave(2)
    found = hsa_loss(q, p_q, m, k, p_k, queue, tau, weights, mix)
    torch.testing.assert_close(found, torch.stack(each).mean(), rtol=1e-12, atol=0)


def test_info_nce_gives_the_keys_and_the_queue_no_gradient() -> None:
    q, k, queue = (t.requires_grad_() for t in (unit(4, 8), unit(4, 8, seed=1), unit(8, 6, seed=2, dim=0)))
    info_nce(q, k, queue, 0.2).backward()
    assert q.grad is not None
    assert k.grad is None
    assert queue.grad is None


def test_nt_xent_trains_both_views() -> None:
    z0, z1 = unit(4, 8).requires_grad_(), unit(4, 8, seed=1).requires_grad_()
    nt_xent(z0, z1, 0.1).backward()
    assert z0.grad is not None
    assert z1.grad is not None


class TestReferenceVectors:
    """Outputs of facebookresearch/moco, haohang96/CSML and lightly on the same inputs, to 1e-5."""

    @pytest.fixture
    def given(self) -> dict[str, Tensor]:
        return vectors.tensors("contrastive")

    @pytest.fixture
    def expected(self) -> dict[str, float]:
        return vectors.expected("contrastive")

    def test_moco(self, given: dict[str, Tensor], expected: dict[str, float]) -> None:
        found = info_nce(given["q"], given["k"], given["queue"], expected["temperature"])
        assert float(found) == pytest.approx(expected["moco_info_nce"], abs=1e-5)

    @pytest.mark.parametrize(
        ("name", "weights"), [("hsa_warmup_a1_b0", (1.0, 0.0)), ("hsa_a05_b05", (0.5, 0.5))]
    )
    def test_hsa(
        self, name: str, weights: tuple[float, float], given: dict[str, Tensor], expected: dict[str, float]
    ) -> None:
        views = [given[view] for view in ("q", "p_q", "m", "k", "p_k", "queue")]
        temperature, mix = expected["temperature"], expected["mix_lambda"]
        for one_or_each in (mix, torch.full((len(given["m"]),), mix)):
            found = hsa_loss(*views, temperature, weights, one_or_each)
            assert float(found) == pytest.approx(expected[name], abs=1e-5)

    @pytest.mark.parametrize("temperature", [0.1, 0.5])
    def test_nt_xent(
        self, temperature: float, given: dict[str, Tensor], expected: dict[str, dict[str, float]]
    ) -> None:
        found = nt_xent(given["z0"], given["z1"], temperature)
        assert float(found) == pytest.approx(expected["nt_xent"][f"tau_{temperature}"], abs=1e-5)
