"""Timing whole playbooks."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PING = Path(__file__).with_name("ping.yml")
BOUND_S = 300


def play(playbook: Path, *arguments: str) -> float:
    """Runs a playbook and returns its seconds; exits with what it printed where it fails."""
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook), *arguments]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    took_s = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return took_s
