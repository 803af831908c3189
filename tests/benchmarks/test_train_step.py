"""Runs the benchmark on a few images, against its own step where lightly is wanted."""

import importlib
from collections.abc import Callable
from types import ModuleType

import pytest
import torch


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Of small images and matrices."""
    found = importlib.import_module("train_step")
    monkeypatch.setattr(found, "SIZE", 32)
    monkeypatch.setattr(found, "SIDE", 512)
    return found


def test_both_ratios_are_taken_in_every_round(benchmark: ModuleType) -> None:
    seconds, (faster, share) = benchmark.measure(
        lambda precision: benchmark.our_step(4, precision=precision),
        n=4,
        rounds=2,
        precisions=["fp32"],
    )
    assert list(seconds) == [
        "ours, 12 images, fp32",
        "lightly's, 8 images, fp32",
        "product of matrices, fp32",
    ]
    ours, theirs, _ = seconds.values()
    assert faster.measured == pytest.approx([1.5 * b / a for a, b in zip(ours, theirs)])
    assert len(share.measured) == 2 and all(0 < each < 1.5 for each in share.measured)


def test_with_two_precisions_equals_are_compared_and_the_best_of_each(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [3.0, 4.0, 1.0, 6.0, 2.0, 1.0]  # ours, lightly's and a product in fp32, and in bf16
    monkeypatch.setattr(
        benchmark, "in_turns", lambda ways, rounds: dict(zip(ways, ([each] * 2 for each in times)))
    )
    monkeypatch.setattr(benchmark, "SIDE", 8)
    _, (fp32, bf16, best, share) = benchmark.measure(
        lambda precision: lambda: None, n=2, rounds=2, precisions=["fp32", "bf16"]
    )
    assert [each.measured for each in (fp32, bf16, best)] == [[2.0] * 2, [0.5] * 2, [1.0] * 2]
    assert fp32.kept and not bf16.kept and best.kept and best.limit == 1.0
    assert best.name.endswith("fp32 over its bf16") and share.name.endswith("fp32")


@pytest.mark.parametrize(
    ("machine", "bf16"),
    [
        ("AMD EPYC (AVX2)", False),
        ("AMD EPYC (AVX-512)", False),
        ("AMD EPYC 9004 (AVX-512 BF16)", True),
        ("Intel(R) Xeon(R) (AMX)", True),
    ],
)
def test_bf16_is_compared_where_there_are_instructions_for_it(
    benchmark: ModuleType, machine: str, bf16: bool
) -> None:
    assert benchmark.precisions(machine) == (["fp32", "bf16"] if bf16 else ["fp32"])


def test_lightlys_example_updates_its_model(benchmark: ModuleType) -> None:
    head = torch.nn.Linear(512, 8)
    before = head.weight.detach().clone()
    criterion = lambda z0, z1: (z0 * z1).sum()  # noqa: E731
    benchmark.lightly_step(head, criterion, n=2, precision="bf16")()
    assert not head.weight.equal(before)


def test_it_says_when_lightly_is_absent(without_lightly: Callable[[str], object]) -> None:
    assert without_lightly("train_step") == (
        "benchmarks/train_step.py: compares with lightly; pip install lightly"
    )
