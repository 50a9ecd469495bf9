"""A data set by name, by `imagefolder:DIR`, or by the dotted path of a module that defines DATASET."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from hsa_bench.core import registry
from hsa_bench.core.data.datasets import _imagefolder
from hsa_bench.core.data.image_set import Classification, DatasetSpec
from hsa_bench.core.data.manifest import shown
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.user_path import user_path

PACKAGE = "hsa_bench.core.data.datasets"


@lru_cache(maxsize=2)
def open_dataset(name: str, root: Path) -> Classification:
    """Open a labelled image set.

    Args:
        name: A name from `--list`, `imagefolder:DIR`, or a dotted path.
        root: Folder below which named data sets are looked for.

    Raises:
        DataError: Files are missing or broken.
        UsageError: No such data set; the message suggests one.
    """
    if shown(name) != name:
        raise UsageError(f"{shown(name)}: a path that is not UTF-8; rename the folder, or give a link to it")
    if name.startswith("imagefolder:"):
        return _imagefolder.load(user_path(name.removeprefix("imagefolder:")), name)
    if name == "imagefolder":
        raise UsageError(f"{name}: write imagefolder:DIR, a folder with train/ and test/ or val/")
    module = registry.load(PACKAGE, name)
    spec = getattr(module, "DATASET", None)
    if not isinstance(spec, DatasetSpec):
        raise UsageError(f"--dataset {name}: {module.__name__} defines no DATASET: DatasetSpec")
    return spec.load(root)
