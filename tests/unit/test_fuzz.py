"""A short, bounded run of the coverage-guided fuzzer; `make fuzz` runs it for longer."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
PROGRAM = Path(__file__).resolve().parents[1] / "fuzz" / "fuzz_read.py"


def test_no_bytes_break_a_reader() -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this Python or machine; make fuzz needs it too")
    command = [sys.executable, str(PROGRAM), "-max_total_time=10", "-seed=7"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=PROGRAM.parents[2])
    assert run.returncode == 0, run.stderr[-3000:]
