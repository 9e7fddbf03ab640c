"""Scenario files: their schema, and reading them with errors that name the line and the key."""

import math
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from callmaybe.duration import Duration, decode_duration
from callmaybe.fault import CHOICES, FAULTS, AnyFault, Fault, Flaky, Pattern, Patterned, Shape, Slow, Targets, shape_of
from callmaybe.project import SCENARIOS, UserError

WHOLE = "must be whole seconds: nftables begins and ends a window on a second"
PORT = re.compile(r"(tcp|udp) ([1-9][0-9]{0,4})")
LAST_PORT = 65535
Mistake = tuple[str, bool, str]  # the key's path, whether it is wrong, why


class Workload(msgspec.Struct, forbid_unknown_fields=True):
    """What the clients do: `rate` operations a second, all clients together, for `duration`.

    A client that got a lock holds it for `hold`.
    """

    name: str
    duration: Duration
    rate: float
    clients_per_node: int = 1
    timeout: Duration = Duration(5)
    recovery: Duration = Duration(60)
    hold: Duration = Duration(0)


class Published(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The result that somebody published of the same experiment."""

    source: str
    attempt_count: int | None = None
    acknowledged_count: int | None = None
    present_count: int | None = None
    lost_count: int | None = None
    finding: str | None = None
    url: str | None = None


class Operator(msgspec.Struct, forbid_unknown_fields=True):
    """What an operator does in the middle of a run: a verb of the role, on targets.

    Attributes:
        at: when, in seconds after T0; or
        after: the name of the window at whose end.
    """

    do: str
    targets: Targets = "all"
    at: Duration | None = None
    after: str | None = None


class Expect(msgspec.Struct, forbid_unknown_fields=True):
    """The verdict that the scenario is there to show; `any` where either would be a finding."""

    valid: bool | Literal["any"]


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    """One experiment, as its author wrote it."""

    title: str
    database: str
    workload: Workload
    checkers: list[str]
    variant: str = "default"
    faults: list[AnyFault] | Patterned = []
    published: Published | None = None
    provision: bool = True
    operator: list[Operator] = []
    expect: Expect | None = None
    tags: list[str] = []


def known_scenarios() -> list[str]:
    """The names of the scenarios that come with the project, sorted."""
    return sorted(path.stem for path in SCENARIOS.glob("*.yml"))


def find_scenario(name: str) -> Path:
    """The file of a scenario, given by its name or by a path.

    Raises:
        UserError: there is none.
    """
    path = Path(name) if name.endswith((".yml", ".yaml")) else SCENARIOS / f"{name}.yml"
    if not path.is_file():
        raise UserError(f"there is no scenario '{name}'; known: {', '.join(known_scenarios())}, or the path of a file")
    return path


def load_scenario(path: Path) -> Scenario:
    """Reads a scenario and holds it against the schema.

    Raises:
        UserError: names file, line and key of the first mistake.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        _check_keys(tree, path)
        found = msgspec.convert(yaml.safe_load(text), Scenario, dec_hook=decode_duration)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: not YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{path}:{line}: not YAML: {error.reason}") from None
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        line, key = _locate(tree, where.strip("`"), what)
        raise UserError(f"{path}:{line}: {key}: {_explained(what, key)}") from None
    except ValueError as error:  # what YAML takes for a date, such as 2024-13-45
        raise UserError(f"{path}: a value that looks like a date and is none: {error}") from None
    return _sensible(found, path, tree)


def _check_keys(node: yaml.Node | None, path: Path) -> None:
    """Raises UserError if a key is there twice: YAML would keep the last one, and say nothing."""
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            _check_keys(entry, path)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if str(key.value) in seen:
                raise UserError(f"{path}:{line}: {key.value}: is there twice; the first is in line {seen[key.value]}")
            seen[str(key.value)] = line
            _check_keys(value, path)


def _explained(what: str, key: str) -> str:
    """Says what msgspec found wrong in a scenario's own words: with the values that are known."""
    value = re.search(r"'(.*)'", what)
    if what.startswith("Invalid value") and key.endswith("fault") and value:
        return f"unknown fault '{value[1]}'; known: {', '.join(FAULTS)}"
    if what.startswith("Invalid enum value") and value:
        return f"unknown {key.rpartition('.')[2]} '{value[1]}'; known: {', '.join(CHOICES[key.rpartition('.')[2]])}"
    return f"{what[0].lower()}{what[1:]}"


def _sensible(scenario: Scenario, path: Path, tree: yaml.Node | None) -> Scenario:
    """What the types cannot say: numbers above zero, windows inside of the run."""
    load = scenario.workload
    mistakes = [
        ("$.workload.rate", not 0 < load.rate < math.inf, "must be a number above 0"),
        ("$.workload.duration", load.duration <= 0, "must be above 0"),
        ("$.workload.timeout", load.timeout <= 0, "must be above 0"),
        ("$.workload.clients_per_node", load.clients_per_node < 1, "must be at least 1"),
        ("$.checkers", not scenario.checkers, "must name at least one checker"),
    ]
    if isinstance(scenario.faults, Patterned):
        mistakes += _mistakes_of_pattern(scenario.faults.pattern, load.duration)
    else:
        for index, fault in enumerate(scenario.faults):
            mistakes += _mistakes_of_listed(fault, f"$.faults[{index}]", load.duration)
    for index, action in enumerate(scenario.operator):
        mistakes += _mistakes_of_action(action, f"$.operator[{index}]", load.duration)
    for where, wrong, why in mistakes:
        if wrong:
            line, key = _locate(tree, where, "")
            raise UserError(f"{path}:{line}: {key}: {why}")
    return scenario


def _mistakes_of_listed(fault: Fault, where: str, run_s: float) -> list[Mistake]:
    """What may be wrong with a fault of the list: where, whether it is, and why."""
    every, length = fault.every or Duration(0), fault.duration or Duration(0)
    times = {"at": fault.at or Duration(0), "for": length, "every": every}
    last_end = times["at"] + length + (fault.times - 1) * every
    return [
        (where, fault.at is None, "missing required field `at`"),
        (where, fault.duration is None, "missing required field `for`"),
        (f"{where}.weight", fault.weight != 1, "belongs into a pattern; in a list every fault happens"),
        (f"{where}.for", length <= 0, "must be above 0"),
        *[(f"{where}.{key}", time % 1 != 0, WHOLE) for key, time in times.items()],
        (f"{where}.times", fault.times < 1, "must be at least 1"),
        (f"{where}.times", fault.times > 1 and fault.every is None, "needs `every` beside it"),
        (f"{where}.every", fault.every is not None and every <= length, "must be longer than `for`"),
        (f"{where}.for", last_end > run_s, f"ends at {last_end:g} s, after the workload's {run_s:g} s"),
        *_mistakes_of_options(fault, where),
    ]


def _mistakes_of_pattern(pattern: Pattern, run_s: float) -> list[Mistake]:
    where = "$.faults.pattern"
    times = {"every": pattern.every, "for": pattern.duration, "at": pattern.begin, "quiet": pattern.quiet}
    no_room = (
        f"leaves no room for one window in the workload's {run_s:g} s with {pattern.quiet:g} s of quiet at the end"
    )
    mistakes: list[Mistake] = [
        *[(f"{where}.{key}", time % 1 != 0, WHOLE) for key, time in times.items()],
        (f"{where}.for", pattern.duration <= 0, "must be above 0"),
        (f"{where}.every", pattern.every <= pattern.duration, "must be longer than `for`"),
        (f"{where}.every", pattern.begin + pattern.duration + pattern.quiet > run_s, no_room),
    ]
    for index, fault in enumerate(pattern.faults):
        timed = {"at": fault.at, "for": fault.duration, "every": fault.every, "times": fault.times != 1 or None}
        here = f"{where}.faults[{index}]"
        mistakes += [(f"{here}.{key}", given is not None, "the pattern says when") for key, given in timed.items()]
        mistakes += _mistakes_of_options(fault, here)
    return mistakes


def _mistakes_of_action(action: Operator, where: str, run_s: float) -> list[Mistake]:
    late = f"is after the workload's {run_s:g} s"
    return [
        (where, (action.at is None) == (action.after is None), "needs `at` a time, or `after` a window, and not both"),
        (f"{where}.at", action.at is not None and action.at > run_s, late),
    ]


def _mistakes_of_options(fault: Fault, where: str) -> list[Mistake]:
    """What may be wrong with the options of any fault, wherever it stands."""
    mistakes: list[Mistake] = [
        (f"{where}.ports", not _is_port(port), f"expected ports such as `tcp 9092`, got `{port}`")
        for port in getattr(fault, "ports", [])
    ]
    if isinstance(fault, Slow | Flaky | Shape):
        mistakes += _mistakes_of_shape(shape_of(fault), where)
    return mistakes


def _is_port(text: str) -> bool:
    found = PORT.fullmatch(text)
    return found is not None and int(found[2]) <= LAST_PORT


def _mistakes_of_shape(shape: dict[str, Any], where: str) -> list[Mistake]:
    """What each number alone cannot say; the modules refuse the same."""
    delay_ms = shape.get("delay_ms", 0)
    late = "is more than delay_ms: no packet arrives before it was sent"
    return [
        (where, not shape, "does nothing to packets; say delay_ms, loss or another of its options"),
        (f"{where}.jitter_ms", shape.get("jitter_ms", 0) > delay_ms, late),
        (f"{where}.reorder", "reorder" in shape and not delay_ms, "needs delay_ms, for others to overtake"),
        (f"{where}.gilbert", "gilbert" in shape and "loss" in shape, "stands in place of loss: give one of them"),
        (f"{where}.loss_correlation", shape.get("loss_correlation") == 100, "lets the first packet decide for all"),
    ]


def _locate(tree: yaml.Node | None, where: str, what: str) -> tuple[int, str]:
    """Line (from 1) and dotted key of a JSON path such as `$.faults[0].at` in the composed YAML.

    An unknown or a missing field is reported at its parent: an unknown one is looked up there by its name.
    """
    unknown = re.search(r"unknown field `(.+?)`", what)
    steps: list[str] = re.findall(r"[^.\[\]$]+", where) + ([unknown[1]] if unknown else [])
    line, node = 1, tree
    for step in steps:
        entry = _child(node, step)
        if entry is None:
            break
        line, node = entry[0].start_mark.line + 1, entry[1]
    return line, ".".join(steps) or "the file"


def _child(node: yaml.Node | None, step: str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        return node.value[int(step)], node.value[int(step)]
    if isinstance(node, yaml.MappingNode):
        entries: list[Any] = [(key, value) for key, value in node.value if key.value == step]
        return entries[0] if entries else None
    return None
