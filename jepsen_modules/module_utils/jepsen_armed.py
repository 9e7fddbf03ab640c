"""All kinds of faults on this node, for jepsen_status and jepsen_heal: what is armed, and the end of all of it.

A kind is a file that offers ``KIND`` and three functions of the module: ``found``, the windows on this node, ``end``,
which removes them in whatever state they are and says so in sentences (in check mode it only says), and ``left``, which
looks for what is there still.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils import jepsen_cut, jepsen_process, jepsen_shaped
from ansible.module_utils.jepsen_nft import BACKEND, Nft
from ansible.module_utils.jepsen_node import tool

# Shaping first: a queue lets go of what it holds before another kind's hook is removed.
KINDS = (jepsen_shaped, jepsen_cut, jepsen_process)
DELETE = "add table inet jepsen\ndelete table inet jepsen\n"


def found(module: Any) -> tuple[list[dict[str, Any]], list[str]]:  # noqa: ANN401 - AnsibleModule
    """Reads back the windows of all kinds.

    Returns:
        ``(windows, [what kept a kind from being read, a sentence each])``.
    """
    windows: list[dict[str, Any]] = []
    wrong = []
    for kind in KINDS:
        try:
            windows += kind.found(module)
        except Exception as error:  # noqa: BLE001 - whatever it is, it keeps no other kind from being read
            wrong.append(f"{kind.KIND}: {_said(error)}")
    return windows, wrong


def end(module: Any) -> tuple[list[str], list[str]]:  # noqa: ANN401 - AnsibleModule
    """Ends all kinds, then deletes the table, also one that holds what nobody here wrote.

    Returns:
        ``([what was removed, a sentence each], [what went wrong, a sentence each])``. What went wrong may have become
        right by a later step: ``left`` knows.
    """
    actions: list[str] = []
    wrong = []
    for name, step in [*((kind.KIND, kind.end) for kind in KINDS), ("table", _end_table)]:
        try:
            actions += step(module)
        except Exception as error:  # noqa: BLE001 - whatever it is, it keeps no other kind from being ended
            wrong.append(f"{name}: {_said(error)}")
    return actions, wrong


def left(module: Any) -> list[str]:  # noqa: ANN401 - AnsibleModule
    """Looks for what is there still; a kind that cannot look counts as left."""
    remains: list[str] = []
    for name, look in [*((kind.KIND, kind.left) for kind in KINDS), ("table", _table)]:
        try:
            remains += look(module)
        except Exception as error:  # noqa: BLE001 - the other kinds are looked for all the same
            remains.append(f"{name}: cannot look ({_said(error)})")
    return remains


def backends(windows: list[dict[str, Any]]) -> str:
    """Names what the windows are made of, each once; that of partitions where there are none."""
    return " ".join(dict.fromkeys(window["backend"] for window in windows)) or BACKEND


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _table(module: Any) -> list[str]:  # noqa: ANN401 - AnsibleModule
    return ["the table inet jepsen"] if Nft(tool(module, "nft", "nftables")).read() is not None else []


def _end_table(module: Any) -> list[str]:  # noqa: ANN401 - AnsibleModule
    if not _table(module):
        return []
    if not module.check_mode:
        Nft(tool(module, "nft", "nftables")).commit(DELETE)
    return ["delete the table inet jepsen"]
