"""Calls from a pipe: `bcftools view -Ob ... | afml prepare --vcf -`."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from afml.core.errors import InputError

PIPE = Path("-")
"""Stands for what is piped in."""


@contextlib.contextmanager
def piped_in(paths: Sequence[Path], folder: Path) -> Iterator[tuple[Path, ...]]:
    """The paths, with a file in the place of the pipe, if it is named.

    What comes through a pipe is written to a file first, its owner's alone, and that is removed afterwards: its end
    is then checked like that of any file, and it can be read in parts and more than once.

    Args:
        paths: As they were given.
        folder: Where the file may stand.

    Raises:
        InputError: The pipe is named twice, or there is none; or what came through it is refused.
    """
    if PIPE not in paths:
        yield tuple(paths)
        return
    if list(paths).count(PIPE) > 1 or sys.stdin is None or sys.stdin.isatty():
        raise InputError("is no pipe, or named twice", where="--vcf -", cure="pipe one VCF.gz or BCF in")
    folder.mkdir(parents=True, exist_ok=True)
    held = folder / ".piped-in"
    try:
        with os.fdopen(os.open(held, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out, 1 << 20)
        try:
            yield tuple(held if path == PIPE else path for path in paths)
        except InputError as error:  # the file that it waited in is gone when this is read
            if error.where != str(held):
                raise
            raise InputError(error.problem, where="--vcf -", cure=error.cure) from None
    finally:
        held.unlink(missing_ok=True)
