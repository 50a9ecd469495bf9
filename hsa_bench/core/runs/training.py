"""What surrounds a training: test pictures are decoded before it, and it goes on once broken ones are mended.

Scratch files are found by what is trained, not by what is tested: their names are the run's key with names
and labels of the training part in place of the data's fingerprint. Whether every picture that was learnt from
is what it was, `data/reads.py` knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hsa_bench.core.context import SCRATCH, Context
from hsa_bench.core.data.decode_check import check_decoding
from hsa_bench.core.data.detection.detection_data import DetectionData
from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import Images
from hsa_bench.core.data.reads import Reads, noted_beside, reads_of
from hsa_bench.core.errors import BrokenPicture
from hsa_bench.core.processes import rank, together
from hsa_bench.core.results.result import RunSpec


@contextmanager
def training_on(data: Any, spec: RunSpec, ctx: Context) -> Iterator[Context]:
    """Decode the test pictures; then give a training its scratch files, if it may go on from them.

    Args:
        data: What the task opened.
        spec: Of the run.
        ctx: Of the run.

    Yields:
        The run's context, with a place for scratch files that other test pictures do not change.

    Raises:
        BrokenPicture: A test picture, before anything is done; or a training picture, when it is met: then
            the message names all that are broken, and the training goes on once they are mended.
    """
    train, test = _pictures(data, spec.limit)
    reads = reads_of(data)
    if reads is not None:
        trained = spec.data.model_copy(update={"fingerprint": reads.outline})
        key = spec.model_copy(update={"data": trained}).key
        ctx = replace(ctx, scratches=ctx.artefacts.with_name(key))
    with together():
        if rank() == 0 and test is not None:
            check_decoding(test, ctx, "test pictures")
        if rank() == 0 and reads is not None:
            _settle(reads, ctx.scratches)
    try:
        yield ctx
    except BrokenPicture:
        if rank() == 0 and train is not None:
            check_decoding(train, ctx, "training pictures")
        raise


def remove_scratch(*prefixes: Path) -> None:
    """Remove what helped a run that has its result; a prefix without a name has none."""
    for prefix in filter(lambda prefix: prefix.name, prefixes):
        for left in (*prefix.parent.glob(f"{prefix.name}.*{SCRATCH}"), noted_beside(prefix)):
            left.unlink(missing_ok=True)


def _settle(reads: Reads, prefix: Path) -> None:
    """Remove scratch files of a training that read other pictures, and note what this one reads."""
    if reads.in_files:
        if not reads.go_on(noted_beside(prefix)):
            remove_scratch(prefix)
        reads.note(noted_beside(prefix))


def _pictures(data: Any, limit: int | None) -> tuple[ImageSet | Images | None, ImageSet | Images | None]:
    """What is trained on, and what is tested on, as far as it is known."""
    if isinstance(data, Classification):
        drawn = data.limited(limit)
        return drawn.train, drawn.test
    if isinstance(data, DetectionData):
        few = data.limited(limit)
        return few.train.images, few.val.images
    return None, None
