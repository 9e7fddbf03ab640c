"""Starts programs: one that is waited for, with a bound, or one that outlives us."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

from ansible.module_utils.jepsen_lab_plan import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def run(argv: Sequence[str], *, stdin: str = "", timeout_s: float = 30, check: bool = True) -> str:
    """Runs a program to its end.

    Returns:
        What it printed to its standard output.

    Raises:
        LabError: It is missing, takes longer than the bound or, with `check`, exits with anything but 0.
    """
    words = shlex.join(argv)
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed; `{words}` was to be run.") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"`{words}` did not end within {timeout_s:.0f} s.") from None
    if check and done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or "nothing"
        raise LabError(f"`{words}` ended with status {done.returncode} and printed: {said}")
    return done.stdout


def start(argv: Sequence[str], log: Path, *, pass_fds: Sequence[int] = ()) -> None:
    """Starts a program that outlives us: a session of its own, and none of our files held open."""
    with log.open("ab") as out:
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True, pass_fds=pass_fds
        )
