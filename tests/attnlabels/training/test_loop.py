import math

import pytest
import torch
from torch.utils.data import Dataset

from attnlabels.processes.checkpoint import Scratch
from attnlabels.processes.world import joined
from attnlabels.training.loop import Loop, fit, warmup_cosine


def test_rises_linearly_from_zero_to_one() -> None:
    factors = [warmup_cosine(step, warmup_steps=4, total_steps=20) for step in range(5)]
    assert factors == [0, 0.25, 0.5, 0.75, 1]


def test_falls_along_a_cosine_to_zero() -> None:
    assert warmup_cosine(12, warmup_steps=4, total_steps=20) == pytest.approx(0.5)
    quarter = warmup_cosine(8, warmup_steps=4, total_steps=20)
    assert quarter == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert warmup_cosine(20, warmup_steps=4, total_steps=20) == pytest.approx(0, abs=1e-15)


def test_falls_to_the_final_factor_and_at_1_not_at_all() -> None:
    falling = [warmup_cosine(s, warmup_steps=4, total_steps=20, final=0.2) for s in (4, 12, 20)]
    assert falling == pytest.approx([1, 0.6, 0.2])
    level = [warmup_cosine(s, warmup_steps=4, total_steps=20, final=1.0) for s in (2, 4, 12, 20)]
    assert level == [0.5, 1, 1, 1]


def test_never_rises_after_the_warm_up_nor_leaves_0_to_1() -> None:
    factors = [warmup_cosine(step, warmup_steps=7, total_steps=100) for step in range(120)]
    assert all(0 <= f <= 1 for f in factors)
    assert factors[7:] == sorted(factors[7:], reverse=True)


def test_stays_at_zero_past_the_end() -> None:
    assert warmup_cosine(99, warmup_steps=4, total_steps=20) == 0


def test_without_warm_up_the_first_step_is_full() -> None:
    assert warmup_cosine(0, warmup_steps=0, total_steps=20) == 1


@pytest.mark.parametrize("warmup_steps", [-1, 20, 21])
def test_refuses_a_warm_up_longer_than_the_run(warmup_steps: int) -> None:
    with pytest.raises(ValueError, match="warm-up"):
        warmup_cosine(0, warmup_steps=warmup_steps, total_steps=20)


class Numbers(Dataset):
    """Eight samples that are their own numbers."""

    def __len__(self):
        return 8

    def __getitem__(self, item):
        return {"index": item[1]}

    def key_of(self, index):
        return str(index)


class Drawing:
    """Draws from torch's generator in each step, as dropout does, and may be killed in one."""

    def __init__(self, killed_in=None):
        self.total, self.steps, self.killed_in = 0.0, 0, killed_in

    def step(self, batch, *, rate, progress):
        if self.steps == self.killed_in:
            raise KeyboardInterrupt
        self.steps += 1
        self.total += torch.rand(()).item()
        return {"total": self.total}

    def end_epoch(self, means, *, epoch, step):
        return {"epoch": epoch, "step": step, "lr": 1.0, **means}

    def state_dict(self):
        return {"total": self.total, "steps": self.steps}

    def load_state_dict(self, state):
        self.total, self.steps = state["total"], state["steps"]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_network_draws_goes_on_after_a_kill_as_without_one(tmp_path, monkeypatch, workers):
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path))
    loop = Loop(
        batch_size=2,
        epochs=2,
        warmup_epochs=0.0,
        workers=workers,
        checkpoint_minutes=60.0,
        checkpoint_steps=1,
    )

    def train(name, training):
        torch.manual_seed(3)
        options = {"seed": 0, "scratch": Scratch(name), "title": name, "quiet": True}
        with joined() as world:
            return fit(training, Numbers(), loop, world=world, **options)

    whole = train("whole", Drawing())
    with pytest.raises(KeyboardInterrupt):
        train("killed", Drawing(killed_in=5))
    assert train("killed", Drawing()) == whole
