"""What the search may take for granted of an operation."""

from __future__ import annotations

from typing import Final

PLAIN: Final = 0
"""Nothing."""

PURE: Final = 1
"""It never changes a state."""

BLIND: Final = 2
"""It is possible in every state and always leaves the same one."""
