"""The architecture of a file's tensors: the user's word, the file's own by the table, or by shapes."""

from __future__ import annotations

from hsa_bench.core.checkpoints.layout import Converted
from hsa_bench.core.checkpoints.stated import check_text, given
from hsa_bench.core.errors import UsageError
from hsa_bench.core.models.architectures import check_width, in_table
from hsa_bench.core.models.infer_arch import infer_arch
from hsa_bench.core.models.named_models import plain_name
from hsa_bench.core.models.user_module import is_own


def choose_arch(converted: Converted, asked: str = "") -> str:
    """Return the architecture to build for a converted file.

    What a file states is a name to look up in the table of architectures: this suite's own, timm's and
    torchvision's. A Python function is imported only where the user names it, never because a file does.

    Args:
        converted: The trunk's tensors, with the architecture that the file states, if any.
        asked: The user's `--arch`; empty for none.

    Raises:
        UsageError: The file states a Python function, an impossible network, or no name of the table, or
            the shapes do not tell.
    """
    if asked:
        return plain_name(asked)
    stated = converted.arch
    if stated is None or stated == "":
        return infer_arch(converted.state)
    if not isinstance(stated, str):
        raise UsageError(
            f"field arch: the file states an arch that is a {type(stated).__name__}, not a name; give --arch"
        )
    try:
        check_text(stated)
    except ValueError as error:
        raise UsageError(f"field arch: {error}{given(stated)}; give --arch") from error
    if is_own(stated):
        raise UsageError(
            f"field arch: the file states the arch {stated}, a Python function; what a file names is not "
            f"imported. Where you know and trust that code, give --arch {stated}"
        )
    arch = plain_name(stated)
    if not in_table(arch):
        raise UsageError(
            f"field arch: the file states the arch {stated!r}, which is none of this suite, of timm or of "
            "torchvision; give --arch"
        )
    try:
        check_width(arch)
    except UsageError as error:
        raise UsageError(
            f"field arch: the file states what cannot be, {str(error).removeprefix('--arch ')}; give --arch"
        ) from error
    return arch
