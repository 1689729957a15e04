"""The invariants as code: what must hold in the words whenever the lock is free and op is 0.

Not a critical section: it copies the words, rebuilds the copy and compares. Tests call it after
every store that a kill could follow, and at the end of each kill test.
"""

from __future__ import annotations

from collections.abc import Callable

from .core import Core
from .layout import (
    AMENDED,
    ARENA_COMMITTED,
    ARENA_HEADS,
    ATTEMPTS_MASK,
    ATTEMPTS_SHIFT,
    BLOCK_BYTES,
    COUNTS,
    CRAMPED,
    CROWDED,
    CURIOUS,
    D_INLINE,
    DEATHS_MASK,
    DEATHS_SHIFT,
    DR_PLACE,
    DRAFT,
    FETCHED,
    FREE_AREA,
    FREE_HEAD,
    FRESH,
    HEAP_SIZE,
    IDLE,
    L_DEATHS_SHIFT,
    LEVEL_COUNT,
    LEVELS,
    LINK_MASK,
    M_DONE_SEQ,
    M_EPOCH,
    M_HASH,
    M_INLINE,
    M_LIMITS,
    M_NEXT,
    M_PAYLOAD,
    M_PREV,
    M_RUN_AT,
    M_SEQ,
    MAX_ATTEMPTS,
    MAX_DEATHS,
    META_WORDS,
    NEXT_SHIFT,
    OP,
    ORDER_SHIFT,
    OUT_WORDS,
    P_DONE,
    P_INBOX,
    P_OWNED,
    P_STATE,
    P_TASKS,
    PART_ACTIVE,
    PART_FREE,
    PART_HIGH,
    PAYLOAD_BLOB_BYTES,
    PAYLOAD_BLOCKS,
    READY,
    RESULT_BLOB_BYTES,
    RESULT_BLOCKS,
    SEQ,
    SET_WORDS,
    SLOTS_COMMITTED,
    ST_DONE,
    ST_FAILED,
    ST_FREE,
    ST_KILLED,
    ST_LAST,
    ST_QUEUED,
    ST_RUNNING,
    ST_WRITING,
    STATUS_MASK,
    TOP_ORDER,
    UNFETCHED,
    Geometry,
)
from .rebuild import Rebuild
from .slots import finished, owner

__all__ = ["audit"]

SETS = {"idle": IDLE, "crowded": CROWDED, "curious": CURIOUS, "cramped": CRAMPED}
BYTES = {
    "blocks of payloads": PAYLOAD_BLOCKS,
    "blocks of results": RESULT_BLOCKS,
    "blob bytes of payloads": PAYLOAD_BLOB_BYTES,
    "blob bytes of results": RESULT_BLOB_BYTES,
}
LINKS = (M_NEXT, M_PREV, M_HASH)


def audit(core: Core) -> list[str]:
    """Every invariant that is violated, in words for people; empty when the queue is whole.

    The caller holds the lock, or knows that nobody else is at work.
    """
    problems: list[str] = []
    if core.w[OP]:
        problems.append(f"op is {core.w[OP]}: a critical section is under way, or died")
    if core.w[DRAFT + DR_PLACE]:
        problems.append(f"a draft was committed and left there: {core.w[DRAFT + DR_PLACE]:x}")
    _check_ranges(core, problems.append)
    if problems:
        return problems
    for slot in range(core.w[FRESH]):
        _check_slot(core, slot, problems.append)
    _check_sets(core, problems.append)
    _compare(core, problems.append)
    return problems


Tell = Callable[[str], None]
Derived = dict[str, object]


# --- the truth --------------------------------------------------------------------------------


def _check_ranges(core: Core, tell: Tell) -> None:
    w = core.w
    if not w[FRESH] <= w[SLOTS_COMMITTED] <= core.capacity:
        tell(f"slots: {w[FRESH]} used, {w[SLOTS_COMMITTED]} committed, {core.capacity} in all")
    if w[ARENA_COMMITTED] > core.arena.blocks:
        tell(f"arena: {w[ARENA_COMMITTED]} blocks committed of {core.arena.blocks}")
    if w[PART_HIGH] > core.participants:
        tell(f"participants: {w[PART_HIGH]} used of {core.participants}")
    for index in range(core.participants):
        state = w[core.row(index) + P_STATE]
        if state not in (PART_FREE, PART_ACTIVE) or (state == PART_ACTIVE and index >= w[PART_HIGH]):
            tell(f"participant {index}: state {state}, {w[PART_HIGH]} used")
    for slot in range(min(w[FRESH], core.capacity), core.capacity):
        if w[core.state_at + slot]:
            tell(f"slot {slot}: in use, but only {w[FRESH]} ever were")


