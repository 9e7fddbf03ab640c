"""The time of a run: nanoseconds since T0."""

import time


class RunClock:
    """Counts from T0 by the monotonic clock, negative before it.

    The wall clock is asked once, here: a step of the controller's clock in the middle of a run, which a fault may well
    cause, then neither bends the history's times nor the pace of the operations.
    """

    def __init__(self, t0_ns: int) -> None:
        """Takes T0 as nanoseconds since the Unix epoch."""
        self._t0_monotonic_ns = time.monotonic_ns() + (t0_ns - time.time_ns())

    def elapsed_ns(self) -> int:
        """Returns the nanoseconds since T0."""
        return time.monotonic_ns() - self._t0_monotonic_ns

    def elapsed_s(self) -> float:
        """Returns the seconds since T0."""
        return self.elapsed_ns() / 1e9
