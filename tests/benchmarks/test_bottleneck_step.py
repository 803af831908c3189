"""Runs the benchmark on a narrow network and two images."""

import importlib


def test_a_step_through_the_bottleneck_is_set_against_the_plain_one_in_every_round():
    benchmark = importlib.import_module("bottleneck_step")
    seconds, (bound,) = benchmark.measure({"resnet10": (8, 2, 8, 24, 2)}, rounds=2)
    assert [*seconds] == ["resnet10", "resnet10, bottleneck"]
    assert all(len(each) == 2 and min(each) > 0 for each in seconds.values())
    assert "resnet10, of the plain step" in str(bound)
