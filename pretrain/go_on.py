"""Going on where an earlier process stopped: all processes take up one resume file, or none does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.reads import Reads, noted_beside
from hsa_bench.core.errors import DamagedResume, PretrainingError
from hsa_bench.core.files import set_aside
from hsa_bench.core.processes import gathered_arrays, gathered_lists, rank
from pretrain.older_files import VERSION
from pretrain.progress import Progress, Resumable, State, check_writable, read_state


def go_on(resumable: Resumable, resume: Path, images: ImageSet, epochs: int, ctx: Context) -> Progress | None:
    """Take up the resume file, if there is one; refuse a place where none could be written.

    Args:
        resumable: What takes up the file's content.
        resume: The file; a damaged one is set aside.
        images: Trained on; what is read of them is noted beside the file.
        epochs: Of the whole training.
        ctx: Where it runs, and how it says what it does.

    Returns:
        How far the training is; None where it begins.

    Raises:
        PretrainingError: The file belongs to another training, not all processes see it, or none could be
            written there.
    """
    reads, noted, progress = Reads(images), noted_beside(resume), None
    if rank() == 0:
        check_writable(resume)
    state, fault = _state(resume, ctx.device)
    if faults := gathered_lists([fault] if fault else []):
        if rank() == 0:
            aside = set_aside(resume).name
            ctx.say(f"{faults[0]}; it is set aside as {aside}, and the training begins anew")
    elif state is not None:
        progress = resumable.take_up(state, resume, reads.go_on(noted))
        if rank() == 0:
            begun = state.identity["version"]
            by = "" if begun == VERSION else f", begun by version {begun} of pretraining (now {VERSION})"
            ctx.say(f"goes on after epoch {progress.epoch} of {epochs}{by}")
    done = progress.epoch if progress is not None else 0
    if len({*gathered_arrays(np.array([done])).tolist()}) > 1:
        raise PretrainingError(f"{resume}: not all processes see this file; put it where they share it")
    if rank() == 0:
        reads.note(noted)
    return progress


def _state(resume: Path, device: str) -> tuple[State | None, str]:
    """Read the resume file, if there is one; or say how it is damaged."""
    try:
        return (read_state(resume, device) if resume.exists() else None), ""
    except DamagedResume as error:
        return None, str(error)
