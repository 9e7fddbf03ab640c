"""The modules of shaping on a node: what was asked for, compared with what is armed, by whichever back end.

``jepsen_shape``, ``jepsen_slow`` and ``jepsen_flaky`` differ in what they do to packets only. All windows of the kind
``shape`` are armed together: the ones of a new call stand in the place of the ones before.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.jepsen_address import (
    own_addresses,
    peer_addresses,
    refuse_controllers,
    resolve,
    ssh_clients,
)
from ansible.module_utils.jepsen_netem import Netem
from ansible.module_utils.jepsen_node import NODE_ARGUMENTS, check_node, given_addresses, tool
from ansible.module_utils.jepsen_shaping import (
    KIND,
    NETEM,
    USERSPACE,
    Backend,
    Shaped,
    ShapingError,
    check_links,
    make_links,
    percents,
    read_ports,
    read_shape,
)
from ansible.module_utils.jepsen_userspace import Userspace, run_with
from ansible.module_utils.jepsen_window import (
    SECOND_NS,
    WINDOW_OPTIONS,
    RefusedError,
    bounds_from_now,
    check_windows,
    refuse_forbidden,
)

AUTO = "auto"


def arguments(name: str, shape: dict[str, Any], window: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the argument_spec of a module that arms shaping.

    Args:
        name: of the window by hand.
        shape: the module's options of the shape by hand.
        window: options of each window, besides those that all have.
    """
    suboptions = {
        **WINDOW_OPTIONS,
        "links": {"type": "dict", "required": True},
        "ports": {"type": "list", "elements": "str", "default": []},
        **window,
    }
    return {
        **NODE_ARGUMENTS,
        "faults_allowed": {"type": "dict", "default": {}},
        "controllers": {"type": "list", "elements": "str", "default": []},
        "backend": {"type": "str", "default": AUTO, "choices": [AUTO, NETEM, USERSPACE]},
        **shape,
        "from": {"type": "list", "elements": "str", "default": []},
        "to": {"type": "list", "elements": "str", "default": []},
        "both": {"type": "bool", "default": False},
        "ports": {"type": "list", "elements": "str", "default": []},
        "name": {"type": "str", "default": name},
        "duration_s": {"type": "str", "default": "600"},
        "windows": {"type": "list", "elements": "dict", "options": suboptions},
    }


def backends(module: Any) -> dict[str, Backend]:  # noqa: ANN401 - AnsibleModule
    """Returns the back ends by name, the preferred one first."""
    runners = [tool(module, *names) for names in (("nft", "nftables"), ("tc", "iproute2"), ("ip", "iproute2"))]
    return {
        NETEM: Netem(*runners, tool(module, "unshare", "util-linux")),
        USERSPACE: Userspace(run_with(module)),
    }


def choose(asked: str, known: dict[str, Backend]) -> Backend:
    """Takes the back end that was asked for, or the first that this node has; raises ShapingError."""
    missing = {}
    for name, backend in known.items():
        if asked in (AUTO, name):
            why = backend.missing()
            if why is None:
                return backend
            missing[name] = why
    wanted = "any back end" if asked == AUTO else f"backend: {asked}"
    said = "; ".join(f"{name}: {why}" for name, why in missing.items()) or f"known: {', '.join(known)}"
    raise ShapingError(f"this node cannot shape with {wanted}: {said}")


def wanted_windows(parameters: dict[str, Any], options: list[str], now_ns: int) -> list[dict[str, Any]]:
    """Reads the windows: the given ones, or the one by hand.

    Args:
        parameters: of the module.
        options: which of them make the shape of windows that have none of their own.
        now_ns: this node's clock.

    Returns:
        ``[{name, title, from_ns, until_ns, links, ports (tuple), shape (Shape)}]``.

    Raises:
        RefusedError: something in it cannot be.
    """
    given = parameters["windows"]
    own = {name: parameters[name] for name in options}
    if given is None:
        links = make_links(parameters["nodes"], parameters["from"], parameters["to"], both=parameters["both"])
        bounds = bounds_from_now(parameters["duration_s"], now_ns)
        given = [{"name": parameters["name"], "title": "", **bounds, "links": links, "ports": parameters["ports"]}]
    check_windows(given, now_ns)
    windows = []
    for window in given:
        check_links(window["links"], parameters["nodes"])
        try:
            shape, ports = read_shape(window.get("shape") or own), read_ports(window["ports"])
        except RefusedError as error:
            raise RefusedError(f"window {window['name']}: {error}") from error
        title = window["title"] or str(shape)
        kept = {key: window[key] for key in ("name", "from_ns", "until_ns", "links")}
        windows.append({**kept, "title": title, "shape": shape, "ports": ports})
    return windows


def find_addresses(module: Any, windows: list[dict[str, Any]]) -> tuple[dict[str, list[str]], list[str]]:  # noqa: ANN401
    """Resolves every peer that is on a link (so that all nodes refuse alike), and the controllers."""
    named = {node for window in windows for listener, some in window["links"].items() for node in (listener, *some)}
    peers = [node for node in module.params["nodes"] if node in named and node != module.params["node"]]
    known = resolve(set(module.params["controllers"]))
    for controller, some in known.items():
        if not some:
            raise RefusedError(f"controllers has {controller!r}, which has no address here; give its address")
    controllers = list(dict.fromkeys(ssh_clients() + [address for some in known.values() for address in some]))
    addresses = peer_addresses(peers, given_addresses(module.params), own_addresses(tool(module, "ip", "iproute2")))
    refuse_controllers(addresses, controllers)
    return addresses, controllers


