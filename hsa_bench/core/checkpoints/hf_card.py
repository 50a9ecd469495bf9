"""The card of a model of Hugging Face, from the small files that are published beside its weights."""

from __future__ import annotations

from hsa_bench.core.checkpoints.reading.safe_read import Payload
from hsa_bench.core.models.preprocess import IMAGENET, Preprocess

NOT_FOUND = "ImageNet's mean and deviation: no preprocessor_config.json beside the file"


def card_beside(payload: Payload) -> tuple[Preprocess, tuple[str, ...]]:
    """Mean and deviation as published, and what was assumed where nothing was.

    Raises:
        ValueError: The file beside is not as transformers writes it.
    """
    about = payload.beside.get("preprocessor_config.json")
    if about is None:
        return IMAGENET, (NOT_FOUND,)
    if about.get("do_normalize", True) is False:
        return Preprocess(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), ()
    try:
        mean, std = tuple(map(float, about["image_mean"])), tuple(map(float, about["image_std"]))
        return Preprocess(mean=mean, std=std), ()  # type: ignore[arg-type]  # pydantic counts them
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"preprocessor_config.json beside it: image_mean and image_std are amiss ({error})"
        ) from error
