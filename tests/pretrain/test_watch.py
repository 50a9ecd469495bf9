from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hsa_bench.core.checkpoints.open import open_backbone
from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet, label_subset
from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.data.views import View, centre_view
from hsa_bench.core.models.backbone import weights_hash
from hsa_bench.core.models.preprocess import Preprocess
from pretrain.encoder import Encoder
from pretrain.export import notes
from pretrain.heads import Projection
from pretrain.loop import Training
from pretrain.monitor.described import described
from pretrain.monitor.watch import collapse, look, vote_of
from pretrain.settings import Settings
from tests.support.training import digits_training


class Constant(nn.Module):
    """Features that are nearly the same for all pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return self.direction + 1e-4 * x.mean((1, 2, 3))[:, None]


def images() -> ImageSet:
    return open_dataset("digits", Path()).limited(60).train


def test_collapsed_features_are_remarked_and_others_are_not(ctx: Context) -> None:
    alike = look(Constant(), images(), centre_view(View(32, 32), Preprocess()), ctx)
    assert alike["spread"] < 0.01
    assert "the features have collapsed" in collapse(alike)

    trunk = open_backbone(BackboneRequest(label="x", arch="resnet18-w16")).module
    apart = look(trunk, images(), centre_view(View(32, 32), Preprocess()), ctx)
    assert collapse(apart) == ""
    assert 0 <= apart["knn"] <= 100


@pytest.mark.parametrize("classes", [("all",), ("cat", "dog")])
def test_without_two_classes_that_occur_there_is_no_knn_and_no_purity(
    classes: tuple[str, ...], ctx: Context, tmp_path: Path
) -> None:
    unlabelled = replace(images(), labels=np.zeros(60, np.int64), classes=classes)
    trunk = BackboneRequest(label="x", arch="resnet18-w16")
    settings = Settings(method="hsa", epochs=1, batch=16, queue=32, bn_groups=4, augment="digits", k=3)
    training = Training(settings, open_backbone(trunk), unlabelled, View(32, 32), 0, ctx)
    training.run(tmp_path / "resume")
    assert {"loss", "spread", "rank"} <= set(training.progress.curves)
    assert not {"knn", "purity"} & set(training.progress.curves)


def test_a_collapse_is_said_once_and_kept_for_the_report(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pretrain.monitor.watch.LEAST_RANK", 1e9)  # so that these features count as collapsed
    said: list[str] = []
    settings = Settings(
        epochs=2, batch=16, queue=24, bn_groups=4, augment="digits", head_bn="hidden", knn_every=2
    )
    trunk = open_backbone(BackboneRequest(label="x", arch="resnet18-w16"))
    training = Training(settings, trunk, images(), View(32, 32), 0, ctx, say=said.append)
    training.run(tmp_path / "resume")
    queue, first, collapsed, second = said
    assert queue.startswith("warning: queue 24 is 40% of the training set")
    assert first.startswith("epoch 1 of 2, ")
    assert "images/s, 0:00:0" in first
    assert collapsed.startswith("warning: after epoch 2 the features have collapsed")
    assert "knn" in second
    assert training.progress.warnings == [text.removeprefix("warning: ") for text in (queue, collapsed)]


@pytest.mark.parametrize("of", ["features", "embedding"])
def test_the_knn_of_a_look_is_the_vote_written_out(of: str, ctx: Context) -> None:
    sample = images()
    settings = Settings(knn_of=of, knn_k=7, knn_temperature=0.1)  # type: ignore[arg-type]  # of the two words
    trunk = open_backbone(BackboneRequest(label="x", arch="resnet18-w8-s2")).module
    encoder = Encoder(trunk, (3,), Projection(16))
    view = centre_view(View(32, 32), Preprocess())
    usual = look(encoder.trunk, sample, view, ctx)
    found = look(encoder.trunk, sample, view, ctx, knn=vote_of(settings, encoder))

    assert encoder.training
    encoder.eval()
    pictures = view.normalise.batch(torch.stack([view(sample.picture(i)) for i in range(60)]))
    with torch.no_grad():
        compared = encoder(pictures)[-1] if of == "embedding" else encoder.trunk(pictures)
    unit = torch.nn.functional.normalize(compared, dim=1)
    held_out = set(label_subset(sample.labels, 0.1, seed=0))
    bank = [i for i in range(60) if i not in held_out]
    right = 0
    for i in held_out:
        nearest = sorted(bank, key=lambda j: -float(unit[i] @ unit[j]))[:7]
        scores = torch.zeros(10)
        for j in nearest:
            scores[sample.labels[j]] += torch.exp(unit[i] @ unit[j] / 0.1)
        right += int(scores.argmax()) == sample.labels[i]
    assert found["knn"] == pytest.approx(100 * right / len(held_out))
    assert (found["spread"], found["rank"]) == (usual["spread"], usual["rank"])


def test_a_curve_says_which_knn_it_is_where_it_is_not_the_usual() -> None:
    [plain] = described({"knn": [1.0]}, 1, 1, Settings().knn_taken)
    assert plain.meaning == "accuracy on a fixed tenth of the training images, by the labels of the others"
    demo = Settings(knn_of="embedding", knn_k=200, knn_temperature=0.1)
    [curve] = described({"knn": [1.0]}, 1, 1, demo.knn_taken)
    assert curve.meaning == f"{plain.meaning}; of the embedding, k 200, temperature 0.1"
    assert notes(demo) == ()
    with pytest.raises(ValueError, match="greater than"):
        Settings(knn_temperature=0.0125)


def test_a_training_looks_at_what_it_is_told_to_and_learns_the_same(ctx: Context, tmp_path: Path) -> None:
    plain = Settings(epochs=1, batch=16, queue=24, bn_groups=4, augment="digits", knn_every=1)
    demo = replace(plain, knn_of="embedding", knn_k=3, knn_temperature=0.1)
    done = [digits_training(settings, ctx, "resnet18-w8-s2", 60) for settings in (plain, demo)]
    for number, training in enumerate(done):
        training.run(tmp_path / f"resume{number}")
    assert weights_hash(done[0].method) == weights_hash(done[1].method)
    encoder = done[1].method.encoder
    view = centre_view(View(32, 32), done[1].backbone.card)
    expected = look(encoder.trunk, done[1].images, view, ctx, knn=vote_of(demo, encoder))
    assert done[1].progress.curves["knn"] == [expected["knn"]]
    assert encoder.training
