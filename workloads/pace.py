"""The pace: when a client's next operation is due."""

import math


class Pace:
    """An open schedule: all clients together make `rate` operations a second, client i of n every n/rate seconds.

    The schedule does not wait for answers, so a slow database meets the same load as a fast one. Slots that pass while
    a client is blocked are left out, but for the newest: made up for, they would come as a burst at the very moment
    when the database comes back, a load that no steady client makes; and their operations, bunched behind the fault,
    would thin out the evidence inside of it. So one client is never more than one operation late.
    """

    def __init__(self, client: int, clients: int, rate: float) -> None:
        """Takes the client's number, how many there are, and operations a second of all; infinity is no pause."""
        self._interval_s = clients / rate
        self._first_s = client / rate
        self._slot = -1

    def next_due_s(self, now_s: float) -> float:
        """Returns when the next operation is due, in seconds since T0; a time that has passed means at once."""
        if not self._interval_s:
            return now_s
        newest = math.floor((now_s - self._first_s) / self._interval_s)
        self._slot = max(self._slot + 1, newest)
        return self._first_s + self._slot * self._interval_s
