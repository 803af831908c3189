"""Runs the benchmark on a few small maps."""

import importlib
from types import ModuleType

import pytest
import torch


@pytest.fixture
def benchmark() -> ModuleType:
    return importlib.import_module("pseudo_fixations")


def test_both_are_timed(benchmark: ModuleType) -> None:
    seconds, faster = benchmark.measure(3, 112, 112, rounds=5)
    assert [name.split(",")[0] for name in seconds] == ["ours", "loop"]
    assert all(len(each) == 5 for each in seconds.values())
    assert sorted(faster)[2] > 1


def test_other_points_than_the_loops_are_an_error(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = benchmark.search

    def one_wrong(maps: torch.Tensor, *, sigma_px: float) -> tuple[torch.Tensor, torch.Tensor]:
        points, counts = right(maps, sigma_px=sigma_px)
        points[1, 0, 1] += 1
        return points, counts

    monkeypatch.setattr(benchmark, "search", one_wrong)
    with pytest.raises(SystemExit, match=r"loop's in maps \[1\] of 3 at 64 × 96"):
        benchmark.measure(3, 64, 96, rounds=1)
