"""The architecture of a file's tensors: the user's word, the file's own by the table, or by shapes."""

from __future__ import annotations

from hsa_bench.core.checkpoints.layout import Converted
from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.infer_arch import infer_arch
from hsa_bench.core.models.user_module import is_own


def choose_arch(converted: Converted, asked: str = "") -> str:
    """Return the architecture to build for a converted file.

    What a file states is a name to look up in the table of architectures. A Python function is imported
    only where the user names it, never because a file does.

    Args:
        converted: The trunk's tensors, with the architecture that the file states, if any.
        asked: The user's `--arch`; empty for none.

    Raises:
        UsageError: The file states a Python function or no name at all, or the shapes do not tell.
    """
    if asked:
        return asked
    stated = converted.arch
    if not stated:
        return infer_arch(converted.state)
    if not isinstance(stated, str):
        raise UsageError(
            f"the file states an arch that is a {type(stated).__name__}, not a name; give --arch"
        )
    if is_own(stated):
        raise UsageError(
            f"the file states the arch {stated}, a Python function; what a file names is not imported. "
            f"Where you know and trust that code, give --arch {stated}"
        )
    return stated
