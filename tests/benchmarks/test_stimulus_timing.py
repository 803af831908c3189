"""Runs the benchmark on a few pictures, where there is a browser."""

import importlib

import pytest

from browsing import CHROMIUM, DRIVER, MISSING


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
def test_pictures_are_timed_and_the_limit_told(capfd) -> None:
    benchmark = importlib.import_module("stimulus_timing")
    try:
        benchmark.main(4)
    except SystemExit as missed:  # on a busy machine
        assert missed.code == 1
    told = capfd.readouterr().out
    assert "4 trials at " in told and "exact to the frame: " in told
