"""Reference vectors of the repository: what they are and where from stands in tests/vectors/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

VECTORS = Path(__file__).parents[1] / "vectors"


def expected(name: str) -> Any:
    """The reference implementation's numbers."""
    return json.loads((VECTORS / "expected.json").read_text())[name]


def tensors(name: str) -> dict[str, Tensor]:
    """The arrays of an input file."""
    with np.load(VECTORS / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}
