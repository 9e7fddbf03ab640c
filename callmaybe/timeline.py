"""The timeline: faults and a seed in, windows on whole seconds out.

Pure: the same faults, nodes and seed give the same windows, on every machine, without touching one. A window whose
targets depend on the moment (`primaries`) is *late*: it carries its fault and the seed of its draw, and `aim` makes it
whole with the same functions once somebody has looked.
"""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from callmaybe.duration import decode_duration
from callmaybe.fault import (
    HOLDER,
    LATE_WORDS,
    AnyFault,
    Fault,
    Kill,
    Partition,
    Pattern,
    Patterned,
    Pause,
    Shaping,
    shape_of,
)
from jepsen_modules.module_utils.jepsen_clients import CLIENTS, bearers, wrong_with_clients
from jepsen_modules.module_utils.jepsen_grudge import GrudgeError, make_grudge
from jepsen_modules.module_utils.jepsen_nft import read_ports
from jepsen_modules.module_utils.jepsen_target import TargetError, resolve_targets, split_names

Window = dict[str, Any]
PREFIX_OF = {"partition": "cut"}  # of a window's name, where it is not the fault's own
KIND_OF = {
    "partition": "partition",
    "slow": "shape",
    "flaky": "shape",
    "shape": "shape",
    "kill": "process",
    "pause": "process",
}
"""What a fault is made of; all windows of a kind are armed together."""

_WORDS = {  # of a shape, in the order in which they are said
    "loss": "{:g} % lost",
    "gilbert": "lost in bursts",
    "duplicate": "{:g} % twice",
    "reorder": "{:g} % out of order",
    "corrupt": "{:g} % corrupted",
    "rate_kbit": "{:,} kbit/s",
}


class TimelineError(ValueError):
    """Faults that do not fit these nodes; the text names the fault and says why."""


def expand_timeline(faults: list[AnyFault] | Patterned, nodes: list[str], seed: int, run_s: float) -> list[Window]:
    """Makes all windows of a run.

    Args:
        faults: as the scenario has them, checked already.
        nodes: names of all nodes, in the inventory's order.
        seed: of all that is drawn.
        run_s: how long the workload lasts; a pattern is quiet towards its end.

    Returns:
        By their begin: `name`, `fault`, `title`, `from_s`, `until_s`, and what the fault does to whom: `grudge`,
        `links` and `shape`, or `action` and `nodes_hit`; or `late`, if that is known only shortly before.

    Raises:
        TimelineError: an unknown topology, node or target.
    """
    rng = random.Random(seed)  # noqa: S311 - drawn again from its seed
    windows = []
    for where, fault, from_s, until_s in _moments(faults, rng, run_s):
        try:
            done = _part(fault, nodes, rng.getrandbits(32))
        except (GrudgeError, TargetError) as error:
            raise TimelineError(f"faults.{where}: {error}") from None
        windows.append(
            {"fault": fault_name(fault), "title": done.pop("title"), "from_s": from_s, "until_s": until_s, **done}
        )
    windows.sort(key=lambda window: window["from_s"])
    counts: Counter[str] = Counter()
    return [{"name": _name(window["fault"], counts), **window} for window in windows]


def aim(window: Window, nodes: list[str], primaries: list[str], holders: list[str] | None = None) -> Window:
    """Makes a late window whole.

    Args:
        window: as `expand_timeline` made it.
        nodes: names of all nodes.
        primaries: those that say now that they are.
        holders: those whose clients hold a lock now.

    Raises:
        TimelineError: there is no primary, or the fault cannot be made of these.
    """
    late = window["late"]
    if late["asked"] == HOLDER and not holders:
        raise TimelineError(f"{window['name']}: nobody holds the lock")
    options = {key: _named(value, (holders or [""])[0]) for key, value in late["options"].items()}
    fault: AnyFault = msgspec.convert(options, AnyFault, dec_hook=decode_duration)
    try:
        return {**window, **_part(fault, nodes, late["seed"], primaries)}
    except (GrudgeError, TargetError) as error:
        raise TimelineError(f"{window['name']}: {error}") from None


def _named(value: Any, holder: str) -> Any:  # noqa: ANN401 - any option
    """An option in which the word for the holder has become its node."""
    if isinstance(value, list):
        return [_named(part, holder) for part in value]
    if not isinstance(value, str) or not holder:
        return value
    return " ".join(holder if word == HOLDER else word for word in split_names(value)) if HOLDER in value else value


def fault_name(fault: Fault) -> str:
    """The word by which scenarios know a fault."""
    return str(fault.__struct_config__.tag)


def nodes_of(window: Window) -> list[str]:
    """The nodes that a window touches: who drops what, whose links are shaped, whose processes are hit."""
    return sorted(window.get("nodes_hit") or bearers(window.get("grudge") or {}) or window.get("links") or [])


def _name(fault: str, counts: Counter[str]) -> str:
    counts[fault] += 1
    return f"{PREFIX_OF.get(fault, fault)}-{counts[fault]}"


