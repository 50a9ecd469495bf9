import torch

from hsa_bench.core.seed import derive, forked, generator


def test_a_derived_seed_belongs_to_seed_and_purpose() -> None:
    seeds = [derive(0), derive(1), derive(0, "a"), derive(0, "a", 1), derive(0, "a1"), derive(0, 1, "a")]
    assert len(set(seeds)) == len(seeds)
    assert derive(0, "a", 1) == derive(0, "a", 1)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_derived_seed_stays_what_it_was() -> None:
    assert derive(0, "order", 3) == 386106667988085106  # else every stored number would need a new version


def test_generators_of_one_purpose_draw_the_same() -> None:
    first, again, other = (torch.rand(4, generator=generator(0, p)) for p in ("a", "a", "b"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_fork_leaves_the_global_generator_as_it_was() -> None:
    torch.manual_seed(7)
    undisturbed = torch.rand(2)
    torch.manual_seed(7)
    with forked(0, "x"):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), undisturbed)
    with forked(0, "x"):
        assert torch.equal(torch.rand(2), inside)


def test_a_fork_is_undone_when_its_block_raises() -> None:
    before = torch.get_rng_state()
    try:
        with forked(0):
            torch.rand(1)
            raise KeyError
    except KeyError:
        pass
    assert torch.equal(torch.get_rng_state(), before)
