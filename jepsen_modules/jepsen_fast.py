"""Ends all shaping on one node; DOCUMENTATION says more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: jepsen_fast
short_description: Ends all shaping that this project armed on this node
description:
  - Removes the windows of jepsen_shape, jepsen_slow and jepsen_flaky with their rules and queues, whatever state they
    are in, and looks whether they are gone. Partitions and other faults stay.
options: {}
attributes:
  check_mode:
    support: full
    description: Says what would end.
  diff_mode:
    support: full
    description: Shows the windows before and after.
author: the Call Me Maybe authors
"""

EXAMPLES = r"""
- name: End all shaping
  jepsen_fast:
"""

RETURN = r"""
changed:
  description: Whether there was something to end.
  type: bool
  returned: always
actions:
  description: What was done, or would be in check mode, a sentence each.
  type: list
  elements: str
  returned: success
windows:
  description: The windows that were armed, with what they did, also those that had ended by themselves.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: Name., type: str}
    title: {description: What a person calls it., type: str}
    from_ns: {description: "Begin, nanoseconds since the epoch.", type: int}
    until_ns: {description: "End, or null for never.", type: int}
    shape: {description: "What was done to packets, shares in percent.", type: dict}
    ports: {description: The ports that were shaped; empty for all., type: list}
    peers: {description: "For each peer on whose link this node shaped, its addresses.", type: dict}
    counts: {description: "How many packets were shaped, and lost.", type: dict}
    backend: {description: "What shaped, netem or userspace.", type: str}
backend:
  description: What shaped, C(netem), C(userspace) or both; null where nothing did.
  type: str
  returned: success
started_at_ns:
  description: This node's clock when the module began.
  type: int
  returned: success
applied_at_ns:
  description: This node's clock when all was gone; null where there was nothing to end.
  type: int
  returned: success
"""

import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.jepsen_module import run
from ansible.module_utils.jepsen_shaped import end, found, left
from ansible.module_utils.jepsen_shaping import ShapingError

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def fast(module: AnsibleModule) -> dict[str, Any]:
    """Does the module's work and returns its result."""
    started_at_ns = time.time_ns()
    # What we cannot read (somebody edited it) is ended all the same.
    try:
        windows = found(module)
    except (ShapingError, ValueError, KeyError, TypeError) as error:
        windows = []
        module.warn(f"the windows cannot be read, and are removed unread: {error}")
    actions = end(module)
    still = [] if module.check_mode else left(module)
    if still:
        raise ShapingError(
            f"still there after its removal: {', '.join(still)}; run it again when nobody else arms faults"
        )
    return {
        "changed": bool(actions),
        "actions": actions,
        "windows": windows,
        "backend": " ".join(sorted({window["backend"] for window in windows})) or None,
        "started_at_ns": started_at_ns,
        "applied_at_ns": time.time_ns() if actions and not module.check_mode else None,
        "diff": {"before": "".join(f"{window['name']}: {window['title']}\n" for window in windows), "after": ""},
    }


def main() -> None:
    """Runs the module."""
    run(fast, {})


if __name__ == "__main__":
    main()
