"""Where an inventory was given, the lab's tests bring up no lab; held without one, and without touching one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
# A machine that could hold a lab, and has none. Whatever would be played is only noted.
STAND_IN = """
import os, subprocess
from pathlib import Path
from tests.lab import machine
os.geteuid = lambda: 0
machine.STATE = Path(__file__).parent / "no-lab"
machine.ansible = lambda *words, **more: subprocess.CompletedProcess(words, 0, "", "")
machine.playbook = lambda name, **more: print("PLAYED", name, flush=True)
"""


def test_a_lab_is_not_brought_up_where_an_inventory_was_given(tmp_path: Path) -> None:
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    chosen = ["tests/lab/test_lab.py", "tests/lab/test_lab_leaves_nothing.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "stand_in", "-p", "no:cacheprovider", "-s", "-rsE", *chosen],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "CALLMAYBE_TEST_INVENTORY": str(ROOT / "inventory/lab.yml")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "PLAYED" not in done.stdout
    assert " passed" not in done.stdout.splitlines()[-1]
    assert "names nodes of a lab, and no lab is up; bring it up or unset the variable" in done.stdout
    assert "CALLMAYBE_TEST_INVENTORY is given, so the lab is left alone; unset it to run this test" in done.stdout
