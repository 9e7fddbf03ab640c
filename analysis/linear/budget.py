"""What a search may use."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Seconds, bytes and configurations for one check, all keys together.

    Attributes:
        seconds: From the making of this object.
        nbytes: What all searches that run at once may hold.
        configurations: How many may be visited.
        spent: How many were.
        searches: How many run at once.
        ended: Why everything must end now, such as Ctrl-C; empty where it must not.
    """

    seconds: float
    nbytes: int
    configurations: int
    spent: int = 0
    searches: int = 1
    ended: str = ""
    _began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, configurations: int) -> None:
        """Counts configurations; several threads may."""
        with self._lock:
            self.spent += configurations

    def exhausted(self) -> str | None:
        """Says which budget is used up, None where something of each is left."""
        if self.ended:
            return self.ended
        if time.monotonic() - self._began > self.seconds:
            return f"the budget of {self.seconds:g} s is used up"
        if self.spent > self.configurations:
            return f"the budget of {self.configurations:,} configurations is used up"
        return None

    def too_large(self, nbytes: int) -> str | None:
        """Says that so many bytes are more than one search may hold, None where they are not."""
        most = self.nbytes // self.searches
        if nbytes <= most:
            return None
        return f"the search needs {nbytes / 1e6:,.0f} MB, and has a budget of {most / 1e6:,.0f} MB"
