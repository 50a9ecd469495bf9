"""Every error that the suite raises on purpose, as one tree. Free of torch.

HsaBenchError             the message says what was wanted, what was found, and what to do
├── UsageError            an option, field or name of the user's
├── DataError             data on disk that is not what was asked for
│   ├── BrokenPicture     a picture that cannot be opened
│   └── PretrainingError  settings and data that cannot be trained with
│       └── DamagedResume a file to go on from that cannot be read
├── CheckpointError       a file that is not loaded
│   └── Mismatch          its tensors do not fill the trunk
├── ReadError             a file that is not read at all; names its fault, not its path
│   ├── DamagedArchive    an archive that is not as torch.save writes it
│   └── UnsafePickle      a pickle that is damaged, or made to exhaust memory or time
│       └── ForbiddenClass  a pickle that names more than arrays and plain values
├── UnreadableResult      a file in the results folder that is not a result
│   └── NewerResult       one of a newer version
├── Unwritable            a file or folder that cannot be written, also an OSError
└── Diverged              a training whose numbers are no longer finite

All are ValueErrors, so that a caller who knows none of them can catch that.
"""

from __future__ import annotations

from typing import ClassVar


class HsaBenchError(ValueError):
    """The root of all; its message is meant for the user and needs no traceback."""

    exit_code: ClassVar[int] = 2
    """What a command ends with."""

    def __init__(self, message: str) -> None:
        super().__init__(_unwrapped(message, f"{type(self).__module__}.{type(self).__qualname__}: "))


def _unwrapped(message: str, name: str) -> str:
    """The message of an error in a loader process, which torch wraps in another with its traceback."""
    wrapped = message.startswith("Caught ") and "\nOriginal Traceback" in message
    return (message.rpartition(f"\n{name}")[2] or message).rstrip() if wrapped else message


class UsageError(HsaBenchError):
    """The user's mistake: the message names the option or field and the remedy."""


class DataError(HsaBenchError):
    """The data on disk is not what was asked for; the message names the file and the remedy."""


class BrokenPicture(DataError):
    """A picture that cannot be opened; the message names its file and the remedy."""


class PretrainingError(DataError):
    """Settings and data that cannot be pretrained with; the message names them and the remedy."""


class DamagedResume(PretrainingError):
    """A file to go on from that cannot be read; the training may begin anew."""


class CheckpointError(HsaBenchError):
    """A file that is not loaded; the message says what was expected, what was found, and what to do."""


class Mismatch(CheckpointError):
    """Tensors that do not fill a trunk.

    Attributes:
        share: The part of the trunk's tensors that match, in [0, 1].
    """

    def __init__(self, message: str, share: float) -> None:
        super().__init__(message)
        self.share = share


class ReadError(HsaBenchError):
    """A file that is not read; the message says why, and what to do. It does not name the file."""


class DamagedArchive(ReadError):
    """An archive that is not as torch.save writes it."""


class UnsafePickle(ReadError):
    """A pickle that is not read; the message says why."""


class ForbiddenClass(UnsafePickle):
    """A class that a file names and that is not read; the message is its dotted name."""


class UnreadableResult(HsaBenchError):
    """A file in the results folder that is not a result of this or an older schema."""


class NewerResult(UnreadableResult):
    """A result that a newer version wrote; it is left as it is."""


class Unwritable(HsaBenchError, OSError):
    """A file or folder that cannot be written; the message names it and the remedy, and what stays."""

    exit_code = 1


class Diverged(HsaBenchError):
    """A training whose loss or weights are no longer finite."""
