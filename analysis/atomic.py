"""Writes a whole file or none."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from analysis.run_folder import RunError


def write_atomically(path: Path, data: bytes) -> None:
    """Puts `data` at `path`; a reader sees the old file or the new one, and a crash leaves one of them.

    Raises:
        RunError: If the file cannot be written, with what the system said.
    """
    try:
        _replace(path, data)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror}); free some space or fix its permissions"
        ) from None


def _replace(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp's 0600 would hide the file from colleagues
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
