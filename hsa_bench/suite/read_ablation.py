"""An ablation's file, of either kind, read and checked."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.named_code import refuse_code
from hsa_bench.core.input.presets import find_preset, read_mapping
from hsa_bench.core.input.settings import validated
from hsa_bench.suite.ablation import Ablation
from hsa_bench.suite.branching import Branching

ABLATIONS = Path(__file__).parents[1] / "ablations"

KIND, BRANCHING = "kind", "branching"
"""The field that tells a branching ablation from one that tunes, which has no such field."""


def read_ablation(name: str, trusted: bool = False) -> Ablation | Branching:
    """Read an ablation by name or file.

    Args:
        name: As the user wrote it.
        trusted: Whether the file may name Python code.

    Raises:
        UsageError: No such ablation, a field is wrong, or a file that is not trusted names code.
    """
    path = find_preset(name, ABLATIONS, "ablation")
    fields = read_mapping(path, "fields such as dataset, methods, tuning")
    if KIND in fields and fields[KIND] != BRANCHING:
        raise UsageError(
            f"{path}, field {KIND}: write {BRANCHING}, or leave it out for an ablation that tunes; "
            f"not {fields[KIND]!r}"
        )
    of_kind: type[Ablation | Branching] = Branching if KIND in fields else Ablation
    ablation = validated(of_kind, fields, str(path))
    if not trusted:
        refuse_code(str(path), ablation.code())
    return ablation