def _moments(
    faults: list[AnyFault] | Patterned, rng: random.Random, run_s: float
) -> Iterator[tuple[str, AnyFault, float, float]]:
    """Each window's place in the file, its fault, its begin and its end."""
    if isinstance(faults, Patterned):
        yield from _pattern_moments(faults.pattern, rng, run_s)
        return
    for number, fault in enumerate(faults):
        for turn in range(fault.times):
            from_s = float(fault.at or 0) + turn * float(fault.every or 0)
            yield str(number), fault, from_s, from_s + float(fault.duration or 0)


def _pattern_moments(
    pattern: Pattern, rng: random.Random, run_s: float
) -> Iterator[tuple[str, AnyFault, float, float]]:
    weights = [fault.weight for fault in pattern.faults]
    from_s = float(pattern.begin)
    while from_s + pattern.duration <= run_s - pattern.quiet:
        (number,) = rng.choices(range(len(weights)), weights)
        yield f"pattern.faults.{number}", pattern.faults[number], from_s, from_s + pattern.duration
        from_s += pattern.every


def _part(fault: AnyFault, nodes: list[str], seed: int, primaries: list[str] | None = None) -> Window:
    """What a fault does to whom, with its title; late if it asks for primaries and nobody has looked yet."""
    if isinstance(fault, Partition):
        _check_clients(fault)
    asked = _asked_late(fault, nodes)
    if asked and primaries is None:
        untimed = msgspec.structs.replace(fault, at=None, duration=None, every=None, times=1)
        options = msgspec.to_builtins(untimed)
        options.pop("weight", None)
        return {"title": asked, "late": {"asked": asked, "seed": seed, "options": options}}
    if isinstance(fault, Partition):
        return _cut(fault, nodes, seed, primaries)
    hit = resolve_targets(fault.targets, nodes, None, primaries, seed)
    if isinstance(fault, Kill | Pause):
        return _processes(fault, hit)
    return _links(fault, hit, nodes)


def _asked_late(fault: AnyFault, nodes: list[str]) -> str | None:
    """The word for whoever is known only shortly before; None if all is known now. A node's own name comes first."""
    asked = (fault.node, fault.source, fault.to) if isinstance(fault, Partition) else (fault.targets,)
    words = [word for given in asked if isinstance(given, str | list) for word in split_names(given)]
    return next((word for word in words if word in LATE_WORDS and word not in nodes), None)


def _check_clients(fault: Partition) -> None:
    """Raises GrudgeError for a cut from the clients that no node would arm; the nodes know more of their SSH."""
    asked = [
        word for side in (fault.source, fault.to) if not isinstance(side, int | None) for word in split_names(side)
    ]
    if CLIENTS not in asked:
        return
    try:
        wrong = wrong_with_clients({CLIENTS: []}, read_ports(fault.ports), reject=fault.reject)
    except ValueError as error:
        raise GrudgeError(str(error)) from None
    if wrong:
        raise GrudgeError(wrong)


def _cut(fault: Partition, nodes: list[str], seed: int, primaries: list[str] | None) -> Window:
    given = {"groups": fault.groups, "node": fault.node, "from": fault.source, "to": fault.to}
    options = {key: value for key, value in given.items() if value is not None}
    grudge, title = make_grudge(fault.topology, nodes, options, seed, primaries=primaries)
    if fault.ports:
        title += f" ({', '.join(fault.ports)})"
    more = {"ports": list(fault.ports) or None, "reject": fault.reject or None}
    return {"title": title, "grudge": grudge, **{key: value for key, value in more.items() if value}}


def _links(fault: Shaping, hit: list[str], nodes: list[str]) -> Window:
    """`{listener: [speakers]}` of the targets' links, into them, out of them, or both."""
    into, out = fault.direction in ("in", "both"), fault.direction in ("out", "both")
    links = {
        listener: [n for n in nodes if n != listener and ((into and listener in hit) or (out and n in hit))]
        for listener in nodes
    }
    shape = shape_of(fault)
    whom = "all" if len(hit) == len(nodes) else " ".join(hit)
    way = {"in": " (what comes in)", "out": " (what goes out)"}.get(fault.direction, "")
    ports = f" ({', '.join(fault.ports)})" if fault.ports else ""
    return {
        "title": f"{whom}{way}{ports}: {describe_shape(shape)}",
        "links": {listener: speakers for listener, speakers in links.items() if speakers},
        "shape": shape,
        **({"ports": list(fault.ports)} if fault.ports else {}),
    }


def describe_shape(shape: dict[str, Any]) -> str:
    """A shape in words, such as `50 ms +- 10 ms, 20 % lost`."""
    delay, jitter = shape.get("delay_ms", 0), shape.get("jitter_ms", 0)
    said = [f"{delay:g} ms" + (f" +- {jitter:g} ms" if jitter else "")] if delay or jitter else []
    return ", ".join(said + [words.format(shape[key]) for key, words in _WORDS.items() if key in shape])


def _processes(fault: Kill | Pause, hit: list[str]) -> Window:
    title = " ".join(hit)
    if isinstance(fault, Pause):
        return {"title": title, "action": "pause", "nodes_hit": hit, "how": fault.how}
    return {
        "title": title if fault.restart else f"{title}, not started again",
        "action": "kill",
        "nodes_hit": hit,
        "restart": fault.restart,
    }
