# ruff: noqa: INP001 - Ansible loads plugins by path
"""The action jepsen_clock: how far a node's clock is from the controller's, and in which boot the node is.

A round trip over the connection that is there anyway: the controller's clock before, the node's, the controller's
after. The node read its clock somewhere between, so half a round trip bounds the error, and the shortest of a few trips
bounds it best (as NTP chooses among its samples, RFC 5905 section 10).

Takes `trips` (5). Returns `offset_ns` (the node's clock less the controller's), `error_ns` (so near is the true one),
`round_trips_ns`, `boot_id`, and `synchronized`: whether NTP keeps the node's clock, null where nobody says.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

MOST_TRIPS = 100
READ_CLOCK = "date +%s%N"
# Asked apart from the clock: systemd may have to start a service to answer.
ASK_ABOUT = (
    "cat /proc/sys/kernel/random/boot_id; "
    "timeout 3 timedatectl show --property=NTPSynchronized --value 2>/dev/null || "
    "timeout 3 chronyc -n tracking 2>/dev/null | sed -n 's/^Leap status *: Normal$/yes/p; s/^Leap status *: Not.*/no/p'"
)


class ActionModule(ActionBase):
    """What Ansible loads."""

    _requires_connection = True
    _VALID_ARGS: ClassVar[frozenset[str]] = frozenset({"trips"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Measures; see the module's text."""
        super().run(tmp, task_vars)
        trips = int(self._task.args.get("trips", 5))
        if not 1 <= trips <= MOST_TRIPS:
            raise AnsibleActionFail(f"jepsen_clock: trips is {trips}: expected 1 to {MOST_TRIPS}")
        boot_id, _, kept = self._ask(ASK_ABOUT).partition("\n")  # also opens the connection, before the clock counts
        measured = [self._trip() for _ in range(trips)]
        round_trip_ns, offset_ns = min(measured)
        return {
            "changed": False,
            "offset_ns": offset_ns,
            "error_ns": round_trip_ns // 2,
            "round_trips_ns": [trip_ns for trip_ns, _ in measured],
            "boot_id": boot_id.strip(),
            "synchronized": {"yes": True, "no": False}.get(kept.strip()),
        }

    def _trip(self) -> tuple[int, int]:
        """Returns the length of a round trip, and the offset if the node read its clock in the middle of it."""
        began_ns, began = time.time_ns(), time.monotonic_ns()
        there_ns = int(self._ask(READ_CLOCK))
        round_trip_ns = time.monotonic_ns() - began
        return round_trip_ns, there_ns - (began_ns + round_trip_ns // 2)

    def _ask(self, command: str) -> str:
        told = self._low_level_execute_command(command, sudoable=False)
        if told["rc"] != 0 and not told["stdout"].strip():
            raise AnsibleActionFail(f"jepsen_clock: `{command}` failed on the node: {told['stderr'].strip()}")
        return str(told["stdout"])
