"""Scenario files: their schema, and reading them with errors that name the line and the key."""

import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from callmaybe.project import SCENARIOS, UserError

_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
WHOLE = "must be whole seconds: nftables begins and ends a window on a second"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")


class Duration(float):
    """A length of time in seconds, written as a number with its unit: `500ms`, `30s`, `2m`, `1h`."""

    @classmethod
    def parse(cls, text: object) -> "Duration":
        """The duration that a text stands for.

        Raises:
            ValueError: it has no unit, or is no duration at all.
        """
        match = _DURATION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"Expected a duration with its unit, such as `30s`, got `{text}`")
        return cls(float(match[1]) * _UNITS_S[match[2]])


class Workload(msgspec.Struct, forbid_unknown_fields=True):
    """What the clients do: `rate` operations a second, all clients together, for `duration`."""

    name: str
    duration: Duration
    rate: float
    clients_per_node: int = 1
    timeout: Duration = Duration(5)
    recovery: Duration = Duration(60)


class Fault(msgspec.Struct, forbid_unknown_fields=True, rename={"duration": "for", "source": "from"}):
    """A fault, `at` after the start, for `duration`; `times` of them, one every `every`."""

    at: Duration
    duration: Duration
    fault: str
    topology: str = "halves"
    groups: list[list[str]] | None = None
    node: str | None = None
    source: list[str] | None = None
    to: list[str] | None = None
    every: Duration | None = None
    times: int = 1


class Published(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The result that somebody published of the same experiment."""

    source: str
    attempt_count: int | None = None
    acknowledged_count: int | None = None
    present_count: int | None = None
    lost_count: int | None = None
    finding: str | None = None
    url: str | None = None


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    """One experiment, as its author wrote it."""

    title: str
    database: str
    workload: Workload
    checkers: list[str]
    variant: str = "default"
    faults: list[Fault] = []
    published: Published | None = None
    provision: bool = True


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
        found = msgspec.convert(yaml.safe_load(text), Scenario, dec_hook=_duration)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: not YAML: {error.problem}") from None
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        line, key = _locate(tree, where.strip("`"), what)
        raise UserError(f"{path}:{line}: {key}: {what[0].lower()}{what[1:]}") from None
    return _sensible(found, path, tree)


def _duration(kind: type, value: object) -> object:
    if kind is Duration:
        return Duration.parse(value)
    raise NotImplementedError(kind)


def _sensible(scenario: Scenario, path: Path, tree: yaml.Node | None) -> Scenario:
    """What the types cannot say: numbers above zero, windows inside of the run."""
    load = scenario.workload
    mistakes = [
        ("$.workload.rate", load.rate <= 0, "must be above 0"),
        ("$.workload.duration", load.duration <= 0, "must be above 0"),
        ("$.workload.timeout", load.timeout <= 0, "must be above 0"),
        ("$.workload.clients_per_node", load.clients_per_node < 1, "must be at least 1"),
        ("$.checkers", not scenario.checkers, "must name at least one checker"),
    ]
    for index, fault in enumerate(scenario.faults):
        where = f"$.faults[{index}]"
        times = {"at": fault.at, "for": fault.duration, "every": fault.every or 0}
        last_end = fault.at + fault.duration + (fault.times - 1) * (fault.every or 0)
        mistakes += [
            (f"{where}.fault", fault.fault != "partition", f"unknown fault '{fault.fault}'; known: partition"),
            (f"{where}.for", fault.duration <= 0, "must be above 0"),
            *[(f"{where}.{key}", time % 1 != 0, WHOLE) for key, time in times.items()],
            (f"{where}.times", fault.times < 1, "must be at least 1"),
            (f"{where}.times", fault.times > 1 and fault.every is None, "needs `every` beside it"),
            (f"{where}.every", fault.every is not None and fault.every <= fault.duration, "must be longer than `for`"),
            (
                f"{where}.for",
                last_end > load.duration,
                f"ends at {last_end:g} s, after the workload's {load.duration:g} s",
            ),
        ]
    for where, wrong, why in mistakes:
        if wrong:
            line, key = _locate(tree, where, "")
            raise UserError(f"{path}:{line}: {key}: {why}")
    return scenario


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
