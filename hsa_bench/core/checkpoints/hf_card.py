"""The card of a model of Hugging Face, from the small files that are published beside its weights."""

from __future__ import annotations

import math

from pydantic import ValidationError

from hsa_bench.core.checkpoints.reading.safe_read import Payload
from hsa_bench.core.checkpoints.stated import given
from hsa_bench.core.errors import CheckpointError
from hsa_bench.core.input.settings import explain
from hsa_bench.core.models.preprocess import IMAGENET, UNNORMALISED, Preprocess

CARD, CONFIG = "preprocessor_config.json", "config.json"


def card_beside(payload: Payload) -> tuple[Preprocess, bool]:
    """Mean and deviation as published, and whether they are; else ImageNet's.

    Raises:
        CheckpointError: The file beside is not as transformers writes it.
    """
    about = payload.told(CARD)
    if about is None:
        return IMAGENET, False
    if about.get("do_normalize", True) is False:
        return UNNORMALISED, True
    for name in ("image_mean", "image_std"):
        if name not in about:
            raise CheckpointError(f"{CARD} beside it, field {name}: is missing; mend it or move it away")
    try:
        return Preprocess(mean=about["image_mean"], std=about["image_std"]), True
    except ValidationError as error:
        fault = explain(error)
        raise CheckpointError(f"{CARD} beside it, field image_{fault.field}: {fault.reason}") from error


def whole_number(payload: Payload, name: str) -> int | None:
    """A count in `config.json`; None where there is no such file or field.

    Raises:
        CheckpointError: It is none.
    """
    value = (payload.told(CONFIG) or {}).get(name)
    if value is None or (type(value) is int and 0 < value < 10_000):
        return value
    raise CheckpointError(f"{CONFIG} beside it, field {name}: is no count{given(value)}")


def epsilon(payload: Payload, usual: float) -> float:
    """The norms' epsilon in `config.json`, of the two that this suite builds.

    Raises:
        CheckpointError: It is another, with which the features would be others.
    """
    value = (payload.told(CONFIG) or {}).get("layer_norm_eps", usual)
    if isinstance(value, int | float):
        for known in (1e-6, 1e-12):
            if math.isclose(value, known, rel_tol=1e-3):
                return known
    raise CheckpointError(
        f"{CONFIG} beside it, field layer_norm_eps: networks here have 1e-6 or 1e-12{given(value)}"
    )
