"""How long partition.yml takes beside a bare ping play, on the nodes of the inventory; goal: at most 1.3 times.

`bench_partition.py [ansible-playbook arguments]`, such as `-i my.yml`; needs warm nodes where faults are allowed.
Both plays go over the same hosts with the same settings, in turns, so that what else the machine does hits both alike.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from plays import ROOT, play

ROUNDS = 7
GOAL = 1.3
PING = """
- hosts: nodes
  become: true
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - ansible.builtin.ping:
"""


def main() -> int:
    """Prints both medians and their ratio; returns 0 where the goal is met."""
    given = sys.argv[1:]
    partition, heal = ROOT / "playbooks" / "partition.yml", ROOT / "playbooks" / "heal.yml"
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(PING)
        file.flush()
        ping = Path(file.name)
        play(ping, *given)
        play(partition, "-e", "duration=20", *given)
        pings, partitions = [], []
        try:
            for number in range(ROUNDS):
                pings.append(play(ping, *given))
                partitions.append(play(partition, "-e", f"duration={20 + number}", *given))
        finally:
            play(heal, *given)
    ping_s, partition_s = statistics.median(pings), statistics.median(partitions)
    ratio = partition_s / ping_s
    print(f"ping play       {ping_s:.3f} s  (median of {ROUNDS}; {min(pings):.3f} to {max(pings):.3f})")
    print(f"partition.yml   {partition_s:.3f} s  ({min(partitions):.3f} to {max(partitions):.3f})")
    print(f"ratio           {ratio:.2f}  (goal: at most {GOAL})")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
