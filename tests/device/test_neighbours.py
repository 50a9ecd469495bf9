from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hsa_bench.core.features.neighbours import search, vote
from pretrain.positives import nearest_others

Figure = Callable[..., None]


@pytest.fixture
def clouds(tiny: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, a bank, and its labels."""
    g = torch.Generator().manual_seed(0)
    queries, rows, width = (40, 200, 16) if tiny else (2000, 20_000, 512)
    query, bank = (normalize(torch.randn(n, width, generator=g), dim=1) for n in (queries, rows))
    return query, bank, torch.randint(10, (rows,), generator=g)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16], ids=str)
def test_the_nearest_are_the_cpus(
    kind: torch.dtype, clouds: tuple[Tensor, Tensor, Tensor], device: str, figure: Figure
) -> None:
    query, bank, _ = clouds
    bank = bank.to(kind)
    expected, found = search(query, bank, 20), search(query.to(device), bank, 20)
    figure(
        "largest difference of a similarity",
        float((found.similarity.cpu() - expected.similarity).abs().max()),
        at_most=1e-5,
    )
    others = float((found.index.cpu() != expected.index).double().mean() * 100)
    figure("other neighbours, %", others, at_most=0.1, note="equal ones may change places")


def test_votes_are_the_cpus(clouds: tuple[Tensor, Tensor, Tensor], device: str, figure: Figure) -> None:
    query, bank, labels = clouds
    expected = vote(query, bank, labels, 10, 20, 0.07)
    found = vote(*(x.to(device) for x in clouds), 10, 20, 0.07).cpu()
    relative = ((found - expected).abs() / expected.abs().amax(1, keepdim=True)).amax(1)
    # Where the last two neighbours are as good as equal, either may vote.
    figure(
        "difference of a score over the largest, of all but 1 %", float(relative.quantile(0.99)), at_most=1e-3
    )


def test_mined_neighbours_are_the_cpus(
    clouds: tuple[Tensor, Tensor, Tensor], device: str, figure: Figure
) -> None:
    bank = clouds[1]
    pair = [nearest_others(bank, 5, where) for where in ("cpu", device)]
    figure("other neighbours, %", float(np.mean(pair[0] != pair[1]) * 100), at_most=0.1)
    assert not (pair[1] == np.arange(len(bank))[:, None]).any(), "an image is not its own neighbour"
