"""Many whole numbers in a few characters: `0..5 9`, as Jepsen prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def format_intervals(values: Iterable[int]) -> str:
    """Returns the values in order, each run of neighbours as `first..last`; empty for none."""
    runs: list[list[int]] = []
    for value in sorted(set(values)):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return " ".join(str(first) if first == last else f"{first}..{last}" for first, last in runs)
