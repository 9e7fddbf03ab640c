"""One object's calls as the search walks them: return by return, with the calls that are pending at each.

A live call takes a slot when it is invoked and gives it back when it returns, so that a configuration has one bit for
each call that can be pending at once, not one for each call of the history. Crashed calls never return; those that are
alike differ in nothing but their beginning, so a configuration counts how many of each kind it has used, the earliest
first, and the counts are packed into words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from analysis.compiled import compiled
from analysis.linear.effects import NEVER, WRITE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.linear.effects import Effects


class Problem(NamedTuple):
    """The calls of one object: n returns, c kinds of crashed calls.

    Attributes:
        call: int64[n], the place among the given calls of the one that returns.
        pending_start: int64[n + 1]; the live calls that are pending just before return k are those from
            pending_start[k] to pending_start[k + 1], in the order of their returns, so that the returning one is first.
        pending_slot: int32[p], their slots.
        pending_operation: int32[p], their operations.
        crashed_operation: int32[c], the operation of each kind.
        crashed_start: int64[c + 1]; the crashed calls of a kind are those from crashed_start[i] to crashed_start[i+1].
        crashed_from: int64[crashed calls], the first return before which each was invoked, ascending in a kind.
        crashed_call: int64[crashed calls], the place among the given calls.
        crashed_word: int32[c], the word of a configuration that counts the kind, after those for live calls;
        crashed_shift: int32[c], the lowest bit of the count there;
        crashed_mask: int64[c], as many low bits as the count has.
        plain: int64[n, live_words]: the slots of pending calls that are not blind, just before each return.
        plain_kinds: How many kinds of crashed calls are not blind; they come first.
        live_words: Words for live calls in a configuration: so many say which are linearized, as many, which excused.
        words: Words in a configuration, of 64 bits.
    """

    call: NDArray[np.int64]
    pending_start: NDArray[np.int64]
    pending_slot: NDArray[np.int32]
    pending_operation: NDArray[np.int32]
    crashed_operation: NDArray[np.int32]
    crashed_start: NDArray[np.int64]
    crashed_from: NDArray[np.int64]
    crashed_call: NDArray[np.int64]
    crashed_word: NDArray[np.int32]
    crashed_shift: NDArray[np.int32]
    crashed_mask: NDArray[np.int64]
    plain: NDArray[np.int64]
    plain_kinds: int
    live_words: int
    words: int


@compiled
def make_problem(  # noqa: PLR0913, PLR0917 - compiled code has no objects
    effects: Effects,
    operation: NDArray[np.int32],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
    size: int,
    slots: int,
) -> Problem:
    """Lays out one object's calls, given in the order of their invocation.

    Args:
        effects: What the operations do.
        operation: int32[m], each call's operation.
        invoked: int64[m], ascending.
        returned: int64[m], `NEVER` for crashed calls.
        size: The pairs of a return and a pending call, as `measure` counts them.
        slots: The most calls that are pending at once.
    """
    live_words = (max(slots, 1) + 63) // 64
    call, start, slot, pending, before, crashed = _lay_out(operation, invoked, returned, size, max(slots, 1))
    order = np.argsort(_sorts(effects, operation, crashed), kind="mergesort")
    kinds, first = _kinds(operation, crashed, order)
    word, shift, mask, words = _pack(first, 2 * live_words)
    plain_kinds = 0
    while plain_kinds < len(kinds) and effects.code[kinds[plain_kinds]] != WRITE:
        plain_kinds += 1
    return Problem(
        call,
        start,
        slot,
        pending,
        kinds,
        first,
        before[order],
        crashed[order],
        word,
        shift,
        mask,
        _plain_slots(effects, start, slot, pending, live_words),
        plain_kinds,
        live_words,
        words,
    )


@compiled
def measure(invoked: NDArray[np.int64], returned: NDArray[np.int64], bound: int) -> tuple[int, int]:
    """Counts the pairs of a return and a pending call, and the most calls that are pending at once.

    Returns:
        The two; the first is -1 where it is more than `bound`.
    """
    size, most, count = 0, 0, 0
    active = np.empty(16, np.int64)  # the returns of the pending calls, the next one last
    for at in range(len(invoked) + 1):
        now = invoked[at] if at < len(invoked) else NEVER
        while count > 0 and active[count - 1] < now:
            size += count
            count -= 1
        if at == len(invoked) or returned[at] == NEVER:
            continue
        if size > bound or count > bound:
            return -1, most
        if count == len(active):
            active = np.concatenate((active, np.empty_like(active)))
        place = count
        while place > 0 and active[place - 1] < returned[at]:
            active[place] = active[place - 1]
            place -= 1
        active[place] = returned[at]
        count += 1
        most = max(most, count)
    return (size if size <= bound else -1), most


@compiled
def _lay_out(
    operation: NDArray[np.int32], invoked: NDArray[np.int64], returned: NDArray[np.int64], size: int, slots: int
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]
]:
    """Walks over the calls, with those that are pending sorted by their returns.

    Returns:
        The call of each return; where its pending calls begin, their slots and operations; for each crashed call the
        returns before it; the crashed calls.
    """
    live = 0
    for at in range(len(invoked)):
        live += returned[at] != NEVER
    call = np.empty(live, np.int64)
    start = np.zeros(live + 1, np.int64)
    slot = np.empty(size, np.int32)
    pending = np.empty(size, np.int32)
    crashed = np.empty(len(invoked) - live, np.int64)
    before = np.empty(len(invoked) - live, np.int64)
    free = np.arange(slots - 1, -1, -1)
    free_count = slots
    active = np.empty(slots + 1, np.int64)  # the pending calls by their return, the next one last
    active_slot = np.empty(slots + 1, np.int32)
    count, k, filled, gone = 0, 0, 0, 0
    for at in range(len(invoked) + 1):
        now = invoked[at] if at < len(invoked) else NEVER
        while count > 0 and returned[active[count - 1]] < now:
            for place in range(count - 1, -1, -1):
                slot[filled], pending[filled] = active_slot[place], operation[active[place]]
                filled += 1
            count -= 1
            call[k] = active[count]
            k += 1
            start[k] = filled
            free[free_count] = active_slot[count]
            free_count += 1
        if at == len(invoked):
            break
        if returned[at] == NEVER:
            crashed[gone], before[gone] = at, k
            gone += 1
            continue
        place = count
        while place > 0 and returned[active[place - 1]] < returned[at]:
            active[place], active_slot[place] = active[place - 1], active_slot[place - 1]
            place -= 1
        free_count -= 1
        active[place], active_slot[place] = at, free[free_count]
        count += 1
    return call, start, slot, pending, before, crashed


@compiled
def _sorts(effects: Effects, operation: NDArray[np.int32], crashed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns what puts crashed calls of a kind together, the writes last."""
    sorts = np.empty(len(crashed), np.int64)
    for at in range(len(crashed)):
        number = operation[crashed[at]]
        sorts[at] = number + len(effects.code) * (effects.code[number] == WRITE)
    return sorts