def _check_slot(core: Core, slot: int, tell: Tell) -> None:
    w = core.w
    word = w[core.state_at + slot]
    m = core.meta_at + slot * META_WORDS
    status = word & STATUS_MASK
    if status == ST_FREE:
        return
    if word & AMENDED:
        tell(f"slot {slot}: it is being changed, and nobody does")
    _check_owner(core, slot, tell)
    _check_limits(slot, word, w[m + M_LIMITS], tell)
    if status != ST_WRITING and w[m + M_SEQ] >= w[SEQ]:
        tell(f"slot {slot}: accepted as number {w[m + M_SEQ]}, the next one is {w[SEQ]}")
    if finished(word) and w[m + M_DONE_SEQ] >= w[SEQ]:
        tell(f"slot {slot}: finished as number {w[m + M_DONE_SEQ]}, the next one is {w[SEQ]}")
    if finished(word) and not w[m + M_DONE_SEQ]:
        tell(f"slot {slot}: finished without a number")
    if status == ST_DONE and w[m + M_PAYLOAD] & 3 > D_INLINE:
        tell(f"slot {slot}: DONE, and its payload still takes memory")


def _check_owner(core: Core, slot: int, tell: Tell) -> None:
    """I4, and that a lease has an epoch."""
    w = core.w
    word = w[core.state_at + slot]
    status = word & STATUS_MASK
    if (owner(word) > 0) != (status in (ST_WRITING, ST_QUEUED, ST_RUNNING)):
        tell(f"slot {slot}: status {status}, owner {owner(word) - 1}")
    elif owner(word) > core.participants:
        tell(f"slot {slot}: owner {owner(word) - 1} of {core.participants} participants")
    elif owner(word) and w[core.row(owner(word) - 1) + P_STATE] != PART_ACTIVE:
        tell(f"slot {slot}: its owner {owner(word) - 1} is not active")
    if status in (ST_QUEUED, ST_RUNNING) and not w[core.meta_at + slot * META_WORDS + M_EPOCH]:
        tell(f"slot {slot}: handed out without an epoch")


def _check_limits(slot: int, word: int, limits: int, tell: Tell) -> None:
    """I9: a task that is owed a run has a death and, after a failure, an attempt left."""
    status = word & STATUS_MASK
    attempts = (word & ATTEMPTS_MASK) >> ATTEMPTS_SHIFT
    deaths = (word & DEATHS_MASK) >> DEATHS_SHIFT
    most = limits >> L_DEATHS_SHIFT & MAX_DEATHS
    if deaths > most + (status == ST_KILLED):
        tell(f"slot {slot}: {deaths} deaths of {most}")
    if status == ST_FAILED and attempts >= limits & MAX_ATTEMPTS:
        tell(f"slot {slot}: FAILED after {attempts} attempts of {limits & MAX_ATTEMPTS}")


def _check_sets(core: Core, tell: Tell) -> None:
    """Whoever waits is active, and is seen by who looks at the summary only."""
    w = core.w
    for name, at in SETS.items():
        for part in range(SET_WORDS):
            members = w[at + 1 + part]
            if members and not w[at] >> part & 1:
                tell(f"{name}: word {part} has members that the summary does not show")
            for index in (64 * part + bit for bit in range(members.bit_length()) if members >> bit & 1):
                if index >= core.participants or w[core.row(index) + P_STATE] != PART_ACTIVE:
                    tell(f"{name}: member {index} is not active")


# --- what is derived (I2) ---------------------------------------------------------------------


