"""What a search may use."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Budget:
    """Seconds, bytes and configurations for one check, all keys together.

    Attributes:
        seconds: From the making of this object.
        nbytes: What one key's search may hold at once.
        configurations: How many may be visited.
        spent: How many were.
    """

    seconds: float
    nbytes: int
    configurations: int
    spent: int = 0
    _began: float = field(default_factory=time.monotonic)

    def exhausted(self) -> str | None:
        """Says which budget is used up, None where something of each is left."""
        if time.monotonic() - self._began > self.seconds:
            return f"the budget of {self.seconds:g} s is used up"
        if self.spent > self.configurations:
            return f"the budget of {self.configurations:,} configurations is used up"
        return None

    def too_large(self, nbytes: int) -> str | None:
        """Says that so many bytes are more than there are, None where they are not."""
        if nbytes <= self.nbytes:
            return None
        return f"the search needs {nbytes / 1e6:,.0f} MB, and has a budget of {self.nbytes / 1e6:,.0f} MB"
