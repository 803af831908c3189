"""What tests of trainings that are interrupted, and of others that are waited for, share."""

import time
from collections.abc import Callable

import pytest

from attnlabels.training import encoders

PATIENCE_S = 180.0  # with processes that start, where others do


def interrupt(monkeypatch: pytest.MonkeyPatch, *, before: int) -> None:
    """Let whatever trains within this patch be interrupted before a step."""
    step_once, made = encoders.Training.step, []

    def stopping(self, batch, *, rate: float, progress: float) -> dict[str, float]:
        if len(made) == before:
            raise KeyboardInterrupt
        made.append(rate)
        return step_once(self, batch, rate=rate, progress=progress)

    monkeypatch.setattr(encoders.Training, "step", stopping)


def wait_for(what: Callable[[], object], *, seconds: float = PATIENCE_S) -> None:
    """Wait until it is so; fails after a time."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
