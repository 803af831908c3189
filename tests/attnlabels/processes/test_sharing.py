"""Who makes what of several processes, played in one, and how many there may be."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch

from attnlabels.processes import sharing
from attnlabels.processes.checkpoint import InUse
from attnlabels.processes.resumable import SIGNALS, STOPPED
from attnlabels.processes.sharing import share_out, sharers
from attnlabels.processes.world import World

NAMES = ["a", "b", "c", "d", "e"]


@dataclass(frozen=True)
class Played(World):
    """One of several processes, with none to agree with."""

    def agree(self, what: str, value: object) -> None:
        assert value == NAMES


def played(rank: int, size: int) -> Played:
    return Played(rank, size, torch.device("cpu"))


def noting(made: list[str], busy: dict[str, int]) -> Callable[[str], str]:
    """Makes what another process is not at; that is at a name for so many calls."""

    def make(name: str) -> str:
        if busy.get(name, 0) > 0:
            busy[name] -= 1
            raise InUse(name)
        made.append(name)
        return name.upper()

    return make


@pytest.mark.parametrize(("rank", "order"), [(0, "abcde"), (1, "bcdea"), (2, "deabc")])
def test_each_process_begins_elsewhere_and_ends_with_all_in_their_order(rank, order):
    made = list[str]()
    found = share_out(NAMES, noting(made, {}), played(rank, 3))
    assert "".join(made) == order
    assert [*found.items()] == [(name, name.upper()) for name in NAMES]


def test_what_another_is_at_is_left_to_it_and_waited_for(monkeypatch):
    made, waits = list[str](), list[float]()
    monkeypatch.setattr(sharing.time, "sleep", waits.append)
    found = share_out(NAMES, noting(made, {"b": 3, "d": 1}), played(0, 2))
    assert made == ["a", "c", "e", "b", "d"]
    assert [*found] == NAMES and len(waits) == 2


def test_a_single_process_does_not_wait_for_a_stranger():
    with pytest.raises(InUse, match="b"):
        share_out(NAMES, noting([], {"b": 1}), played(0, 1))


@pytest.fixture
def heard() -> Iterator[None]:
    """No signal is ignored, as a shell has SIGINT be for what it starts in the background."""
    before = {each: signal.signal(each, signal.SIG_DFL) for each in SIGNALS}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_between_two_is_said_and_leaves_with_the_status_of_a_stopped_training(
    heard, size, number, capsys
):
    made = list[str]()

    def make(name: str) -> str:
        if made:
            signal.raise_signal(number)  # as it may arrive before a training begins
        made.append(name)
        return name

    with pytest.raises(SystemExit) as left:
        share_out(NAMES, make, played(0, size))
    assert left.value.code == STOPPED and made == ["a"]
    # Others follow, from whoever stops a job.
    assert {signal.getsignal(each) for each in SIGNALS} == {signal.SIG_IGN}
    said = capsys.readouterr().err
    assert said.startswith(f"stopped between two trainings: {signal.Signals(number).name} arrived")


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_signals_are_afterwards_as_they_were(heard, handler):
    signal.signal(signal.SIGHUP, handler)
    before = [signal.getsignal(each) for each in SIGNALS]
    share_out(NAMES, noting([], {}), played(0, 1))
    assert [signal.getsignal(each) for each in SIGNALS] == before


@pytest.mark.parametrize(("gpus", "count"), [(0, 4), (1, 1), (3, 3), (8, 4)])
def test_of_gpus_no_more_processes_than_these(monkeypatch, gpus, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert sharers(4) == count
