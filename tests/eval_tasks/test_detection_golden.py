"""Our detector of torchvision's parts against the real Detectron2 with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tests.golden.detection_case import CASES, SIZE, detector, image, ours

GOLDEN = Path(__file__).parents[1] / "golden"


def assert_alike(found: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
    assert found.keys() == expected.keys()
    assert np.array_equal(found["labels"], expected["labels"])
    assert np.allclose(found["scores"], expected["scores"], atol=1e-3)
    for name in ("boxes", "proposals"):
        assert np.allclose(found[name], expected[name], atol=0.02)  # px
    for name in (name for name in found if name.startswith("map_")):
        assert np.allclose(found[name], expected[name], atol=1e-4)
    differing = np.unpackbits(found["masks"] ^ expected["masks"]).sum()
    assert differing <= 0.002 * np.unpackbits(expected["masks"]).sum()  # pixels


@pytest.mark.parametrize("case", CASES)
def test_the_torchvision_engine_finds_what_detectron2_found(case: str) -> None:
    with np.load(GOLDEN / f"detectron2_{case}.npz") as file:
        expected = dict(file)

    assert len(set(expected["labels"].tolist())) == 4  # the case says something
    assert_alike(ours(case), expected)


@pytest.mark.parametrize("case", CASES)
def test_the_golden_file_is_what_detectron2_finds(case: str) -> None:
    pytest.importorskip("detectron2", reason="needs Detectron2")
    from tests.golden.make_detection_golden import theirs

    with np.load(GOLDEN / f"detectron2_{case}.npz") as file:
        assert_alike(theirs(case), dict(file))


@pytest.mark.parametrize("case", CASES)
def test_the_losses_are_detectron2s(case: str) -> None:
    """With so many regions and anchors that all of them count, nothing is left to chance."""
    pytest.importorskip("detectron2", reason="needs Detectron2")
    from tests.golden.make_detection_golden import real

    mine, theirs = detector(case), real(case)
    many = 100_000
    mine.rpn.fg_bg_sampler.batch_size_per_image = mine.heads.fg_bg_sampler.batch_size_per_image = many
    network: Any = theirs.network
    network.proposal_generator.batch_size_per_image = network.roi_heads.batch_size_per_image = many
    masks = torch.zeros(2, *SIZE, dtype=torch.uint8)
    masks[0, 20:60, 10:50] = 1
    masks[1, 50:110, 60:140] = 1
    boxes = torch.tensor([[10.0, 20, 50, 60], [60, 50, 140, 110]])
    target = {"boxes": boxes, "labels": torch.tensor([1, 3]), "masks": masks}
    for whole in (mine, theirs):
        whole.train()
        for norm in whole.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.eval()  # maps this small would amplify rounding

    own, their = mine.losses([image()], [target]), theirs.losses([image()], [target])

    assert set(own) == set(their)
    for name, value in own.items():
        assert float(value.detach()) == pytest.approx(float(their[name].detach()), rel=1e-4)
