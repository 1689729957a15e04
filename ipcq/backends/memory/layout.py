"""Where every word of a queue's shared memory is, and what its bits mean. Pure numbers.

The control file ``ctl.v1`` is an array of 64-bit words::

    page 0      header: never changes once the file is linked into place
    page 1      hot words: op, counters, heads of lists, sets of waiting participants
    page 2      figures: durations, what ended in each minute
    page 3...   participants, seats, state words, delay heap, id buckets, arena map, slot metadata

A slot's truth is its state word; everything else can be rebuilt from the state words and the
metadata of the slots that they say are in use.
"""

from __future__ import annotations

import zlib

__all__ = ["Geometry"]

MAGIC = 0x0031_5631_5143_5049  # "IPCQ1V1" as bytes
VERSION = 1
ENDIAN = 0x0102_0304_0506_0708
PAGE_WORDS = 512
WORD_MASK = 0xFFFF_FFFF_FFFF_FFFF
HALF_MASK = 0xFFFF_FFFF

# --- page 0: the header ---------------------------------------------------------------------
H_MAGIC = 0
H_VERSION = 1
H_ENDIAN = 2
H_LAYOUT = 3  # checksum over the numbers in this file
H_LOCK_KIND = 4
H_CAPACITY = 5
H_PARTICIPANTS = 6
H_ARENA_BYTES = 7
H_BLOB_BYTES = 8
H_RESULT_TTL = 9  # microseconds
H_FLAGS = 10
H_CREATED = 11  # microseconds since 1970, as every moment in here
H_CODEC = 12  # four words: its name, 32 bytes
H_CHECKSUM = 16  # over the words before it

LOCK_FCNTL = 1  # the uncompiled mode: a kernel byte lock
LOCK_WORD = 2  # the compiled mode: compare-and-swap on a word
FLAG_EPHEMERAL = 1

# --- page 1: hot words ----------------------------------------------------------------------
OP = 512  # not 0: a critical section is under way, or died
CLOSED = 513
SEQ = 514  # the next number in every order
FRESH = 515  # slots from here on were never used
SLOTS_COMMITTED = 516  # slots whose memory is there
ARENA_COMMITTED = 517  # arena blocks whose memory is there
FREE_HEAD = 518
HEAP_SIZE = 519
LEVELS = 520  # bit n: priority level n has ready tasks
UNFETCHED = 521  # list (head, tail): finished, known to nobody or noticed, result not fetched
FETCHED = 523  # list: finished and fetched; gives way when a place is needed
PAYLOAD_BLOCKS = 525
RESULT_BLOCKS = 526
PAYLOAD_BLOB_BYTES = 527
RESULT_BLOB_BYTES = 528
LAST_SWEEP = 529
REMOVED = 530  # grows whenever a result that nobody fetched is removed
REBUILDS = 531
RECLAIMED = 532  # tasks returned from dead owners, ever
PART_HIGH = 533  # participants from here on were never used
COUNTS = 534  # 16 words, one per status code
ACTIVITY = 550  # 8 words: day << 40 | tasks finished on that day
READY = 558  # 16 lists (head, tail), one per level
ARENA_HEADS = 590  # 16 words, one per block order
IDLE = 606  # set of participants that wait for work: summary word + 4 words
CROWDED = 611  # set of participants that wait for space
CURIOUS = 616  # set of participants that wait for tasks which others pushed
CRAMPED = 621  # set of workers whose result waits for room
HOT_END = 626
TOLD = 627  # grows whenever a worker tells how far a run is
LOCK = 640  # compiled: generation 32 bits | somebody sleeps 1 | owner's seat + 1; in a cache line of its own
LOCK_AWAITED = 1 << 31
LOCK_OWNER = LOCK_AWAITED - 1
DRAFT = 648  # the next version of a task that is being changed; see draft.py
DR_PLACE = 0  # generation << GEN_SHIFT | slot + 1; 0 where none is committed
DR_RUN_AT = 1
DR_LIMITS = 2
DR_TIMEOUT = 3
DR_PAYLOAD = 4
DR_PARTS = 5
DR_INLINE = 6  # 13 words
DRAFT_END = 667

LEVEL_COUNT = 16
LOWEST_PRIORITY = -7
SET_WORDS = 4
MAX_PARTICIPANTS = 64 * SET_WORDS

OP_DAMAGED = 255  # a critical section met what cannot be, and left it to a rebuild

# --- page 2: what is counted; see measure.py ---------------------------------------------------
METRICS = 1024
RUN_TIME = 1024  # microseconds that all runs took
RUN_FAILURES = 1025
TASKS_DONE = 1026
TASKS_KILLED = 1027
LAST_ACCEPTED = 1028
WAIT_TIME = 1029  # microseconds from their task being due until runs began, of all runs
MINUTES = 1032  # 64 words: minute << 32 | tasks finished in it
WAIT_TIMES = 1096  # words: how many runs began how long after their task was due, by class
RUN_TIMES = 1256  # how many runs took how long
BUCKETS = 160  # classes of durations
METRICS_END = 1416

