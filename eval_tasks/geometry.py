"""What features look like as points: alignment, uniformity, rank, clusters. Diagnostics, not a contest."""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn.functional import normalize

from eval_tasks._shared.frozen import FrozenTask
from eval_tasks._shared.one_thread import one_thread
from eval_tasks._shared.protocol_text import centre_crop, random_crop, trunk
from hsa_bench.core.context import Context
from hsa_bench.core.data.device_views import on_device
from hsa_bench.core.data.image_set import Classification, ImageSet, balanced
from hsa_bench.core.data.views import random_view, views_of
from hsa_bench.core.features.extract import FeatureSet
from hsa_bench.core.features.forward import frozen_forward
from hsa_bench.core.features.geometry import alignment, effective_rank, rankme, singular_values, uniformity
from hsa_bench.core.features.wanted import Wanted
from hsa_bench.core.models.backbone import Backbone
from hsa_bench.core.results.curve import Curve
from hsa_bench.core.results.metric import Metric, number
from hsa_bench.core.runs.task import SETTINGS, Outcome

NAMES = ("geometry",)

CAVEAT = (
    "These are diagnostics, and none foretells transfer: alignment and uniformity agree with linear accuracy "
    "only together and within one method (a collapsed trunk is perfectly aligned, an untrained one can be "
    "spread out); a rank orders settings of one method, not methods or architectures, and a low one alone "
    "says that directions are lost; clusters are asked to be these classes, which a linear classifier does "
    "not need."
)

CLOSE = "the mean squared distance of two views of one picture"
EVEN = "the log of the mean potential of all pairs"

