"""Runs the benchmark on a few images, against its own step where lightly is wanted."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("train_step")


def test_both_ratios_are_taken_in_every_round(benchmark: ModuleType) -> None:
    seconds, (faster, share) = benchmark.measure(benchmark.our_step(4), n=4, rounds=2)
    assert list(seconds) == ["ours, 12 images", "lightly's, 8 images", "product of matrices"]
    ours, theirs, _ = seconds.values()
    assert faster.measured == pytest.approx([1.5 * b / a for a, b in zip(ours, theirs)])
    assert len(share.measured) == 2 and all(0 < each < 1.5 for each in share.measured)


def test_lightlys_example_updates_its_model(benchmark: ModuleType) -> None:
    head = torch.nn.Linear(512, 8)
    before = head.weight.detach().clone()
    benchmark.lightly_step(head, lambda z0, z1: (z0 * z1).sum(), n=2)()
    assert not head.weight.equal(before)


def test_it_says_when_lightly_is_absent(tmp_path: Path) -> None:
    (tmp_path / "lightly.py").write_text("raise ImportError")
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "train_step.py"],
        env={"PYTHONPATH": f"{tmp_path}:{BENCHMARKS.parent / 'src'}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "benchmarks/train_step.py: compares with lightly; pip install lightly\n"
