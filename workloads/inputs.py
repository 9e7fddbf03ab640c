"""What a drive reads from its run's folder: docs/formats.md has the files."""

from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from workloads.errors import WorkloadError

Positive = Annotated[float, msgspec.Meta(gt=0)]
T = TypeVar("T")


class WorkloadSpec(msgspec.Struct, frozen=True):
    """The scenario's `workload`: times in seconds, `rate` in operations a second of all clients together."""

    name: str
    duration_s: Positive
    rate: Positive
    clients: Annotated[list[str], msgspec.Meta(min_length=1)]
    timeout_s: Positive
    recovery_s: Annotated[float, msgspec.Meta(ge=0)]
    hold_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Scenario(msgspec.Struct, frozen=True):
    """The part of `scenario.yml` that concerns the clients."""

    seed: int
    database: str
    workload: WorkloadSpec


class Cluster(msgspec.Struct, frozen=True):
    """The part of `cluster.json` that concerns the clients: addresses by node, and the database's own options."""

    database: str
    nodes: dict[str, str]
    client: dict[str, Any] = {}


class Window(msgspec.Struct, frozen=True):
    """A fault's window, in seconds since T0; `late` is there if whom it hits is looked up only shortly before."""

    name: str
    title: str
    from_s: float
    until_s: float
    late: dict[str, Any] | None = None


class Action(msgspec.Struct, frozen=True):
    """What an operator does, in seconds since T0."""

    name: str
    title: str
    at_s: float


class Faults(msgspec.Struct, frozen=True):
    """The part of `faults.json` that concerns the clients; T0 in nanoseconds since the Unix epoch."""

    t0_ns: int
    windows: list[Window] = []
    actions: list[Action] = []


class Inputs(NamedTuple):
    """All that a drive is told."""

    scenario: Scenario
    cluster: Cluster
    faults: Faults


def read_inputs(folder: Path) -> Inputs:
    """Reads what a drive needs from a run's folder.

    Raises:
        WorkloadError: A file is missing, is not what docs/formats.md says, or does not fit the others.
    """
    scenario = _read(folder / "scenario.yml", Scenario)
    cluster = _read(folder / "cluster.json", Cluster)
    faults = _read(folder / "faults.json", Faults)
    if cluster.database != scenario.database:
        raise WorkloadError(
            f"{folder}: scenario.yml is about {scenario.database} and cluster.json about {cluster.database};"
            " both must come from the same run"
        )
    if unknown := [node for node in scenario.workload.clients if node not in cluster.nodes]:
        raise WorkloadError(
            f"{folder / 'scenario.yml'}: workload.clients names {unknown[0]}, which cluster.json does not have;"
            f" known: {', '.join(cluster.nodes)}"
        )
    return Inputs(scenario, cluster, faults)


def parse_options(options: dict[str, Any], shape: type[T]) -> T:
    """Returns the client options of `cluster.json` in the shape that a client wants.

    Raises:
        WorkloadError: An option is missing, unknown or of another type.
    """
    try:
        return msgspec.convert(options, shape)
    except msgspec.ValidationError as error:
        raise WorkloadError(f"cluster.json: client: {error}") from error


def _read(path: Path, shape: type[T]) -> T:
    decode = msgspec.yaml.decode if path.suffix == ".yml" else msgspec.json.decode
    try:
        return decode(path.read_bytes(), type=shape)
    except OSError as error:
        raise WorkloadError(
            f"{path}: cannot be read ({error.strerror}); the steps before the drive write it"
        ) from error
    except msgspec.MsgspecError as error:
        raise WorkloadError(f"{path}: {' '.join(str(error).split())}") from error