def _compare(core: Core, tell: Tell) -> None:
    """Whether a rebuild of a copy leads to what is there: the same truth, the same structures."""
    here = _derived(core, tell)
    copy = _copy(core)
    corrupt = Rebuild(copy).rebuild(0)
    if corrupt:
        tell(f"{corrupt} slots hold garbage")
    there = _derived(copy, lambda problem: tell(f"after a rebuild: {problem}"))
    for name, value in here.items():
        if value != there[name]:
            tell(f"{name}: {value}, a rebuild gives {there[name]}")
    for slot in range(core.w[FRESH]):
        if _truth(core, slot) != _truth(copy, slot):
            tell(f"slot {slot}: a rebuild changes its task")


def _copy(core: Core) -> Core:
    geometry = Geometry(core.capacity, core.participants, core.arena.blocks * BLOCK_BYTES)
    # Beyond what is committed even a look takes memory: on a full file system, a SIGBUS.
    committed = 8 * (core.meta_at + core.w[SLOTS_COMMITTED] * META_WORDS)
    data = memoryview(bytearray(geometry.total * 8))
    data[:committed] = core.b[:committed]
    words = data.cast("Q")
    nothing = memoryview(bytearray())
    return Core(words, nothing, nothing, geometry, _words(OUT_WORDS), _words(0))


def _words(count: int) -> memoryview:
    return memoryview(bytearray(count * 8)).cast("Q")


def _truth(core: Core, slot: int) -> list[int]:
    """The words of a task, without the links; of a free slot only that it is free."""
    w = core.w
    word = w[core.state_at + slot]
    if word & STATUS_MASK == ST_FREE:
        return [word]
    m = core.meta_at + slot * META_WORDS
    return [word] + [w[m + n] for n in range(M_INLINE) if n not in LINKS]


def _derived(core: Core, tell: Tell) -> Derived:
    """All derived structures as plain values."""
    w = core.w
    found: Derived = {"counts": {n: w[COUNTS + n] for n in range(16) if n <= ST_LAST or w[COUNTS + n]}}
    found |= {name: w[at] for name, at in BYTES.items()}
    found["free slots"] = _free(core, tell)
    found["ready levels"] = w[LEVELS]
    for level in range(LEVEL_COUNT):
        found[f"ready, level {level}"] = _ordered(core, READY + 2 * level, M_SEQ, f"ready {level}", tell)
    found["delayed"] = _heap(core, tell)
    found["unfetched"] = _ordered(core, UNFETCHED, M_DONE_SEQ, "unfetched", tell)
    found["fetched"] = _ordered(core, FETCHED, M_DONE_SEQ, "fetched", tell)
    for index in range(w[PART_HIGH]):
        found |= _row(core, index, tell)
    found["ids"] = _buckets(core, tell)
    found["arena"] = _arena(core, tell)
    return found


def _row(core: Core, index: int, tell: Tell) -> Derived:
    """What is derived in the row of an active participant."""
    w = core.w
    row = core.row(index)
    if w[row + P_STATE] != PART_ACTIVE:
        return {}
    name = f"participant {index}"
    return {
        f"{name}'s tasks": w[row + P_TASKS],
        f"{name}'s finished tasks": w[row + P_DONE],
        f"{name}'s inbox": _ordered(core, row + P_INBOX, M_DONE_SEQ, f"{name}'s inbox", tell),
        f"what {name} owns": set(_chain(core, row + P_OWNED, f"what {name} owns", tell)),
    }


def _ordered(core: Core, head: int, key: int, name: str, tell: Tell) -> list[tuple[int, int]]:
    """A list that is kept in the order of a metadata word, as pairs of that and the slot."""
    slots = _chain(core, head, name, tell)
    pairs = [(core.w[core.meta_at + slot * META_WORDS + key], slot) for slot in slots]
    if pairs != sorted(pairs, key=lambda pair: pair[0]):
        tell(f"{name}: not in order: {pairs}")
    return sorted(pairs)


def _chain(core: Core, head: int, name: str, tell: Tell) -> list[int]:
    """The slots of a doubly linked list."""
    w = core.w
    slots: list[int] = []
    previous, at = 0, w[head]
    while at:
        if at > core.capacity or len(slots) >= core.capacity:
            tell(f"{name}: its links lead to {at - 1} after {len(slots)} slots")
            return slots
        slots.append(at - 1)
        m = core.meta_at + (at - 1) * META_WORDS
        if w[m + M_PREV] != previous:
            tell(f"{name}: slot {at - 1} follows {previous - 1}, but says {w[m + M_PREV] - 1}")
        previous, at = at, w[m + M_NEXT]
    if w[head + 1] != previous:
        tell(f"{name}: ends with {previous - 1}, but its tail is {w[head + 1] - 1}")
    return slots