def part_of(node: str, backend: str, window: dict[str, Any], addresses: dict[str, list[str]]) -> Shaped:
    """Works out one node's part of a window: its listeners where it shapes as it speaks, else its speakers."""
    if backend == NETEM:
        peers = [listener for listener, speakers in window["links"].items() if node in speakers]
    else:
        peers = window["links"].get(node, [])
    until_s = None if window["until_ns"] is None else window["until_ns"] // SECOND_NS
    return Shaped(
        name=window["name"],
        title=window["title"],
        shape=window["shape"],
        peers={peer: addresses[peer] for peer in peers},
        ports=window["ports"],
        from_s=window["from_ns"] // SECOND_NS,
        until_s=until_s,
    )


def _line(name: str, from_s: int, until_s: int | None, shape: Any, peers: dict[str, list[str]], ports: Any) -> str:  # noqa: ANN401, PLR0913, PLR0917
    said = " ".join(f"{peer}({' '.join(sorted(some))})" for peer, some in sorted(peers.items()))
    return f"{name} {from_s} to {until_s} {shape} {said} {' '.join(ports)}".rstrip()


def describe(windows: list[Shaped]) -> list[str]:
    """Writes what is compared of wanted windows, one a line, those without a part on this node left out."""
    return [_line(w.name, w.from_s, w.until_s, w.shape, w.peers, w.ports) for w in windows if w.peers]


def describe_found(windows: list[dict[str, Any]]) -> list[str]:
    """Writes the same of windows that were read back."""
    return [
        _line(
            w["name"],
            w["from_ns"] // SECOND_NS,
            None if w["until_ns"] is None else w["until_ns"] // SECOND_NS,
            w["shape"],
            w["peers"],
            w["ports"],
        )
        + (" BROKEN" if "broken" in w else "")
        for w in windows
    ]


def keep_begin(window: dict[str, Any], part: Shaped, found: list[dict[str, Any]]) -> None:
    """Lets a window by hand that is armed just so, and only ends at another time, keep its begin: it goes on."""
    for other in found:
        alike = (other["name"], other["peers"], tuple(other["ports"])) == (part.name, part.peers, part.ports)
        if alike and other["from_ns"] <= window["from_ns"]:
            window["from_ns"] = other["from_ns"]


def arm(module: Any, options: list[str]) -> dict[str, Any]:  # noqa: ANN401 - AnsibleModule
    """Does the work of a module that arms shaping, and returns its result.

    Raises:
        RefusedError, AddressError, ShapingError, NftError: it could not be done.
    """
    started_at_ns = time.time_ns()
    wrong = check_node(module.params)
    if wrong:
        raise RefusedError(wrong)
    refuse_forbidden(module.params)
    node = module.params["node"]
    windows = wanted_windows(module.params, options, started_at_ns)
    addresses, controllers = find_addresses(module, windows)
    known = backends(module)
    backend = choose(module.params["backend"], known)
    found = backend.found()
    if module.params["windows"] is None:
        keep_begin(windows[0], part_of(node, backend.name, windows[0], addresses), found)
    parts = [part_of(node, backend.name, window, addresses) for window in windows]
    before, after = describe_found(found), describe(parts)
    others = [other for other in known.values() if other is not backend and other.left()]
    actions = [f"end {line}" for line in before if line not in after] + [
        f"arm {line}" for line in after if line not in before
    ]
    if not actions and any(window.get("controllers", controllers) != controllers for window in found):
        actions = ["renew the rules that exempt controllers"]
    if actions:
        backend.arm(parts, controllers, check=module.check_mode)
    for other in others:
        actions += [f"end all shaping by {other.name}"] if module.check_mode else other.end()
    return {
        "changed": bool(actions),
        "actions": actions,
        "windows": [
            {**window, "shape": percents(window["shape"]), "ports": list(window["ports"]), "peers": part.peers}
            for window, part in zip(windows, parts)
        ],
        "controllers": controllers,
        "backend": backend.name,
        "started_at_ns": started_at_ns,
        "applied_at_ns": time.time_ns() if actions and not module.check_mode else None,
        "diff": {"before": "".join(f"{x}\n" for x in before), "after": "".join(f"{x}\n" for x in after)},
    }


def found(module: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - AnsibleModule
    """Reads back the windows of shaping on this node, with ``kind`` and ``backend``; shapes in percent."""
    return [
        {
            **window,
            "kind": KIND,
            "backend": backend.name,
            "shape": percents(window["shape"]),
            "ports": list(window["ports"]),
        }
        for backend in backends(module).values()
        for window in backend.found()
    ]


def end(module: Any) -> list[str]:  # noqa: ANN401 - AnsibleModule
    """Removes all shaping, whatever state it is in, and says what it removed; in check mode only says."""
    removed = []
    for backend in backends(module).values():
        removed += [f"remove {thing}" for thing in backend.left()] if module.check_mode else backend.end()
    return removed


def left(module: Any) -> list[str]:  # noqa: ANN401 - AnsibleModule
    """Looks for what is still there of shaping."""
    return [thing for backend in backends(module).values() for thing in backend.left()]
