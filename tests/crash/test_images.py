"""A kill after every single store of every operation, and after every store of its repair.

Each store to the words goes through one view, so that the memory can be saved after each: the
image of a process that was killed right there. Every image must recover to all invariants, and
what was under way must have happened or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from ipcq.backends.memory import COMPILED
from ipcq.backends.memory.audit import audit
from ipcq.backends.memory.layout import (
    ACTIVITY,
    M_LIMITS,
    M_PARTS,
    M_RUN_AT,
    METRICS,
    METRICS_END,
    OP,
    ST_WRITING,
    STATUS_MASK,
)

from .operations import EVERYWHERE, UNDER_WAY, Case, busy, empty
from .simulation import Image, Simulation, Truth

pytestmark = pytest.mark.skipif(COMPILED, reason="nothing sees the stores; see test_uncompiled.py")

CASES = [
    *(
        pytest.param(case, empty, id=f"{case.name}, else empty", marks=pytest.mark.slow)
        for case in EVERYWHERE
    ),
    *(pytest.param(case, busy, id=case.name) for case in (*EVERYWHERE, *UNDER_WAY)),
]
_counted: dict[str, int] = {}

State = tuple[dict[int, Truth], list[int]]


def _images(case: Case, sim: Simulation) -> list[Image]:
    """The memory before the operation and after each of its stores."""
    return sim.images(case.begin(sim))


def _recovered(sim: Simulation, image: Image, dead: tuple[int, ...]) -> State:
    """What can be observed once others have put the queue in order and taken what the dead had."""
    sim.load(image)
    sim.mend(*dead)
    return _sound(sim)


def _sound(sim: Simulation) -> State:
    assert audit(sim.unwatched) == []
    return sim.truth(), sim.order()


def _agrees(state: State, before: State, after: State) -> None:
    """Each task is as if the operation had happened to it, or as if it had not."""
    truth, order = state
    for number in {*truth, *before[0], *after[0]}:
        assert truth.get(number) in (before[0].get(number), after[0].get(number)), f"task {number}"
    assert sorted(order) == sorted(set(order))
    assert _same_order(order, before[1]) or _same_order(order, after[1])


def _same_order(order: list[int], other: list[int]) -> bool:
    common = set(order) & set(other)
    return [n for n in order if n in common] == [n for n in other if n in common]


def _count(kind: str, images: int) -> None:
    _counted[kind] = _counted.get(kind, 0) + images
    _counted[f"{kind} operations"] = _counted.get(f"{kind} operations", 0) + 1


@pytest.fixture(scope="module", autouse=True)
def _told() -> Iterator[None]:
    """Say at the end how many images ran."""
    yield
    for kind in ("crash", "repair"):
        if kind in _counted:
            print(
                f"\n{kind} images: {_counted[kind]:,} images of {_counted[f'{kind} operations']} operations"
            )


@pytest.mark.parametrize(("case", "situation"), CASES)
def test_every_image_recovers(case: Case, situation: Callable[[], Simulation]) -> None:
    """After a kill at any store the queue is sound, and each task as before or as after."""
    sim = situation()
    images = _images(case, sim)
    before = _recovered(sim, images[0], case.dead)
    after = _recovered(sim, images[-1], case.dead)

    for image in images[1:-1]:
        _agrees(_recovered(sim, image, case.dead), before, after)

    _count("crash", len(images))
    assert len(images) > 3


@pytest.mark.parametrize(("case", "situation"), CASES)
def test_without_a_kill_nothing_needs_repair(case: Case, situation: Callable[[], Simulation]) -> None:
    """An operation that comes to its end leaves everything as a rebuild would make it."""
    sim = situation()
    case.begin(sim)()

    truth = _sound(sim)
    sim.rebuild()

    assert _sound(sim) == truth


CHANGES = [
    case for case in CASES if str(case.id).startswith(("put off", "bring forward", "resume", "update"))
]


@pytest.mark.parametrize(
    ("every", "inner"),
    [pytest.param(4, 223, id="some"), pytest.param(1, 7, id="all", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(("case", "situation"), CHANGES)
def test_a_change_is_whole(case: Case, situation: Callable[[], Simulation], every: int, inner: int) -> None:
    """After a kill at any store, and at any of the repair, all words of a task are new, or none is."""
    sim = situation()
    images = _images(case, sim)
    before, after = (_words(sim, image, case.dead) for image in (images[0], images[-1]))
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1

    for image in images[1:-1:every]:
        assert _words(sim, image, case.dead) in (before, after)
        sim.load(image)
        if sim.plain[OP]:
            for half_way in sim.images(sim.rebuild, inner):
                assert _words(sim, half_way, case.dead) in (before, after)


def _words(sim: Simulation, image: Image, dead: tuple[int, ...]) -> list[tuple[object, ...]]:
    """What may change of each task, once others have put the queue in order."""
    sim.load(image)
    sim.mend(*dead)
    return [
        (sim.number(slot), *(sim.meta(slot, at) for at in (M_RUN_AT, M_LIMITS, M_PARTS)), sim.payload(slot))
        for slot in sim.used()
        if sim.word(slot) & STATUS_MASK > ST_WRITING
    ]


@pytest.mark.parametrize(("case", "situation"), CASES)
def test_figures_are_off_by_one_at_most(case: Case, situation: Callable[[], Simulation]) -> None:
    """What is counted grows from store to store, and a repair leaves it: a kill costs what was to come."""
    sim = situation()
    images = _images(case, sim)
    figures = [_figures(sim, image) for image in images]

    for before, after in pairwise(figures):
        assert all(new >= old for old, new in zip(before, after, strict=True))
    sim.load(images[len(images) // 2])
    sim.rebuild()
    assert _figures(sim, sim.image()) == figures[len(images) // 2]


def _figures(sim: Simulation, image: Image) -> list[int]:
    """Every counter; the moment or the day is the upper half of those that have one."""
    sim.load(image)
    return [*sim.plain[METRICS:METRICS_END], *sim.plain[ACTIVITY : ACTIVITY + 8]]


def _repairs(case: Case, sim: Simulation, every: int, inner: int) -> Iterator[tuple[Image, Image]]:
    """Images that need a rebuild, each with images of that rebuild."""
    images = [image for image in _images(case, sim) if _needs_rebuild(sim, image)]
    for image in images[::every]:
        sim.load(image)
        for half_way in sim.images(sim.rebuild, inner)[1:]:
            yield image, half_way


def _needs_rebuild(sim: Simulation, image: Image) -> bool:
    sim.load(image)
    return sim.plain[OP] != 0


def _check_repairs(case: Case, sim: Simulation, every: int, inner: int) -> None:
    count = 0
    for image, half_way in _repairs(case, sim, every, inner):
        expected = _recovered(sim, image, case.dead)
        assert _recovered(sim, half_way, case.dead) == expected
        count += 1
    _count("repair", count)


@pytest.mark.parametrize(("case", "situation"), CASES)
def test_a_repair_may_itself_be_killed(case: Case, situation: Callable[[], Simulation]) -> None:
    """A rebuild killed on its way and run again gives what an undisturbed one gives (a sample)."""
    _check_repairs(case, situation(), 29, 151)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "situation"), CASES)
def test_a_repair_may_be_killed_anywhere(case: Case, situation: Callable[[], Simulation]) -> None:
    """The same for many more images and stores of the rebuild."""
    _check_repairs(case, situation(), 3, 17)
