"""Runs the benchmark on a few pictures, where there is a browser."""

import importlib

from browsing import require_browser


def test_pictures_are_timed_and_the_limit_told(capfd) -> None:
    require_browser()
    benchmark = importlib.import_module("stimulus_timing")
    try:
        benchmark.main(4)
    except SystemExit as missed:  # on a busy machine
        assert missed.code == 1
    told = capfd.readouterr().out
    assert "4 trials at " in told and "exact to the frame: " in told
