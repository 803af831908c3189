"""Runs the benchmark on a small map, and on one that a heap reaches otherwise."""

import importlib
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("reveal_order")
    monkeypatch.setattr(module, "SIDE", 160)
    monkeypatch.setattr(module, "ROUNDS", 1)
    return module


def test_both_are_timed_and_the_limits_told(benchmark, capsys) -> None:
    try:
        benchmark.main()
    except SystemExit as missed:  # on a busy machine
        assert missed.code == 1
    told = capsys.readouterr().out
    assert "| a heap in Python |" in told and "| an image |" in told


def test_another_order_is_an_error(benchmark, monkeypatch) -> None:
    monkeypatch.setattr(benchmark, "by_heap", lambda map: np.zeros(map.shape))
    with pytest.raises(SystemExit, match="the two orders differ"):
        benchmark.main()
