"""An evaluator that ends only if another one runs at the same time."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic.dataclasses import dataclass

from hsa_bench.api import SETTINGS, Backbone
from my_lab.my_eval import Norm

NAMES = ("meets",)
PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Meets(Norm):
    """Leaves a file beside its flag, by the weights it measures, and waits for the other's."""

    def misbehave(self, backbone: Backbone) -> None:
        place = Path(self.flag)
        place.with_name(f"{place.name}.{backbone.weights}").touch()
        end = time.monotonic() + PATIENCE
        while len(list(place.parent.glob(f"{place.name}.*"))) < 2:
            if time.monotonic() > end:
                raise TimeoutError("nobody came")
            time.sleep(0.05)


TASKS = (Meets(name="meets"),)
