"""The states of a circuit, against a plain model."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ipcq.layers.circuit import Circuit, CircuitState

FAILURES, WINDOW, RESET = 3, 10.0, 4.0


class Machine(RuleBasedStateMachine):
    """Runs begin, end and vanish in any order; the model remembers every failure, and which probe counts."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit(FAILURES, WINDOW, RESET)
        self.now = 0.0
        self.running: list[tuple[int, object]] = []  # number, and the episode in which it began
        self.episode: object = "closed 0"
        self.episodes = 0
        self.failures: list[float] = []
        self.opened: float | None = None  # None while closed
        self.probe: float | None = None

    @rule(seconds=st.sampled_from((0.5, 1.0, 3.0, 4.0, 11.0)))
    def time_passes(self, seconds: float) -> None:
        """Only forwards."""
        self.now += seconds

    @rule()
    def a_run_wants_to_begin(self) -> None:
        """Let through while closed, and as the probe when it is time."""
        since = self.opened if self.probe is None else self.probe
        expected = since is None or self.now >= since + RESET
        number = self.circuit.enter(self.now)
        assert (number is not None) == expected
        if number is None:
            return
        if self.opened is not None:
            self.probe = self.now
            self._begin_episode("probe")
        self.running.append((number, self.episode))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), how=st.sampled_from(("succeeded", "failed", "failed", "failed", "abandoned")))
    def a_run_ends(self, data: st.DataObject, how: str) -> None:
        """It counts in the episode in which it began, and in no other."""
        number, episode = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        if how == "failed":
            self.circuit.failed(number, self.now)
        elif how == "succeeded":
            self.circuit.succeeded(number)
        else:
            self.circuit.abandoned(number, self.now)
        if episode == self.episode:
            self._expect(how)

    def _expect(self, how: str) -> None:
        if self.probe is not None:
            self.probe = None
            self.opened = {"failed": self.now, "abandoned": self.now - RESET, "succeeded": None}[how]
            self.failures = []
            self._begin_episode("after a probe")
        elif how == "failed":
            self.failures.append(self.now)
            if sum(self.now - failed < WINDOW for failed in self.failures) >= FAILURES:
                self.opened = self.now
                self._begin_episode("open")

    def _begin_episode(self, name: str) -> None:
        self.episodes += 1
        self.episode = f"{name} {self.episodes}"

    @invariant()
    def both_say_the_same(self) -> None:
        """The state, and how long it still keeps runs out."""
        state = CircuitState.CLOSED
        if self.opened is not None:
            state = CircuitState.OPEN if self.probe is None else CircuitState.HALF_OPEN
        assert self.circuit.state is state
        since = self.opened if self.probe is None else self.probe
        assert self.circuit.remaining(self.now) == (
            0 if since is None else max(0.0, since + RESET - self.now)
        )


TestCircuit = Machine.TestCase
TestCircuit.settings = settings(stateful_step_count=30)
