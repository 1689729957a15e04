"""Limits that processes share: turns and permits."""

from __future__ import annotations

import os
import signal
from functools import partial

from ...backend import Permit
from ..acts import begin_turns, fork_and_hold, hold, let_go
from ..check import proves
from ..expecting import eventually, expect, expect_equal, expect_raises, expect_some
from ..scene import Scene

_SOON = 5.0  # seconds: by far enough for a second, on a busy machine too
_SLOW = 0.001  # turns in a second


def _permit(scene: Scene, limit: int = 1, name: str = "limit") -> Permit:
    what = f"a permit of {limit}"
    return expect_some(eventually(partial(scene.backend.take_permit, name, limit), what, _SOON), what)


def _refused(scene: Scene, limit: int = 1, name: str = "limit") -> None:
    expect(scene.backend.take_permit(name, limit) is None, f"there was one more than {limit}")


def turns_are_shared(scene: Scene) -> None:
    """Of turns there are as many as the burst says, for all processes together; the next one is far."""
    there = scene.elsewhere()
    expect_equal(scene.here.do(begin_turns, "turns", _SLOW, 3, 2), 2, "turns here")
    expect_equal(there.do(begin_turns, "turns", _SLOW, 3, 2), 1, "turns there")
    turn = scene.backend.take_turn("turns", _SLOW, 3)
    expect(not turn.taken and turn.wait > 1, f"the next one: {turn}")


def turns_come_back(scene: Scene) -> None:
    """After the time that was told there is a turn again; a killed process costs the others what it took."""
    there = scene.elsewhere()
    expect_equal(there.do(begin_turns, "turns", 10.0, 1, 1), 1, "turns there")
    there.kill()
    eventually(lambda: scene.backend.take_turn("turns", 10.0).taken, "another turn", _SOON)


def each_name_has_its_own(scene: Scene) -> None:
    """Limits of other names know nothing of each other, nor turns of permits."""
    first = _permit(scene, name="first")
    _refused(scene, name="first")
    second = _permit(scene, name="second")
    expect_equal(scene.here.do(begin_turns, "first", _SLOW, 1, 2), 1, "turns of a name with a permit")
    expect_equal(scene.here.do(begin_turns, "second", _SLOW, 1, 2), 1, "turns of another name")
    first.release()
    second.release()


def permits_are_shared(scene: Scene) -> None:
    """No more permits than the limit, whoever has them; one that is given back is there for others."""
    there = scene.elsewhere()
    permit = _permit(scene, 2)
    there.do(hold, "limit", 2)
    _refused(scene, 2)
    expect_equal(there.do(hold, "limit", 2, patience=0.0), False, "whether there was a third one there")
    permit.release()
    permit.release()  # once more: nothing
    expect(there.do(hold, "limit", 2), "what was given back did not come to the other process")
    _refused(scene, 2)
    there.do(let_go)
    _permit(scene, 2).release()


def those_of_one_process_count(scene: Scene) -> None:
    """Permits of one process count against each other; the end of a ``with`` gives one back."""
    with _permit(scene):
        _refused(scene)
    _permit(scene).release()


def a_dead_holder_frees_its_permit(scene: Scene) -> None:
    """What a killed process had is there for others within a second or so."""
    there = scene.elsewhere()
    there.do(hold, "limit", 1)
    _refused(scene)
    there.kill()
    _permit(scene).release()


def a_stopped_holder_keeps_its_permit(scene: Scene) -> None:
    """A process that is stopped has its permit for as long as it lives."""
    there = scene.elsewhere()
    there.do(hold, "limit", 1)
    there.stop()
    try:
        expect_raises(AssertionError, eventually, partial(scene.backend.take_permit, "limit", 1), "one", 1.5)
    finally:
        there.go_on()
    there.do(let_go)
    _permit(scene).release()


def a_forked_child_has_none(scene: Scene) -> None:
    """A child that its holder forked does not keep a permit, and cannot give it back."""
    there = scene.elsewhere()
    child = there.do(fork_and_hold, "limit", 1)
    try:
        _refused(scene)
        there.kill()
        _permit(scene).release()
    finally:
        os.kill(child, signal.SIGKILL)


def another_limit_of_a_name(scene: Scene) -> None:
    """Who uses a name with a larger limit than others is held to his own, and nothing breaks."""
    there = scene.elsewhere()
    there.do(hold, "limit", 1)
    _refused(scene, 1)
    more = [_permit(scene, 3), _permit(scene, 3)]
    _refused(scene, 3)
    there.do(let_go)
    more.append(_permit(scene, 3))
    _refused(scene, 1)
    for permit in more:
        permit.release()
    _permit(scene, 1).release()
    turn = scene.backend.take_turn("turns", _SLOW)
    expect(turn.taken, "the first turn")
    again = lambda: scene.backend.take_turn("turns", 1000.0).taken  # noqa: E731 - one line
    eventually(again, "a turn at another rate", _SOON)


def who_waits_goes_first(scene: Scene) -> None:
    """Who has asked for more than a second is let go before one who comes just now."""
    there = scene.elsewhere()
    permit = _permit(scene)

    def is_first() -> bool:
        nonlocal permit
        expect(scene.backend.take_permit("limit", 1, waited=5.0) is None, "there were two")
        permit.release()
        overtaken = there.do(hold, "limit", 1, patience=0.0)
        there.do(let_go)
        permit = expect_some(
            eventually(partial(scene.backend.take_permit, "limit", 1, waited=5.0), "one"), "one"
        )
        return not overtaken

    eventually(is_first, "one who waits for long is first")  # he has to look often: a busy machine is late
    permit.release()


def out_of_bounds(scene: Scene) -> None:
    """A name or a number that cannot be is a `ValueError`."""
    for name, limit in [("", 1), ("../up", 1), ("x" * 65, 1), ("limit", 0), ("limit", 100_001)]:
        expect_raises(ValueError, scene.backend.take_permit, name, limit)
    expect_raises(ValueError, partial(scene.backend.take_permit, "limit", 1, waited=-1.0))
    for name, rate, burst in [("a/b", 1.0, 1), ("turns", 0.0, 1), ("turns", 1.0, 0)]:
        expect_raises(ValueError, scene.backend.take_turn, name, rate, burst)


def permits_outlive_other_handles(scene: Scene) -> None:
    """A permit stays taken while another process comes and goes."""
    permit = _permit(scene)
    there = scene.elsewhere()
    expect_equal(there.do(hold, "limit", 1, patience=0.0), False, "whether there was a second one there")
    there.close()
    _refused(scene)
    permit.release()


CHECKS = [
    *proves("ShareLimits", turns_are_shared, out_of_bounds, base=False),
    *proves(
        "ShareLimits",
        turns_come_back,
        each_name_has_its_own,
        permits_are_shared,
        those_of_one_process_count,
        a_dead_holder_frees_its_permit,
        a_stopped_holder_keeps_its_permit,
        a_forked_child_has_none,
        another_limit_of_a_name,
        permits_outlive_other_handles,
        who_waits_goes_first,
        base=False,
        slow=True,
    ),
]