BATCH = 128
SHOWN = 512
"""Singular values that are kept for the figure."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Geometry(FrozenTask):
    """Alignment, uniformity, RankMe and effective rank, and k-means clusters against the labels.

    Alignment is the mean squared distance of two random views of one test image, uniformity the log of the
    mean potential exp(-2 d^2) between test images, both on unit features (Wang and Isola 2020). RankMe
    (Garrido et al. 2023) and effective rank (Roy and Vetterli 2007) are of the training images' features. NMI
    and ARI, percent, compare k-means clusters of the test images, as many as there are classes, with them.
    """

    version: ClassVar[int] = 1
    main_metric: ClassVar[str] = "nmi"
    seeded: ClassVar[bool] = False
    diagnostic: ClassVar[bool] = True
    cheap: ClassVar[bool] = True

    name: str = "geometry"
    images: int = Field(default=10_000, ge=2)
    """Test images for uniformity and clusters, class-balanced; all of them if there are fewer."""
    pairs: PositiveInt = 2_000
    """Test images of which two views are compared; they pass through the trunk."""
    rank_images: int = Field(default=25_600, ge=2)
    """Training images for the ranks, class-balanced: RankMe's number."""
    starts: PositiveInt = 3
    """Of k-means; the best is kept."""
    smallest: float = Field(default=0.2, gt=0, le=1)
    """Least share of a picture's area that a view shows: MoCo's."""
    flip: bool = True
    """Whether a view may be mirrored."""
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"

    @property
    def protocol(self) -> str:
        return (
            f"Features extracted once from {trunk(self)}. {centre_crop(self)}. alignment: mean squared "
            f"distance of the unit features of two views of a test image, each a "
            f"{random_crop(self.smallest, self.flip)}, over up to {self.pairs:,} images; smaller is closer. "
            "uniformity: log of the mean of exp(-2 squared distance) over all pairs of up to "
            f"{self.images:,} test images; smaller is more even (Wang and Isola 2020, arXiv:2005.10242, "
            "sec. 4.1; they pair views as their training drew them). rankme: exp of the entropy of the "
            f"singular values of up to {self.rank_images:,} training images' features, not centred (Garrido "
            "et al. 2023, arXiv:2210.02885, who take a projector's output where there is one); "
            "effective_rank: the same of centred features (Roy and Vetterli 2007). nmi and ari, percent: "
            "normalised mutual information and adjusted Rand index between the classes and as many k-means "
            f"clusters of unit features (best of {self.starts} starts, scikit-learn). {CAVEAT} No random "
            "draw."
        )

    def wants(self, backbone: Backbone, data: Classification, limit: int | None) -> tuple[Wanted, ...]:
        return self.wanted_of_both(data.limited(limit))

    def run(
        self, backbone: Backbone, data: Classification, seed: int, limit: int | None, ctx: Context
    ) -> Outcome:
        data = data.limited(limit)
        features = self.features(backbone, data, ctx)
        unit = normalize(_drawn(features.test, data.test, self.images), dim=1)
        bank = _drawn(features.train, data.train, self.rank_images)
        labels = features.test.labels[balanced(data.test.labels, self.images, seed=0)]
        singular = singular_values(bank)
        one, other = self._views(backbone, data.test, ctx)
        nmi, ari, clusters = self._clusters(unit, labels)
        return Outcome(
            metrics=(
                *_clustered(nmi, ari),
                *_spread_out(alignment(one, other), uniformity(unit)),
                number("rankme", rankme(singular), "RankMe"),
                number("effective_rank", effective_rank(bank), "effective rank"),
            ),
            curves=(_spectrum(singular),),
            effective={
                "clusters": clusters,
                "test_images": len(unit),
                "rank_images": len(bank),
                "dim": bank.shape[1],
            },
        )

    def _views(self, backbone: Backbone, images: ImageSet, ctx: Context) -> tuple[Tensor, Tensor]:
        """Unit features of two views of each of some images, [P, D] each."""
        rows = balanced(images.labels, self.pairs, seed=0)
        view = random_view(self.view, backbone.card, self.smallest, self.flip)
        found: list[Tensor] = []
        parts = [rows[low : low + BATCH] for low in range(0, len(rows), BATCH)]
        for part in ctx.track(parts, f"views of {backbone.label}", len(parts)):
            drawn = [views_of(images, [view, view], 0, 0, row)[0] for row in part]
            x = on_device(torch.stack([v for pair in drawn for v in pair]), view.normalise, ctx.device)
            found.append(frozen_forward(backbone.module, x, ctx.device, self.precision).cpu())
        unit = normalize(torch.cat(found), dim=1)
        return unit[0::2], unit[1::2]

    def _clusters(self, unit: Tensor, labels: Tensor) -> tuple[float, float, int]:
        """NMI and ARI, percent, and the clusters there are: fewer where features coincide."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

        classes = len(labels.unique())
        means = KMeans(classes, n_init=self.starts, random_state=0)
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct features than classes: said
            found = means.fit_predict(unit.numpy())
        nmi, ari = normalized_mutual_info_score(labels, found), adjusted_rand_score(labels, found)
        return 100 * float(nmi), 100 * float(ari), len(set(found.tolist()))


def _clustered(nmi: float, ari: float) -> tuple[Metric, Metric]:
    meaning = "how much k-means clusters and classes tell of each other"
    return (
        Metric(name="nmi", value=nmi, title="NMI", unit="%", better="", meaning=meaning),
        Metric(name="ari", value=ari, title="ARI", unit="%", better=""),
    )


def _spread_out(closeness: float, evenness: float) -> tuple[Metric, Metric]:
    """Describe the two that are read together, as a point in a plane."""
    return (
        Metric(
            name="alignment",
            value=closeness,
            title="alignment",
            meaning=CLOSE,
            unit="",
            better="lower",
            plane="x",
        ),
        Metric(
            name="uniformity",
            value=evenness,
            title="uniformity",
            meaning=EVEN,
            unit="",
            better="lower",
            plane="y",
        ),
    )


def _spectrum(singular: Tensor) -> Curve:
    """Describe singular values as shares of the first, largest first."""
    shares = (singular / singular[0].clamp(min=1e-300)).tolist()[:SHOWN]
    return Curve(name="spectrum", title="singular values", values=tuple(shares), along="place")


def _drawn(features: FeatureSet, images: ImageSet, count: int) -> Tensor:
    """Features of a class-balanced draw of the images, [min(count, N), D]."""
    rows = balanced(images.labels, count, seed=0)
    return features.rows(torch.tensor(rows, dtype=torch.long)).cpu()


TASKS = (Geometry(),)