@compiled
def _kinds(
    operation: NDArray[np.int32], crashed: NDArray[np.int64], order: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Returns the operation of each kind of crashed calls, and where in their order it begins."""
    kinds = np.empty(len(crashed), np.int32)
    first = np.empty(len(crashed) + 1, np.int64)
    count = 0
    for at in range(len(crashed)):
        number = operation[crashed[order[at]]]
        if count == 0 or kinds[count - 1] != number:
            kinds[count], first[count] = number, at
            count += 1
    first[count] = len(crashed)
    return kinds[:count].copy(), first[: count + 1].copy()


@compiled
def _pack(first: NDArray[np.int64], words: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], int]:
    """Finds a word and bits in it for the count of each kind; no count spans two words, nor uses the sign."""
    count = len(first) - 1
    word = np.empty(count, np.int32)
    shift = np.empty(count, np.int32)
    mask = np.empty(count, np.int64)
    used = 63
    for kind in range(count):
        width = 1
        while (first[kind + 1] - first[kind]) >> width:
            width += 1
        if used + width > 63:
            words, used = words + 1, 0
        word[kind], shift[kind], mask[kind] = words - 1, used, (1 << width) - 1
        used += width
    return word, shift, mask, words


@compiled
def _plain_slots(
    effects: Effects,
    start: NDArray[np.int64],
    slot: NDArray[np.int32],
    operation: NDArray[np.int32],
    live_words: int,
) -> NDArray[np.int64]:
    plain = np.zeros((len(start) - 1, live_words), np.int64)
    for k in range(len(start) - 1):
        for at in range(start[k], start[k + 1]):
            if effects.code[operation[at]] != WRITE:
                plain[k, slot[at] >> 6] |= 1 << (slot[at] & 63)
    return plain
