"""Partitions on this node, as jepsen_status and jepsen_heal see them: read back, ended, looked for again."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.jepsen_nft import BACKEND, Nft, NftError, own_chains, parse, script, windows_of
from ansible.module_utils.jepsen_node import tool

KIND = "partition"


def title_of(window: dict[str, Any]) -> str:
    """Says what one node's part of a window does; the whole cluster's title is not kept in the rules."""
    ports = f" on {', '.join(window['ports'])}" if window["ports"] else ""
    does = "is not heard by" if window["direction"] == "out" else "refuses" if window["reject"] else "does not hear"
    return f"{does} {' '.join(window['peers'])}{ports}"


def found(module: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - AnsibleModule
    """Reads the windows back from the rules.

    Returns:
        ``[{kind, name, title, from_ns, until_ns, peers, direction, ports, reject, dropped, counts,
        backend}]``.

    Raises:
        NftError: nft could not say, or what it says cannot be read.
        RefusedError: there is no nft.
    """
    listing = Nft(tool(module, "nft", "nftables")).read()
    windows = windows_of(parse(listing)) if listing else []
    return [{"kind": KIND, "title": title_of(window), **window, "backend": BACKEND} for window in windows]


def end(module: Any) -> list[str]:  # noqa: ANN401 - AnsibleModule
    """Removes the chains of partitions, whatever is in them, and says what it removed; in check mode only says."""
    nft = Nft(tool(module, "nft", "nftables"))
    listing = nft.read()
    old = own_chains(listing)
    if not old:
        return []
    try:
        windows = windows_of(parse(listing or '{"nftables": []}'))
        actions = [f"end {w['name']}, which dropped {w['counts']['dropped_packets']} packets" for w in windows]
    except NftError as error:  # somebody edited it: it goes all the same
        actions = [f"end partitions that cannot be read back: {error}"]
    if not module.check_mode:
        nft.commit(script([], old))
    return actions or ["delete the chain partition, which held no window"]


def left(module: Any) -> list[str]:  # noqa: ANN401 - AnsibleModule
    """Looks whether a chain of partitions is still there."""
    listing = Nft(tool(module, "nft", "nftables")).read()
    return [f"the chain {name} of the table inet jepsen" for name in own_chains(listing)]
