"""What all errors of the faults have in common."""

from __future__ import annotations


class FaultError(Exception):
    """Something was not done; the text is a sentence for the user.

    Attributes:
        changed: whether something is another than before all the same.
    """

    changed = False
