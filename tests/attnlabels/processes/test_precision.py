import time
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from attnlabels.processes.precision import LEAST, ROUNDS, SHARES, faster, seconds, untouched
from attnlabels.processes.world import World

ALONE = World(0, 1, torch.device("cpu"))


@dataclass
class Machine:
    """A clock that each trial moves on: `fp32` and `bf16` seconds for a whole batch."""

    fp32: float
    bf16: float
    now: float = 0.0
    tried: list[tuple[str, float]] = field(default_factory=list)

    def trial(self, precision: str, share: float) -> None:
        first = not any(each == precision for each, _ in self.tried)
        self.tried.append((precision, share))
        self.now += share * getattr(self, precision) + 5.0 * first  # it warms up


@pytest.fixture
def machine(monkeypatch):
    def build(fp32: float, bf16: float) -> Machine:
        made = Machine(fp32, bf16)
        monkeypatch.setattr(time, "process_time", lambda: made.now)
        return made

    return build


@pytest.mark.parametrize(
    ("fp32", "bf16", "taken"),
    [
        (1.0, 0.6, "bf16"),
        (1.0, 1.7, "fp32"),
        (1.0, 1.0, "fp32"),
        (1.0, 0.97, "fp32"),  # faster, but a near tie
        (LEAST + 0.01, 1.0, "bf16"),
        (1.0, 10.0, "fp32"),
        (5.0, 1.0, "bf16"),
    ],
)
def test_the_choice_follows_the_clock_and_a_near_tie_is_fp32(machine, capsys, fp32, bf16, taken):
    here = machine(fp32, bf16)
    assert faster(here.trial, world=ALONE) == taken
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"precision auto: {taken}; bf16 is {fp32 / bf16:.2f} times as fast as fp32 here"
    ]


@pytest.mark.parametrize(("bf16", "shares"), [(17.0, SHARES[:1]), (1.2, SHARES)])
def test_a_large_difference_is_told_by_a_small_share_of_the_batch(machine, bf16, shares):
    here = machine(1.6, bf16)
    faster(here.trial, world=ALONE)
    expected = [
        (name, share) for share in shares for _ in range(ROUNDS) for name in ("fp32", "bf16")
    ]
    assert here.tried == expected


def test_the_first_process_decides(machine, monkeypatch):
    # All take what it found; `total` of several processes is the sum of what each says.
    slow, said = machine(1.0, 3.0), []
    monkeypatch.setattr(World, "total", lambda self, number: said.append(number) or 1.9)
    assert faster(slow.trial, world=World(1, 2, torch.device("cpu"))) == "bf16"
    assert said == [0.0] * len(SHARES)
    assert len(slow.tried) == 2 * ROUNDS * len(SHARES)  # as many passes as the first makes


def test_a_trial_is_timed_by_what_this_process_computes():
    idle = seconds(lambda precision, share: time.sleep(0.2), "fp32", 1.0, world=ALONE)
    assert idle < 0.1


def test_passes_leave_statistics_and_generator_as_they_were():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    with untouched(model, torch.device("cpu")):
        model(torch.randn(8, 4))
        assert not torch.equal(model[1].running_mean, before["1.running_mean"])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)


def test_they_do_so_when_a_pass_fails():
    model = nn.BatchNorm1d(4).train()
    with pytest.raises(KeyboardInterrupt), untouched(model, torch.device("cpu")):
        model(torch.randn(8, 4))
        raise KeyboardInterrupt
    assert int(model.num_batches_tracked) == 0
