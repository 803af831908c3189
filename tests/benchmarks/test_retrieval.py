"""Runs the benchmark on a few features."""

import importlib
from types import ModuleType

import numpy as np
import pytest

from attnlabels.metrics import retrieval


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    return importlib.import_module("retrieval")


def test_every_way_is_timed_and_every_bound_looked_at(benchmark: ModuleType) -> None:
    seconds, bounds = benchmark.measure(20, 180, 8, rounds=2)
    assert [len(each) for each in seconds.values()] == [2] * 5
    assert [each.limit for each in bounds] == [1.5, 250, 1e-9, 4.5, 4.5]
    assert all(value >= 0 for each in bounds for value in each.measured)
    assert bounds[1].kept and bounds[2].kept


def test_brute_force_meets_ties_and_tells_a_wrong_rank(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    assert benchmark.difference(20, 400, rng=rng) < 1e-9
    before = retrieval.ranks_of

    def ties_to_the_front(matches: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        return np.minimum(before(matches, similarity), before(matches, similarity + 0.01))[::1] - (
            np.arange(len(matches)) == 0
        ) * (before(matches, similarity) > 1)

    monkeypatch.setattr(retrieval, "ranks_of", ties_to_the_front)
    assert benchmark.difference(20, 400, rng=rng) > 1e-6


def test_memory_is_what_is_held_at_most(benchmark: ModuleType) -> None:
    def hold() -> None:
        first = np.ones(2_000_000, np.uint8)
        del first
        np.ones(3_000_000, np.uint8)

    assert benchmark.extra_mb(hold) == pytest.approx(3, abs=0.1)
