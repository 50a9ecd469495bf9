"""A map of the feature space: t-SNE of some test images (van der Maaten and Hinton 2008, JMLR 9:2579)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from eval_tasks._shared.one_thread import one_thread
from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet, balanced
from hsa_bench.core.features.extract import FeatureSet
from hsa_bench.core.files import whole_file
from hsa_bench.core.processes import rank, together

LEAST, MOST = 5, 1000
"""Images that are shown; fewer give no picture, more take longer than they show."""

ITERATIONS = 500
"""Half of scikit-learn's 1,000, and so half the time: 1 s for 500 images, 2 to 3 s for 1,000."""

PERPLEXITY = 30.0
SAME = 1e-6
"""Unit features whose entries differ by less count as equal."""


def leave_embedding(features: FeatureSet, images: ImageSet, ctx: Context) -> dict[str, Path]:
    """Write 2-D coordinates of up to `MOST` images, class-balanced, beside the result.

    The file holds `xy` [n, 2] float32, `label` [n] int64, `classes` [C] and `example` [n] str, and `method`,
    a phrase for captions. It is for looking at alone: no metric depends on it.

    Args:
        features: Of these images, in their order.
        images: Whose labels and names are kept.
        ctx: Where to write.

    Returns:
        The file by its name among the artefacts; nothing for features of which there is no map.
    """
    rows = balanced(images.labels, MOST, seed=0)
    unit = normalize(features.rows(torch.tensor(rows, dtype=torch.long)), dim=1).numpy()
    if not mappable(unit):
        return {}
    path = ctx.artefact("-embedding.npz")
    with together():  # so that all find the file
        if rank() == 0:
            with whole_file(path) as file:
                np.savez_compressed(
                    file,
                    xy=embedded(unit),
                    label=images.labels[rows],
                    classes=np.array(images.classes, np.str_),
                    example=np.array([images.examples[row] for row in rows], np.str_),
                    method=np.array(
                        f"t-SNE, perplexity {perplexity(len(unit)):g}, of {len(unit):,} test images"
                    ),
                )
    return {"embedding": path}


def mappable(unit: NDArray[np.float32]) -> bool:
    """Whether there are enough images, with at least two numbers each, that are not all the same."""
    count, dim = unit.shape
    return count >= LEAST and dim > 1 and float(np.ptp(unit, axis=0).max()) > SAME


def perplexity(count: int) -> float:
    """How many neighbours an image about has: `PERPLEXITY`, or what so few images allow."""
    return round(min(PERPLEXITY, (count - 1) / 3), 1)


def embedded(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """t-SNE from the first two principal components, the same bit for bit whenever it is repeated.

    Args:
        unit: Features, [n, D], unit length, so that distances order images as cosines do.

    Returns:
        Coordinates, [n, 2]; their scale and orientation mean nothing.
    """
    from sklearn.manifold import TSNE

    with one_thread():
        tsne = TSNE(
            n_components=2,
            perplexity=perplexity(len(unit)),
            init="pca",
            max_iter=ITERATIONS,
            random_state=0,
            n_jobs=1,
        )
        return np.asarray(tsne.fit_transform(unit), np.float32)
