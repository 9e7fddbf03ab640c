"""What chance does to packets: distributions of delay as netem's tables have them, losses, and the rate of a link.

Pure of all input and output, so that the program on the node and the tests of its statistics run the same code.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    import random

# iproute2's tables (netem/normal.c, pareto.c, paretonormal.c): 4096 quantiles, in units of the jitter, cut at 4 of
# them. The cut takes from the long tail: with netem too, pareto's standard deviation is 0.82 of the jitter, and
# paretonormal's 0.83.
TABLE_SIZE = 4096
CUT = 32767 / 8192
PARETO = 3.0
# A link of a given rate keeps what waits, up to netem's own default of 1,000 packets; more is lost.
BACKLOG_BYTES = 1000 * 1500


def _normal(share: float) -> float:
    return max(-CUT, min(CUT, NormalDist().inv_cdf(share)))


def _pareto(share: float) -> float:
    return min(CUT, ((1 - share) ** (-1 / PARETO) - 1.5) * 4 / 3)


def table(distribution: str) -> list[float]:
    """Returns the quantiles of a distribution, rising, in units of the jitter.

    Args:
        distribution: ``uniform`` (-1 to 1), ``normal``, ``pareto``, or ``paretonormal``, a quarter of the normal's
            quantile and three quarters of the pareto's.
    """
    quantile: dict[str, Callable[[float], float]] = {
        "uniform": lambda share: 2 * share - 1,
        "normal": _normal,
        "pareto": _pareto,
        "paretonormal": lambda share: 0.25 * _normal(share) + 0.75 * _pareto(share),
    }
    return [quantile[distribution]((number + 0.5) / TABLE_SIZE) for number in range(TABLE_SIZE)]


def delays(
    rng: random.Random, delay_ns: float, jitter_ns: float, distribution: str, correlation: float
) -> Callable[[], int]:
    """Returns a function that draws delays, nanoseconds, never below 0.

    Correlated delays come from a Gaussian process (each a share of the one before and fresh noise), read through its
    own distribution: mean and standard deviation stay what they are without correlation. netem mixes uniform numbers
    instead, which makes the spread smaller the higher the correlation is.
    """
    if not jitter_ns:
        constant = int(delay_ns)
        return lambda: constant
    values = [max(0, int(delay_ns + jitter_ns * value)) for value in table(distribution)]
    if not correlation:
        uniform = rng.random
        return lambda: values[int(uniform() * TABLE_SIZE)]
    cumulative = NormalDist().cdf
    fresh = math.sqrt(1 - correlation * correlation)
    last = rng.gauss(0, 1)

    def draw() -> int:
        nonlocal last
        last = correlation * last + fresh * rng.gauss(0, 1)
        return values[min(TABLE_SIZE - 1, int(cumulative(last) * TABLE_SIZE))]

    return draw


def chances(rng: random.Random, share: float, correlation: float = 0.0) -> Callable[[], bool]:
    """Returns a function that says yes with a chance of ``share``.

    With a correlation it repeats itself with that chance, and draws anew otherwise. So a yes follows a yes with
    ``correlation + (1 - correlation) * share``, and the share of yes stays as asked (netem's own falls short of it).
    """
    uniform = rng.random
    if not correlation:
        return lambda: uniform() < share
    last = uniform() < share

    def draw() -> bool:
        nonlocal last
        if uniform() >= correlation:
            last = uniform() < share
        return last

    return draw


def gilbert_elliott(rng: random.Random, chain: tuple[float, float, float, float]) -> Callable[[], bool]:
    """Returns a function that says whether a packet is lost, after Gilbert (1960) and Elliott (1963), as netem has it.

    Args:
        rng: where chance comes from.
        chain: (p, r, h, k): the chances to go bad, to go good, and that a packet passes while bad and while good.
    """
    to_bad, to_good, passes_bad, passes_good = chain
    uniform = rng.random
    bad = uniform() < (to_bad / (to_bad + to_good) if to_bad + to_good else 0)

    def draw() -> bool:
        nonlocal bad
        lost = uniform() >= (passes_bad if bad else passes_good)
        if uniform() < (to_good if bad else to_bad):
            bad = not bad
        return lost

    return draw


def never() -> bool:
    """Says no, without a draw."""
    return False


class Link:
    """What one window does to the packets of one peer, in their order.

    Attributes:
        lost, duplicated, reordered, corrupted: functions that decide about the next packet.
        delay: function that draws its delay, nanoseconds.
        byte_ns: nanoseconds that a byte takes at the link's rate, 0 without one.
    """

    def __init__(self, shape: dict[str, object], rng: random.Random) -> None:
        """Takes the fields of a ``jepsen_shaping.Shape`` that are not zero."""

        def number(name: str) -> float:
            return float(str(shape.get(name, 0.0)))

        def share(name: str) -> Callable[[], bool]:
            return chances(rng, number(name)) if number(name) else never

        chain = shape.get("gilbert")
        if isinstance(chain, (list, tuple)):
            to_bad, to_good, passes_bad, passes_good = chain
            self.lost = gilbert_elliott(rng, (to_bad, to_good, passes_bad, passes_good))
        else:
            loss = number("loss")
            self.lost = chances(rng, loss, number("loss_correlation")) if loss else never
        self.duplicated = share("duplicate")
        self.reordered = share("reorder")
        self.corrupted = share("corrupt")
        distribution = str(shape.get("distribution", "normal"))
        self.delay = delays(
            rng, number("delay_ms") * 1e6, number("jitter_ms") * 1e6, distribution, number("delay_correlation")
        )
        self.delays = bool(number("delay_ms") or number("jitter_ms"))
        rate_kbit = number("rate_kbit")
        self.byte_ns = 8e6 / rate_kbit if rate_kbit else 0.0
        self._free_ns = 0.0

    def leaves_ns(self, now_ns: int, length_bytes: int) -> int | None:
        """Says when a packet that comes now has left a link of this rate, None where too much waits already."""
        begin_ns = max(self._free_ns, now_ns)
        if begin_ns - now_ns > BACKLOG_BYTES * self.byte_ns:
            return None
        self._free_ns = begin_ns + length_bytes * self.byte_ns
        return int(self._free_ns)
