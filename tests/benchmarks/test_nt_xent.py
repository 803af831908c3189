"""Runs the benchmark on a few images, against the loss itself where lightly is wanted."""

import importlib
from collections.abc import Callable
from types import ModuleType

import pytest

from attnlabels.losses.nt_xent import nt_xent


@pytest.fixture
def benchmark() -> ModuleType:
    return importlib.import_module("nt_xent")


def test_a_loss_is_as_fast_as_itself_and_keeps_to_its_memory(benchmark: ModuleType) -> None:
    seconds, bounds = benchmark.measure(
        lambda z0, z1: nt_xent(z0, z1, temperature=0.1), n=256, rounds=5
    )
    assert [len(each) for each in seconds.values()] == [5, 5, 5]
    faster, cost, memory = bounds
    assert 0.3 < sorted(faster.measured)[2] < 3 and not faster.kept
    assert all(0.5 < each < 20 for each in cost.measured)
    assert 0 <= memory.measured[0] < 30 and memory.kept


def test_it_says_when_lightly_is_absent(without_lightly: Callable[[str], object]) -> None:
    assert without_lightly("nt_xent") == (
        "benchmarks/nt_xent.py: compares with lightly; pip install lightly"
    )