# --- participants ---------------------------------------------------------------------------
PARTS_AT = 1536
PART_WORDS = 56
P_STATE = 0
P_GEN = 1
P_PID = 2
P_PIDNS = 3
P_START = 4  # the process's start time, clock ticks since boot
P_BOOT = 5
P_ROLE = 6
P_STARTED = 7
P_BEAT = 8
P_WAKE = 9  # the futex word: its low 32 bits
P_REQUEST = 10
P_RSS = 11
P_INBOX = 12  # list (head, tail): finished tasks it pushed and has not noticed
P_TASKS = 14  # places held by tasks it pushed and whose result it did not fetch
P_DONE = 15  # those of them that are finished
P_NAME = 16  # 16 words: 128 bytes, zero-padded
P_LAYERS = 32
P_OWNED = 48  # list (head, tail): slots it owns, WRITING, QUEUED and RUNNING ones
P_ASLEEP = 50  # 1 while it sleeps on its wake word, or is about to: who wakes it calls the kernel
NAME_BYTES = 128

PART_FREE = 0
PART_ACTIVE = 1
ROLE_CLIENT = 1
ROLE_WORKER = 2
REQUEST_STOP = 1
REQUEST_PAUSE = 2

# --- seats: who can own the lock word; one for each attached process --------------------------------
SEATS = 512
SEAT_WORDS = 8  # P_PID, P_PIDNS, P_START and P_BOOT, at the same offsets as in a participant's row

# --- state words ----------------------------------------------------------------------------
# status code 4 bits | flags 4 | owner + 1: 10 | deaths 8 | attempts 14 | generation 24
STATUS_MASK = 0xF
DELAYED = 1 << 4  # in the delay heap, not in a ready list
FETCHED_FLAG = 1 << 5
NOTICED = 1 << 6  # its submitter saw that it finished, and did not fetch it yet
AMENDED = 1 << 7  # what the draft says of it is true, and is being copied
FLAGS_MASK = 0xF0
OWNER_SHIFT = 8
OWNER_MASK = 0x3FF << OWNER_SHIFT
DEATHS_SHIFT = 18
DEATHS_MASK = 0xFF << DEATHS_SHIFT
ATTEMPTS_SHIFT = 26
ATTEMPTS_MASK = 0x3FFF << ATTEMPTS_SHIFT
COUNTED_MASK = DEATHS_MASK | ATTEMPTS_MASK
GEN_SHIFT = 40
GEN_MASK = 0xFFFFFF
LEASE_MASK = STATUS_MASK | OWNER_MASK | GEN_MASK << GEN_SHIFT
# What must be the same for what was read to be one task's, in one run.
SAME = STATUS_MASK | OWNER_MASK | COUNTED_MASK | AMENDED | GEN_MASK << GEN_SHIFT
MAX_ATTEMPTS = 0x3FFF
MAX_DEATHS = 0xFF

ST_FREE = 0
ST_WRITING = 1  # reserved; its producer is copying a large payload
ST_PENDING = 2  # from here on: Status + 2
ST_QUEUED = 3
ST_RUNNING = 4
ST_DONE = 5
ST_FAILED = 6
ST_KILLED = 7
ST_LAST = 7

# --- slot metadata --------------------------------------------------------------------------
META_WORDS = 40
M_SEQ = 0
M_ID_HI = 1
M_ID_LO = 2
M_RUN_AT = 3
M_CREATED = 4
M_LOCK_AT = 5
M_DONE_AT = 6
M_DONE_SEQ = 7
M_PROGRESS = M_DONE_SEQ  # while RUNNING: how far it is; PROGRESS_TOLD tells it from the other
M_LIMITS = 8
M_TIMEOUT = 9
M_EPOCH = 10
M_PAYLOAD = 11  # a descriptor, see below
M_PARTS = 12  # codec's checksum << 32 | bytes of metadata at the payload's end
M_RESULT = 13  # a descriptor
M_KIND = 14  # what the result is: codec's checksum << 32 | KIND_*
M_SUBMITTER = 15  # participant's generation << 16 | its index + 1
M_NEXT = 16
M_PREV = 17  # in the heap: its position there
M_HASH = 18
M_STARTED = 19
M_INLINE = 20  # 13 words: a small payload
M_RESULT_INLINE = 33  # 7 words: a small result
INLINE_WORDS = 13
PROGRESS_TOLD = 1 << 63  # floats: total, its sign 1, | done, its sign 0; no number in the order is so large
INLINE_BYTES = 8 * INLINE_WORDS
RESULT_INLINE_BYTES = 56

# limits: max_attempts 14 bits | max_deaths 8 | level 4 | keep 1
L_DEATHS_SHIFT = 14
L_LEVEL_SHIFT = 22
L_KEEP = 1 << 26
L_GIVEN_ID = 1 << 27  # the id came from the caller: look for a duplicate

