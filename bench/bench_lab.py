"""How long lab_up.yml takes with a cached image, beside a play that does nothing; goal: under 5 s to SSH on five nodes.

Needs root, and a machine on which no lab is up: it brings one up and takes it down, in turns with the play.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from plays import ROOT, play

ROUNDS = 5
GOAL_S = 5.0
STATE = Path("/var/lib/callmaybe/lab")
NOTHING = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
"""


def main() -> int:
    """Prints the medians and their ratio; returns 0 where the goal is met."""
    if STATE.exists():
        sys.exit("a lab is up; take it down first: ansible-playbook playbooks/lab_down.yml")
    up, down = ROOT / "playbooks" / "lab_up.yml", ROOT / "playbooks" / "lab_down.yml"
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(NOTHING)
        file.flush()
        nothings, ups, downs = [], [], []
        try:
            play(up)  # builds the image where there is none
            play(down)
            for _ in range(ROUNDS):
                nothings.append(play(Path(file.name)))
                ups.append(play(up))
                downs.append(play(down))
        finally:
            play(down)
    nothing_s, up_s = statistics.median(nothings), statistics.median(ups)
    print(f"empty play      {nothing_s:.2f} s  (median of {ROUNDS}; {min(nothings):.2f} to {max(nothings):.2f})")
    print(f"lab_up.yml      {up_s:.2f} s  ({min(ups):.2f} to {max(ups):.2f}), five nodes answer on SSH")
    print(f"lab_down.yml    {statistics.median(downs):.2f} s  ({min(downs):.2f} to {max(downs):.2f})")
    print(f"ratio           {up_s / nothing_s:.1f}  (goal for lab_up.yml: under {GOAL_S:g} s)")
    return 0 if up_s < GOAL_S else 1


if __name__ == "__main__":
    sys.exit(main())
