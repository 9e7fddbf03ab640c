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
from analysis.linear.calls import NEVER
from analysis.linear.natures import BLIND

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


def make_problem(
    natures: NDArray[np.int8],
    operation: NDArray[np.int32],
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
    bound: int,
) -> Problem | None:
    """Lays out one object's calls, given in the order of their invocation.

    Args:
        natures: int8[operations]: `PLAIN`, `PURE` or `BLIND`.
        operation: int32[m], each call's operation.
        invoked: int64[m], ascending.
        returned: int64[m], `NEVER` for crashed calls.
        bound: See what it returns.

    Returns:
        None where more than `bound` pairs of a return and a pending call would have to be held.
    """
    live = np.flatnonzero(returned != NEVER)
    call = live[np.argsort(returned[live])]
    size, slots = _measure(invoked[live], returned[call])
    if size > bound:
        return None
    start, slot, pending = _lay_out(invoked, returned, call, live, size, max(slots, 1))
    live_words = (max(slots, 1) + 63) // 64
    crashed = np.flatnonzero(returned == NEVER)
    sorts = operation[crashed] + len(natures) * (natures[operation[crashed]] == BLIND)  # the blind kinds last
    by_kind = np.argsort(sorts, kind="stable")
    crashed = crashed[by_kind]
    kinds, first, counts = np.unique(sorts[by_kind], return_index=True, return_counts=True)
    word, shift, mask, words = _pack(counts, 2 * live_words)
    return Problem(
        call=call,
        pending_start=start,
        pending_slot=slot,
        pending_operation=operation[pending],
        crashed_operation=(kinds % max(len(natures), 1)).astype(np.int32),
        crashed_start=np.append(first, len(crashed)).astype(np.int64),
        crashed_from=np.searchsorted(returned[call], invoked[crashed]),
        crashed_call=crashed,
        crashed_word=word,
        crashed_shift=shift,
        crashed_mask=mask,
        plain=_plain_slots(natures, start, slot, operation[pending], live_words),
        plain_kinds=int(np.count_nonzero(kinds < len(natures))),
        live_words=live_words,
        words=words,
    )


def _pack(counts: NDArray[np.int64], words: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], int]:
    """Finds a word and bits in it for the count of each kind; no count spans two words, nor uses the sign."""
    word = np.empty(len(counts), np.int32)
    shift = np.empty(len(counts), np.int32)
    mask = np.empty(len(counts), np.int64)
    used = 63
    for kind, count in enumerate(counts.tolist()):
        width = count.bit_length()
        if used + width > 63:
            words, used = words + 1, 0
        word[kind], shift[kind], mask[kind] = words - 1, used, (1 << width) - 1
        used += width
    return word, shift, mask, words


@compiled
def _plain_slots(
    natures: NDArray[np.int8],
    start: NDArray[np.int64],
    slot: NDArray[np.int32],
    operation: NDArray[np.int32],
    live_words: int,
) -> NDArray[np.int64]:
    plain = np.zeros((len(start) - 1, live_words), np.int64)
    for k in range(len(start) - 1):
        for at in range(start[k], start[k + 1]):
            if natures[operation[at]] != BLIND:
                plain[k, slot[at] >> 6] |= 1 << (slot[at] & 63)
    return plain


@compiled
def _measure(invoked: NDArray[np.int64], returned: NDArray[np.int64]) -> tuple[int, int]:
    """Returns how many pairs of a return and a pending call there are, and how many calls are pending at most."""
    size, most, begun = 0, 0, 0
    for k in range(len(returned)):
        while begun < len(invoked) and invoked[begun] < returned[k]:
            begun += 1
        pending = begun - k
        size += pending
        most = max(most, pending)
    return size, most


@compiled
def _lay_out(  # noqa: PLR0913, PLR0917 - what a compiled function reads it is given
    invoked: NDArray[np.int64],
    returned: NDArray[np.int64],
    call: NDArray[np.int64],
    live: NDArray[np.int64],
    size: int,
    slots: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """Returns where each return's pending calls begin, their slots, and the calls."""
    rank = np.empty(len(invoked), np.int64)
    rank[call] = np.arange(len(call))
    start = np.zeros(len(call) + 1, np.int64)
    slot = np.empty(size, np.int32)
    pending = np.empty(size, np.int64)
    free = np.arange(slots - 1, -1, -1)
    free_count = slots
    active = np.empty(slots + 1, np.int64)  # by their return, the next one last
    active_slot = np.empty(slots + 1, np.int32)
    count, begun, at = 0, 0, 0
    for k in range(len(call)):
        while begun < len(live) and invoked[live[begun]] < returned[call[k]]:
            place = count
            while place > 0 and rank[active[place - 1]] < rank[live[begun]]:
                active[place], active_slot[place] = active[place - 1], active_slot[place - 1]
                place -= 1
            free_count -= 1
            active[place], active_slot[place] = live[begun], free[free_count]
            count += 1
            begun += 1
        slot[at : at + count] = active_slot[:count][::-1]
        pending[at : at + count] = active[:count][::-1]
        at += count
        start[k + 1] = at
        count -= 1
        free[free_count] = active_slot[count]
        free_count += 1
    return start, slot, pending
