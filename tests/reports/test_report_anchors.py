"""Published numbers beside ours: only of the same data, architecture and recipe."""

from pathlib import Path

import pytest

from hsa_bench.core.results.result import DataId, Source, TaskResult
from reports.published.beside import anchor_table, anchors, beside_table
from reports.published.entries import UNCONFIRMED, entries, incomparable, parse_claims, published_of
from reports.published.orientation import families
from reports.run_folder.collected import Collected
from reports.run_folder.grid import lay_out
from tests.reports.report_folder import result

IMAGENET = DataId(name="imagenet", fingerprint="1" * 16)
RECIPE = {"paper_prints": "published_best", "recipe": "moco"}


def linear(label: str = "moco", **changed: object) -> TaskResult:
    facts = {
        "arch": "resnet50",
        "data": IMAGENET,
        "metrics": {"top1": 68.0, "published_best": 67.3, "published_last": 67.2},
        "effective": RECIPE,
        **changed,
    }
    return result(label, "linear", **facts)


def collected(*results: TaskResult) -> Collected:
    return Collected(Path(), None, results, (), ())


MOCO_200 = next(e for e in published_of()["moco-v2-200"] if e.ours == "linear" and e.std)


def test_a_claim_is_held_against_the_number_that_the_paper_prints() -> None:
    own = collected(linear())

    found = anchors(own, lay_out(own), {"moco": "moco-v2-200"})

    anchor = next(one for one in found.found if one.entry is MOCO_200)
    assert MOCO_200.value == "67.5" and MOCO_200.std == "0.1"
    assert anchor.value == 67.3  # the recipe's own rate, best epoch: what MoCo's script prints, not top1
    assert anchor.deviation == pytest.approx(-0.2)
    assert any("67.5 ± 0.1 (5 runs)" in row[5] and row[6] == "−0.2" for row in anchor_table(found).rows)


@pytest.mark.parametrize(
    ("hashes", "claim"),
    [({"md5": "59fd9945" + "0" * 24}, "moco-v2-200"), ({"md5": "a04e12f8" + "0" * 24}, "moco-v2-800")],
)
def test_a_known_file_needs_no_claim(hashes: dict[str, str], claim: str) -> None:
    own = collected(linear("mine", source=Source(path="mine.pth.tar", format="moco", **hashes)))

    found = anchors(own, lay_out(own), {})

    assert {one.claim for one in found.found} == {claim}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"data": DataId(name="digits", fingerprint="2" * 16)}, "other data set (imagenet)"),
        ({"arch": "resnet18"}, "other architecture (ResNet-50)"),
        ({"changed": ("epochs",)}, "our settings differ (epochs)"),
        ({"limit": 64}, "our run was limited"),
        ({}, ""),
    ],
)
def test_a_published_number_stands_beside_ours_only_where_everything_agrees(
    changed: dict[str, object], reason: str
) -> None:
    run = linear(**changed)
    own = collected(run)
    grid = lay_out(own)

    assert incomparable(MOCO_200, run) == reason
    assert bool(beside_table(grid).rows) == (reason == "")
    claimed = anchors(own, grid, {"moco": "moco-v2-200"})
    assert bool(claimed.found) == (reason == "")
    assert all(reason in text for text in claimed.unmatched)


def test_other_recipes_of_one_family_are_for_orientation_only() -> None:
    own = collected(linear())
    grid = lay_out(own)
    family = next(one for one in families(grid) if one.title == "Linear classification")
    rows = {(row[0], row[2], row[-1]) for row in family.table.rows}

    assert ("SimCLR", "1000", "other recipe") in rows
    assert ("MoCo v2", "200", "comparable, above") in rows
    assert family.measured and family.title == families(grid)[0].title


def test_every_published_number_is_in_a_table_once() -> None:
    found = families(lay_out(collected(linear())))

    assert sum(one.count for one in found) == len(entries())
    for one in found:
        metrics = [i for i, name in enumerate(one.table.header) if name in {e.metric for e in entries()}]
        shown = sum(row[i] != "—" for row in one.table.rows for i in metrics)
        assert shown == one.count, one.title


def test_methods_without_a_confirmed_number_have_none() -> None:
    assert UNCONFIRMED and not set(UNCONFIRMED) & {entry.method for entry in entries()}


def test_claims_are_read_and_unknown_ones_refused_with_near_ones() -> None:
    assert parse_claims(["moco=moco-v2-200", "swav-800-mc"]) == {"moco": "moco-v2-200", "": "swav-800-mc"}
    with pytest.raises(
        ValueError, match=r"--claim a=moco-v2-20: nothing is published of moco-v2-20; .*moco-v2-200"
    ):
        parse_claims(["a=moco-v2-20"])


def test_reproductions_by_others_are_no_anchors_of_a_released_file() -> None:
    for claim, group in published_of().items():
        assert not any(entry.reproduced for entry in group), claim
