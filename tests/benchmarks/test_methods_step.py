"""Runs the benchmark on a few images, against its own step where lightly is wanted."""

import importlib
from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
import torch

from attnlabels.losses.objective import PAIR_TERMS


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """With narrow heads and small images."""
    found = importlib.import_module("methods_step")
    narrow = {
        term: head | {key: 8 for key in head if key != "layers" and key != "norm"}
        for term, head in found.HEADS.items()
    }
    monkeypatch.setattr(found, "HEADS", narrow)
    monkeypatch.setattr(found, "HIDDEN", 8)
    monkeypatch.setattr(found, "SIZE", 32)
    return found


def test_each_method_is_compared_plain_and_guided_in_every_round(benchmark: ModuleType) -> None:
    theirs = {term: partial(benchmark.our_step, term, guided=False) for term in ("vicreg", "byol")}
    seconds, bounds = benchmark.measure(theirs, n=2, rounds=2)
    assert list(seconds) == [
        f"{term}, {which}" for term in theirs for which in ("plain", "guided", "lightly's")
    ]
    for term, (plain, guided) in zip(theirs, zip(bounds[::2], bounds[1::2])):
        ours, more, other = (
            seconds[f"{term}, {each}"] for each in ("plain", "guided", "lightly's")
        )
        assert plain.measured == pytest.approx([a / b for a, b in zip(ours, other)])
        assert guided.measured == pytest.approx([2 * a / b / 3 for a, b in zip(more, other)])
        assert plain.limit == guided.limit == 1.1 and not plain.at_least


def test_every_term_of_two_views_has_a_step(benchmark: ModuleType) -> None:
    assert benchmark.HEADS.keys() == PAIR_TERMS.keys()
    for term in PAIR_TERMS:
        benchmark.our_step(term, 2, guided=True)()


@pytest.mark.parametrize("follows", [True, False])
def test_lightlys_examples_update_their_models(benchmark: ModuleType, follows: bool) -> None:
    head, predict = torch.nn.Linear(512, 8), torch.nn.Linear(8, 8)
    before = [each.weight.detach().clone() for each in (head, predict)]
    criterion = lambda p, k: ((p - k) ** 2).sum()  # noqa: E731
    frozen: list[torch.nn.Module] = []
    step = benchmark.lightly_predicting_step(
        head,
        predict,
        criterion,
        n=2,
        update_momentum=(lambda model, target, m: None) if follows else None,
        freeze=frozen.append,
    )
    step()
    assert not any(map(torch.equal, before, (head.weight, predict.weight)))
    assert len(frozen) == follows
    benchmark.lightly_step(head, criterion, n=2)()


def test_it_says_when_lightly_is_absent(without_lightly: Callable[[str], object]) -> None:
    assert without_lightly("methods_step") == (
        "benchmarks/methods_step.py: compares with lightly; pip install lightly"
    )
