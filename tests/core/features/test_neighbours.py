import math
import sys

import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn.functional import normalize

from hsa_bench.core.features import neighbours
from hsa_bench.core.features.accuracy import ranks
from hsa_bench.core.features.neighbours import best_of, search, vote


def unit(rows: int, dim: int, seed: int) -> Tensor:
    return normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_search_agrees_with_scikit_learns_brute_force() -> None:
    query, bank = unit(30, 8, 0), unit(200, 8, 1)
    found = search(query, bank, 7)
    distance, index = NearestNeighbors(n_neighbors=7, metric="cosine").fit(bank).kneighbors(query)
    assert torch.equal(found.index, torch.from_numpy(index))
    assert torch.allclose(found.similarity, 1 - torch.from_numpy(distance).float(), atol=1e-5)


def test_blocks_of_bank_and_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    query, bank = unit(31, 8, 0), unit(200, 8, 1)
    whole = search(query, bank, 5)
    monkeypatch.setattr(neighbours, "BLOCK", 8 * 7)  # seven entries at once, the last block shorter than k
    monkeypatch.setattr(neighbours, "ROWS", 4)
    parts = search(query, bank, 5)
    assert torch.equal(whole.index, parts.index)
    assert torch.allclose(whole.similarity, parts.similarity, atol=1e-6)


def test_a_bank_in_half_precision_and_of_any_length_is_searched_as_its_unit_vectors() -> None:
    query, bank = unit(20, 8, 0), torch.randn(90, 8, generator=torch.Generator().manual_seed(3)).half()
    found = search(query, bank, 4, scale=1 / bank.float().norm(dim=1))
    expected = search(query, normalize(bank.float(), dim=1), 4)
    assert torch.equal(found.index, expected.index)
    assert torch.allclose(found.similarity, expected.similarity, atol=1e-6)


def test_fewer_neighbours_are_the_first_of_more() -> None:
    query, bank = unit(9, 8, 0), unit(50, 8, 1)
    assert torch.equal(search(query, bank, 20).first(3).index, search(query, bank, 3).index)


def test_torchs_search_which_gpus_use_finds_what_faiss_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    query, bank = unit(31, 8, 0), unit(200, 8, 1)
    expected = best_of(query, bank, 6)
    monkeypatch.setattr(neighbours, "BLOCK", 200 * 4)  # four queries at once, the last chunk shorter
    found = best_of(query, bank, 6, by_torch=True)
    assert torch.equal(found.index, expected.index)
    short = best_of(query, bank[:4], 6, by_torch=True)
    assert torch.equal(short.index[:, 4:], torch.full((31, 2), -1))
    assert torch.isinf(short.similarity[:, 4:]).all()


def test_where_faiss_is_not_installed_torch_finds_the_same_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query, bank = unit(40, 16, 0), unit(700, 16, 1)
    bank[300:310] = bank[:10]  # copies tie
    with_faiss = search(query, bank, 12)
    neighbours._faiss.cache_clear()
    monkeypatch.setitem(sys.modules, "faiss", None)  # what an import finds where it is not installed
    try:
        for block in (2**25, 16 * 90):
            monkeypatch.setattr(neighbours, "BLOCK", block)
            found = search(query, bank, 12)
            assert torch.allclose(found.similarity, with_faiss.similarity, atol=1e-6)
            one, other = (bank[f.index] for f in (found, with_faiss))  # of copies, either
            assert torch.equal(one, other)
        assert neighbours._faiss() is None
    finally:
        neighbours._faiss.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_banks_of_any_number_format_are_compared_in_float32(dtype: torch.dtype) -> None:
    query, bank = unit(9, 8, 0), unit(60, 8, 1).to(dtype)
    found = search(query, bank, 4)
    assert found.similarity.dtype == torch.float32
    assert torch.equal(found.index, search(query, bank.float(), 4).index)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(search(query, bank, 4).similarity, found.similarity)


def test_the_vote_equals_the_equation() -> None:
    query, bank = unit(6, 4, 0), unit(40, 4, 1)
    labels = torch.randint(3, (40,), generator=torch.Generator().manual_seed(2))
    scores = vote(query, bank, labels, classes=3, k=5, temperature=0.2)
    for q in range(6):
        similarity = [(float(query[q] @ bank[n]), int(labels[n])) for n in range(40)]
        expected = [0.0, 0.0, 0.0]
        for s, label in sorted(similarity, reverse=True)[:5]:
            expected[label] += math.exp(s / 0.2)
        assert scores[q].tolist() == pytest.approx(expected, rel=1e-4)


def test_k_beyond_the_bank_lets_the_whole_bank_vote() -> None:
    query, bank, labels = unit(5, 4, 0), unit(9, 4, 1), torch.arange(9) % 3
    assert torch.equal(vote(query, bank, labels, 3, 200, 0.1), vote(query, bank, labels, 3, 9, 0.1))


def test_classes_without_votes_rank_by_index_lowest_first() -> None:
    bank = torch.eye(4)[:1]
    scores = vote(bank, bank, torch.tensor([3]), classes=6, k=1, temperature=0.1)
    place = [int(ranks(scores, torch.tensor([c]))) for c in range(6)]
    assert place == [1, 2, 3, 0, 4, 5]


def test_an_empty_query_gives_no_scores() -> None:
    assert vote(torch.empty(0, 4), unit(9, 4, 1), torch.arange(9) % 3, 3, 2, 0.1).shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"labels": torch.full((9,), 3)}, "labels run from 3 to 3, for 3 classes"),
        ({"labels": torch.full((9,), -1)}, "labels run from -1"),
        ({"labels": torch.zeros(8, dtype=torch.long)}, r"\[9, 4\], labels \[8\]"),
        ({"bank": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}, "N > 0"),
        ({"query": torch.zeros(5, 3)}, r"query \[5, 3\]"),
        ({"k": 0}, "k must be at least 1"),
        ({"temperature": 0.005}, "temperature must exceed"),
    ],
)
def test_what_cannot_vote_is_refused(change: dict[str, object], complaint: str) -> None:
    asked = {
        "query": unit(5, 4, 0),
        "bank": unit(9, 4, 1),
        "labels": torch.arange(9) % 3,
        "classes": 3,
        "k": 2,
        "temperature": 0.1,
    }
    with pytest.raises(ValueError, match=complaint):
        vote(**{**asked, **change})  # type: ignore[arg-type]