def _free(core: Core, tell: Tell) -> set[int]:
    w = core.w
    slots: set[int] = set()
    at = w[FREE_HEAD]
    while at:
        if at > core.capacity or at - 1 in slots:
            tell(f"free slots: the links lead to {at - 1} after {len(slots)} slots")
            break
        slots.add(at - 1)
        at = w[core.meta_at + (at - 1) * META_WORDS + M_NEXT]
    return slots


def _heap(core: Core, tell: Tell) -> set[int]:
    w = core.w
    size = w[HEAP_SIZE]
    if size > core.capacity:
        tell(f"delayed: {size} tasks in {core.capacity} slots")
        return set()
    slots = [w[core.delay.heap_at + at] for at in range(size)]
    if len(set(slots)) < size or any(slot >= core.capacity for slot in slots):
        tell(f"delayed: {slots}")
        return set()
    metas = [core.meta_at + slot * META_WORDS for slot in slots]
    keys = [(w[m + M_RUN_AT], slot) for m, slot in zip(metas, slots, strict=True)]
    for at in range(size):
        if w[metas[at] + M_PREV] != at:
            tell(f"delayed: slot {slots[at]} is at {at}, but says {w[metas[at] + M_PREV]}")
        if at and keys[at] < keys[(at - 1) // 4]:
            tell(f"delayed: {keys[at]} at {at} is due before what is above it")
    return set(slots)


def _buckets(core: Core, tell: Tell) -> dict[int, set[int]]:
    w = core.w
    found: dict[int, set[int]] = {}
    for bucket in range(core.buckets):
        at = w[core.buckets_at + bucket]
        slots: set[int] = set()
        while at:
            if at > core.capacity or at - 1 in slots:
                tell(f"ids: the links of bucket {bucket} lead to {at - 1} after {len(slots)} slots")
                break
            slots.add(at - 1)
            at = w[core.meta_at + (at - 1) * META_WORDS + M_HASH]
        if slots:
            found[bucket] = slots
    return found


def _arena(core: Core, tell: Tell) -> dict[int, tuple[bool, int]]:
    """The areas by their first block: whether it is free, and its order. They fill the arena (I7)."""
    w = core.w
    at_map = core.arena.map_at
    areas: dict[int, tuple[bool, int]] = {}
    block = 0
    while block < w[ARENA_COMMITTED]:
        word = w[at_map + block]
        order = word >> ORDER_SHIFT & 31
        if not word or order > TOP_ORDER:
            tell(f"arena: no area starts at block {block}")
            return areas
        areas[block] = (bool(word & FREE_AREA), order)
        inner = range(block + 1, block + (1 << order))
        if inner.stop > w[ARENA_COMMITTED] or any(w[at_map + at] for at in inner):
            tell(f"arena: the area at block {block} overlaps what follows")
        block = inner.stop
    linked = {block: (True, order) for order in range(TOP_ORDER + 1) for block in _areas(core, order, tell)}
    if linked != {block: area for block, area in areas.items() if area[0]}:
        tell(f"arena: the lists of free areas hold {linked}, the map shows {areas}")
    return areas


def _areas(core: Core, order: int, tell: Tell) -> list[int]:
    """The blocks in the list of free areas of one order."""
    w = core.w
    blocks: list[int] = []
    previous, at = 0, w[ARENA_HEADS + order]
    while at:
        if at > core.arena.blocks or len(blocks) > core.arena.blocks:
            tell(f"arena: the free areas of order {order} lead to block {at - 1}")
            break
        word = w[core.arena.map_at + at - 1]
        if word & LINK_MASK != previous:
            tell(f"arena: block {at - 1} follows {previous - 1}, but says {(word & LINK_MASK) - 1}")
        blocks.append(at - 1)
        previous, at = at, word >> NEXT_SHIFT & LINK_MASK
    return blocks
