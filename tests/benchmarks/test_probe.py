"""Runs the benchmark on a few features."""

import importlib
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def benchmark() -> ModuleType:
    return importlib.import_module("probe")


def test_both_fits_end_at_one_minimum_and_are_timed(benchmark: ModuleType) -> None:
    seconds, cost = benchmark.measure(300, 16, 4, rounds=2)
    assert [name.split(",")[0] for name in seconds] == [
        "ours",
        "scikit-learn's in single precision",
        "scikit-learn's",
    ]
    assert all(len(each) == 2 for each in [*seconds.values(), cost])


def test_different_minima_are_an_error(benchmark: ModuleType) -> None:
    part = benchmark.standardised(*benchmark.clouds(100, 8, 3))
    zeros, ones = np.zeros((3, 9)), np.tile(np.arange(3.0)[:, None], 9)
    benchmark.require_same({"ours": zeros, "scikit-learn's": zeros.copy()}, part)
    with pytest.raises(SystemExit, match="different objectives"):
        benchmark.require_same({"ours": zeros, "scikit-learn's": ones}, part)
