"""The faults that a scenario may ask for: one class a fault, with the options that it takes.

A fault stands in a list, `at` a time and `for` a while, or in a pattern, which chooses among several by `weight`.
"""

from typing import Annotated, Literal, get_args

import msgspec

from callmaybe.duration import Duration

Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=60_000)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Distribution = Literal["uniform", "normal", "pareto", "paretonormal"]
Direction = Literal["both", "in", "out"]
How = Literal["freezer", "signal"]
Targets = str | int | list[str]

# Who they are is known only shortly before the window.
HOLDER = "holder"  # of the lock that the workload is about
LATE_WORDS = ("primary", "primaries", HOLDER)
NAME_OF = {"duration": "for", "source": "from"}  # words that Python keeps for itself


class Fault(
    msgspec.Struct, forbid_unknown_fields=True, tag_field="fault", kw_only=True, rename=NAME_OF, omit_defaults=True
):
    """What all faults have.

    Attributes:
        at: when it begins, in seconds after T0.
        duration: how long it lasts; `for` in the file.
        every, times: so many windows, one every so often.
        weight: how often a pattern chooses it, beside the others.
    """

    at: Duration | None = None
    duration: Duration | None = None
    every: Duration | None = None
    times: int = 1
    weight: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 1.0


class Partition(Fault, tag="partition"):
    """Nodes do not hear each other; `topology` says who whom. In one-way, `from` or `to` may be the clients."""

    topology: str = "halves"
    groups: list[list[str]] | None = None
    node: Targets | None = None
    source: Targets | None = None
    to: Targets | None = None
    ports: list[str] = []
    reject: bool = False


class Links(Fault):
    """What shaping shares: whose links, in which direction, and which ports' traffic; all of it if not told."""

    targets: Targets = "all"
    direction: Direction = "both"
    ports: list[str] = []


class Slow(Links, tag="slow"):
    """Packets come late."""

    delay_ms: Milliseconds = 50.0
    jitter_ms: Milliseconds = 10.0
    delay_correlation: Percent = 0.0
    distribution: Distribution = "normal"


class Flaky(Links, tag="flaky"):
    """Packets are lost."""

    loss: Percent = 20.0
    loss_correlation: Percent = 75.0


class Shape(Links, tag="shape"):
    """Anything that may happen to packets; nothing does unless it is told."""

    delay_ms: Milliseconds = 0.0
    jitter_ms: Milliseconds = 0.0
    delay_correlation: Percent = 0.0
    distribution: Distribution = "normal"
    loss: Percent = 0.0
    loss_correlation: Percent = 0.0
    gilbert: Annotated[list[Percent], msgspec.Meta(min_length=4, max_length=4)] | None = None
    duplicate: Percent = 0.0
    reorder: Percent = 0.0
    corrupt: Percent = 0.0
    rate_kbit: Annotated[int, msgspec.Meta(ge=0)] = 0


class Kill(Fault, tag="kill"):
    """The database's processes are killed, and started again at the window's end, or never."""

    targets: Targets = "one"
    restart: bool = True


class Pause(Fault, tag="pause"):
    """The database's processes stand still."""

    targets: Targets = "one"
    how: How = "freezer"


AnyFault = Partition | Slow | Flaky | Shape | Kill | Pause
Shaping = Slow | Flaky | Shape
FAULTS: dict[str, type[Fault]] = {
    "partition": Partition,
    "slow": Slow,
    "flaky": Flaky,
    "shape": Shape,
    "kill": Kill,
    "pause": Pause,
}
# What a key may be where only certain words are known.
CHOICES: dict[str, tuple[str, ...]] = {
    "direction": get_args(Direction),
    "distribution": get_args(Distribution),
    "how": get_args(How),
}


class Pattern(msgspec.Struct, forbid_unknown_fields=True, rename=NAME_OF):
    """A window every so often, with a fault that is drawn by the seed.

    Attributes:
        every: from one window's begin to the next one's.
        duration: how long each window lasts; `for` in the file.
        faults: what is chosen from, by `weight`.
        at: when the first one begins, in seconds after T0; if not told, so that `every` ends with its window.
        quiet: without any fault at the end of the workload.
    """

    every: Duration
    duration: Duration
    faults: Annotated[list[AnyFault], msgspec.Meta(min_length=1)]
    at: Duration | None = None
    quiet: Duration = Duration(15)

    @property
    def begin(self) -> Duration:
        """When the first window begins, in seconds after T0."""
        return Duration(self.every - self.duration) if self.at is None else self.at


class Patterned(msgspec.Struct, forbid_unknown_fields=True):
    """A timeline that is a pattern."""

    pattern: Pattern


def shape_of(fault: Shaping) -> dict[str, object]:
    """The shape that a window of shaping carries: what is not done is left out."""
    links = set(Links.__struct_fields__)
    given = {name: getattr(fault, name) for name in fault.__struct_fields__ if name not in links}
    shape = {name: list(value) if isinstance(value, list) else value for name, value in given.items() if value}
    for what, about in (
        ("jitter_ms", "distribution"),
        ("jitter_ms", "delay_correlation"),
        ("loss", "loss_correlation"),
    ):
        if what not in shape:
            shape.pop(about, None)
    return shape
