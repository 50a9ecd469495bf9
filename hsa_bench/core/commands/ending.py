"""Every error ends a command in one sentence and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from hsa_bench.core.commands.last_word import last_word
from hsa_bench.core.commands.streams import output_fault, take_any_text
from hsa_bench.core.errors import HsaBenchError
from hsa_bench.core.printable import printable


@contextmanager
def exit_with_its_message(*others: type[Exception], out: Path | None = None) -> Iterator[None]:
    """End every error in one sentence and an exit code, as every command does.

    2, or the error's own, for an error of the suite; 1 for one that nobody foresaw, whose traceback is kept
    in a file that the sentence names, and for a standard output that cannot be written.

    Args:
        others: Further exceptions that are the user's to mend, e.g. OSError.
        out: The run's folder, if there is one, for that file.
    """
    take_any_text()
    mended: tuple[type[Exception], ...] = (HsaBenchError, *others)
    try:
        yield
        if fault := output_fault():
            _leave(f"standard output cannot be written ({fault})", 1)
    except BrokenPipeError:
        raise  # nobody reads on: nothing is wrong
    except Exception as error:
        if isinstance(error, OSError) and (fault := output_fault(error)):
            _leave(f"standard output cannot be written ({fault})", 1)
        if isinstance(error, mended):
            _leave(str(error), getattr(error, "exit_code", 2))
        _leave(last_word(error, out), 1)


def _leave(words: str, code: int) -> NoReturn:
    with suppress(OSError):  # where nothing can be said, the exit code speaks
        print(f"error: {printable(words)}", file=sys.stderr)
    raise SystemExit(code) from None