KIND_NONE = 0
KIND_VALUE = 1
KIND_ERROR = 2  # an encoded ErrorInfo
KIND_DIED = 3  # seven words: pid, exit, rss, flags, 24 bytes of the name
DIED_OOM = 1
DIED_NAME_CUT = 2
KIND_CANCELLED = 4
EXIT_BIAS = 1 << 31  # added to an exit code, which may be negative; 0 is for "nobody saw it"
KIND_CORRUPT = 5  # garbage was found in the slot
KIND_NO_ROOM = 6  # the result found no place; inline: its size

# descriptor: kind 2 bits | order 6 | block 24 | length 32, or for a blob kind 2 | length 40 | version 22
D_NONE = 0
D_INLINE = 1
D_ARENA = 2
D_BLOB = 3

BLOB_LENGTH = (1 << 40) - 1
BLOB_VERSION_SHIFT = 42  # of a payload that an update brought; it tells its file from the one before
BLOB_VERSIONS = (1 << 22) - 1
VERSIONED = 1 << 62  # in place of an epoch in that file's name; no epoch is so large

BLOCK_BYTES = 256
TOP_ORDER = 10  # 256 KiB, the largest payload in the arena
ARENA_LIMIT = BLOCK_BYTES << TOP_ORDER
COPY_LIMIT = 4096  # larger payloads are copied outside of the critical section
HOARD = 5_000  # microseconds after which a QUEUED task is anybody's who has nothing to do
SLOT_CHUNK = 2048  # slots whose memory is committed at once
ARENA_CHUNK = 4 << TOP_ORDER  # blocks committed at once: 1 MiB


# --- the arena's map: what is in the word of the block that starts an area -----------------------
FREE_AREA = 1 << 63
USED_AREA = 1 << 62
ORDER_SHIFT = 56
LINK_MASK = (1 << 28) - 1  # the previous free area of the order, + 1
NEXT_SHIFT = 28

# --- staging: what a batch push reads, 8 words for each task ----------------------------------
S_WORDS = 8
S_ID_HI = 0
S_ID_LO = 1
S_OFFSET = 2
S_LENGTH = 3
S_RUN_AT = 4
S_LIMITS = 5
S_TIMEOUT = 6
S_PARTS = 7


# what an update reads behind the first of these
U_SOURCE = 8
U_HOME = 9  # the slot in which the payload was written
U_HOME_GEN = 10
U_OWNER = 11  # the row of who wrote it
U_VERSION = 12  # of its file; 0 where it is none
SOURCE_KEPT = 0  # the payload is to stay
SOURCE_GIVEN = 1  # it is given, up to COPY_LIMIT bytes
SOURCE_WRITTEN = 2  # it was written already, as that of a task to be pushed

# --- process-private words beside the shared ones -------------------------------------------------
OUT_WORDS = 8192
STAGE_WORDS = 1024
WAKES = 1024  # where in `out` the participants to wake are listed: a count, then their rows
MOST_TAKEN = WAKES // 2  # tasks taken in one hold of the lock: two words each, in front of the wakes
UNLINKS = 2048  # likewise the blob files to remove: a count, then triples (slot, generation, epoch)

# --- what a critical section answers ----------------------------------------------------------
OK = 0
FULL = 1  # no place, and none can be made
NEED_SLOTS = 2  # commit memory for more slots, then call again
NEED_ARENA = 3
NO_BYTES = 4  # the byte budget is used up
DUPLICATE = 5
LOST = 6  # the lease is not valid
GONE = 7
REFUSED = 8
BUSY = 9  # its owner is storing the result
STARTED = 10  # OK, and the task that follows is RUNNING
NOBODY = 1 << 32  # in place of a count: the participant's row is not its own any more


def layout_hash() -> int:
    """A checksum over every number above: two layouts that differ never share memory."""
    numbers = sorted((k, v) for k, v in globals().items() if k.isupper() and isinstance(v, int))
    return zlib.crc32(repr(numbers).encode())


def _pages(words: int) -> int:
    return -(-words // PAGE_WORDS) * PAGE_WORDS


class Geometry:
    """Where the sections of one queue start, in words, from its counts.

    Attributes:
        capacity: slots.
        participants: rows for attached processes and workers.
        arena_blocks: blocks of 256 bytes.
        total: words in the control file.
        meta_at: where the slot metadata starts; all before it is committed at creation.
    """

    def __init__(self, capacity: int, participants: int, arena_bytes: int) -> None:
        self.capacity = capacity
        self.participants = participants
        self.arena_blocks = arena_bytes // BLOCK_BYTES
        self.buckets = 1 << max(4, (capacity - 1).bit_length())
        self.seats_at = PARTS_AT + _pages(participants * PART_WORDS)
        self.state_at = self.seats_at + _pages(SEATS * SEAT_WORDS)
        self.heap_at = self.state_at + _pages(capacity)
        self.buckets_at = self.heap_at + _pages(capacity)
        self.map_at = self.buckets_at + _pages(self.buckets)
        self.meta_at = self.map_at + _pages(self.arena_blocks)
        self.total = self.meta_at + _pages(capacity * META_WORDS)
