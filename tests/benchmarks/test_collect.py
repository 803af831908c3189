"""Runs the benchmark's kills with few rounds, and says what a lost round would do."""

import importlib
import sys
from types import ModuleType

import pytest


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("collect")
    monkeypatch.setattr(module, "ROUNDS", 12)
    monkeypatch.setattr(module, "KILL_EVERY", 6)
    monkeypatch.setattr(module, "PEOPLE", 2)
    monkeypatch.setattr(sys, "argv", ["collect.py", "kills"])
    return module


def test_no_round_is_lost_and_none_twice(benchmark, capsys) -> None:
    benchmark.main()
    told = capsys.readouterr().out
    assert "| 12 rounds, 2 kills: lost | 0.00 |" in told
    assert "| 12 rounds, 2 kills: twice | 0.00 |" in told


def test_a_limit_that_is_missed_is_an_error(benchmark, monkeypatch) -> None:
    lost = benchmark.Bound("lost", [1.0], 0, False, "")
    monkeypatch.setattr(benchmark, "kills", lambda folder: iter([lost]))
    with pytest.raises(SystemExit) as missed:
        benchmark.main()
    assert missed.value.code == 1
