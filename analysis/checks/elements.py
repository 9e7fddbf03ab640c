"""Values of a history as small numbers, so that checkers compare columns and not objects."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from analysis.checks.verdict import SHOWN, mistake
from analysis.errors import AnalysisError
from analysis.intervals import format_intervals
from analysis.read.edn import Notation, Set
from analysis.table import INT, NIL, PAIR

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

    from analysis.table import Table


@dataclass(frozen=True)
class Column:
    """n values of any kind.

    Attributes:
        whole: bool[n], where the value is a whole number of 64 bits.
        number: int64[n], that number; else the value's place in `objects`.
        objects: The other values.
    """

    whole: NDArray[np.bool_]
    number: NDArray[np.int64]
    objects: list[Any]

    def __len__(self) -> int:
        """Returns n."""
        return len(self.whole)


class Numbering:
    """Numbers for the values of a column: equal values have the same number, from 0 to below `size`.

    Whole numbers that lie close together are only shifted, which costs no sorting; then some numbers stand for nothing.

    Attributes:
        size: One more than the greatest number.
        present: bool[size], which numbers stand for a value of the column.
    """

    def __init__(self, column: Column) -> None:
        """Takes the column whose values get numbers; O(n), or O(n log n) where whole numbers lie far apart."""
        whole = column.number[column.whole]
        self._base = int(whole.min()) if len(whole) else 0
        span = int(whole.max()) - self._base + 1 if len(whole) else 0
        self._sorted = None if span <= 4 * len(whole) + 1024 else np.unique(whole)
        self._whole_size = span if self._sorted is None else len(self._sorted)
        self._places: dict[Hashable, int] = {}
        self._others: list[Any] = []
        for value in column.objects:
            if self._places.setdefault(canonical(value), len(self._others)) == len(self._others):
                self._others.append(value)
        self.size = self._whole_size + len(self._others)
        self.present = np.ones(self.size, bool)
        self.present = np.bincount(self.of(column), minlength=self.size) > 0

    def of(self, column: Column) -> NDArray[np.int64]:
        """Returns int64[n]: the number of each value, -1 for one that has none."""
        numbers = np.full(len(column), -1, np.int64)
        numbers[column.whole] = self._of_whole(column.number[column.whole])
        others = [self._places.get(canonical(value), -1 - self._whole_size) for value in column.objects]
        if others:
            rest = ~column.whole
            numbers[rest] = np.array(others, np.int64)[column.number[rest]] + self._whole_size
        return np.where(self.present[numbers], numbers, -1) if self.size else numbers

    def values(self, numbers: NDArray[np.integer[Any]]) -> list[Any]:
        """Returns the values that numbers stand for."""
        return [self.value(int(number)) for number in numbers]

    def value(self, number: int) -> Any:  # noqa: ANN401 - anything may stand in a history
        """Returns the value that a number stands for."""
        if number >= self._whole_size:
            return self._others[number - self._whole_size]
        return self._base + number if self._sorted is None else int(self._sorted[number])

    def _of_whole(self, whole: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self._whole_size:
            return np.full(len(whole), -1, np.int64)
        if self._sorted is None:
            inside = (whole >= self._base) & (whole <= self._base + (self._whole_size - 1))
            return np.where(inside, np.where(inside, whole, self._base) - self._base, -1)
        places = np.minimum(np.searchsorted(self._sorted, whole), self._whole_size - 1)
        return np.where(self._sorted[places] == whole, places, -1)


def canonical(value: Any) -> Hashable:  # noqa: ANN401 - anything may stand in a history
    """Returns a hashable form that two values share only if they are equal: 1, 1.0, true and "1" are four values.

    Raises:
        AnalysisError: If the value is nested too deeply to be compared.
    """
    try:
        return _canonical(value)
    except RecursionError:
        raise AnalysisError("a value is nested too deeply to be compared; expected some hundred levels") from None


def _canonical(value: Any) -> Hashable:  # noqa: ANN401 - anything may stand in a history
    if value is None or type(value) in {int, str}:
        return value  # type: ignore[no-any-return] # None, an int or a str
    if isinstance(value, set | frozenset | Set):
        return set, frozenset(map(_canonical, value))
    if isinstance(value, list | tuple):
        return list, *map(_canonical, value)
    if isinstance(value, dict):
        return dict, frozenset((_canonical(key), _canonical(item)) for key, item in value.items())
    return type(value), _written(value)


def _written(value: object) -> str:
    """Returns what tells a value from all others of its type: NaN is not equal to itself, its text is."""
    return value.edn if isinstance(value, Notation) else repr(value)


def column_at(table: Table, rows: NDArray[np.int64]) -> Column:
    """Returns the values of rows."""
    whole = table.kind[rows] == INT
    objects = [table.value(row) for row in rows[~whole]]
    number = table.first[rows].copy()
    number[~whole] = np.arange(len(objects))
    return Column(whole, number, objects)


def column_of(lists: Sequence[list[Any]]) -> Column:
    """Returns the elements of lists, one after the other."""
    values = list(chain.from_iterable(lists))
    kinds = set(map(type, values))
    if kinds <= {int}:
        try:
            return Column(np.ones(len(values), bool), np.array(values, np.int64), [])
        except OverflowError:
            pass  # a whole number of more than 64 bits is an object like any other
    whole = [type(value) is int and -(2**63) <= value < 2**63 for value in values]
    objects = [value for value, is_whole in zip(values, whole, strict=True) if not is_whole]
    number = np.zeros(len(values), np.int64)
    flags = np.array(whole, bool)
    number[flags] = [value for value, is_whole in zip(values, whole, strict=True) if is_whole]
    number[~flags] = np.arange(len(objects))
    return Column(flags, number, objects)


def joined(*columns: Column) -> Column:
    """Returns columns as one, in their order."""
    objects: list[Any] = []
    numbers = []
    for column in columns:
        numbers.append(np.where(column.whole, column.number, column.number + len(objects)))
        objects += column.objects
    return Column(np.concatenate([column.whole for column in columns]), np.concatenate(numbers), objects)


def elements_at(table: Table, row: int) -> list[Any]:
    """Returns what a row's list or set holds; nothing for nil.

    Raises:
        AnalysisError: If the value is neither.
    """
    if table.kind[row] == NIL:
        return []
    if table.kind[row] == PAIR:
        return [int(table.first[row]), int(table.second[row])]
    value = table.value(row)
    if isinstance(value, list):
        return value
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    f = table.f_names[table.f[row]]
    raise mistake(table, row, f"an ok {f} needs a list of elements, found {brief(value)}")


def listed(values: Iterable[Any]) -> str:
    """Returns values as a person reads them: whole numbers as intervals (`0..5 9`), then the others as JSON."""
    numbers: list[int] = []
    others: list[Any] = []
    for value in values:
        (numbers if type(value) is int else others).append(value)
    words = [format_intervals(numbers)] if numbers else []
    words += sorted(brief(value) for value in others[:SHOWN])
    return " ".join(words + ([f"... and {len(others) - SHOWN:,} more"] if len(others) > SHOWN else []))


def brief(value: Any) -> str:  # noqa: ANN401 - anything may stand in a history
    """Returns a value as JSON, cut after 80 characters."""
    try:
        text = msgspec.json.encode(value, enc_hook=str, order="deterministic").decode()
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 80 else f"{text[:77]}..."
