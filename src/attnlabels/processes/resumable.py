"""A training that may be stopped at any step, by a signal or by force, and goes on."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from attnlabels.processes.checkpoint import Scratch
from attnlabels.processes.world import World

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)
STOPPED = 75  # EX_TEMPFAIL of sysexits.h: try again
ONE_S = 10.0  # signals no further apart are one: a job's, a launcher's, that of DVC's end


def heard() -> list[signal.Signals]:
    """Those of SIGNALS that this process does not ignore, as `nohup` has it."""
    return [each for each in SIGNALS if signal.getsignal(each) != signal.SIG_IGN]


@contextmanager
def stopping_between() -> Iterator[None]:
    """In this block a signal that arrives in no Resumable ends the process with STOPPED, at once.

    For several trainings in a row, each of which is Resumable: nothing is lost between two.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        print(
            f"stopped between two trainings: {signal.Signals(number).name} arrived; what was "
            "trained is kept, and the same command goes on from there",
            file=sys.stderr,
        )
        raise SystemExit(STOPPED)

    before: dict[signal.Signals, Any] = {}
    for each in heard():
        before[each] = signal.signal(each, leave)
    try:
        yield
    finally:
        for each, handler in before.items():
            if signal.getsignal(each) is leave:
                signal.signal(each, handler)


class Resumable:
    """Keeps the state of a training, within a `with` block.

    It is written when `minutes` have passed or `steps` were made since the last time (0 minutes:
    every step), and when SIGTERM, SIGUSR1 (SLURM's `--signal`), SIGINT or SIGHUP (a terminal that
    closes, unless `nohup` had it ignored) arrives: the step ends, the state is written, and the
    process leaves with status 75. More of them within ONE_S count as that one; a later one is as
    without this class. Of several processes the first writes; a signal to any stops all after the
    same step.

    Raises ValueError if another process is at the same training.
    """

    def __init__(self, scratch: Scratch, world: World, *, minutes: float, steps: int) -> None:
        self.scratch, self.world = scratch, world
        self.seconds, self.steps = 60 * minutes, steps
        self.asked: signal.Signals | None = None
        self.asked_s = 0.0

    def __enter__(self) -> "Resumable":
        if self.world.first:
            self.scratch.lock()
        self.before = {each: signal.signal(each, self._note) for each in heard()}
        self.saved_s, self.saved_step = time.monotonic(), 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        leaving = self.asked and kind is SystemExit
        for each, handler in self.before.items():
            signal.signal(each, signal.SIG_IGN if leaving else handler)
        if self.world.first:
            self.scratch.unlock()

    def read(self) -> dict[str, Any] | None:
        """The state last written, the same in every process, or None."""
        state = self.scratch.read()
        self.world.agree(f"the step in {self.scratch.file}", state["step"] if state else None)
        return state

    def done(self, step: int, state: Callable[[], dict[str, Any]]) -> None:
        """Say that `step` steps are done, of which the last may have been made after a signal."""
        asked = self.asked  # may change at any moment
        due = (
            time.monotonic() - self.saved_s >= self.seconds
            or step - self.saved_step >= self.steps > 0
        )
        # The first process decides; each may have been asked. Both travel in one number.
        asking = self.world.total(float(asked is not None))
        if asking or (due and self.world.first):
            self.save(step, state)
        if asking:
            if self.world.first:
                why = f"{asked.name} arrived" if asked else "a process was asked to stop"
                print(
                    f"stopped after step {step}: {why}; the state is kept, and the same command "
                    "goes on from there",
                    file=sys.stderr,
                )
            raise SystemExit(STOPPED)

    def save(self, step: int, state: Callable[[], dict[str, Any]]) -> None:
        """Write the state now."""
        if self.world.first:
            self.scratch.write(state() | {"step": step})
        self.saved_s, self.saved_step = time.monotonic(), step

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked is None:
            self.asked, self.asked_s = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self.asked_s > ONE_S:
            signal.signal(number, self.before[signal.Signals(number)])
            signal.raise_signal(number)
