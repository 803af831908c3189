"""Runs the comparison on noise, with a stand-in for the modules that opencv-python leaves out."""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from attnlabels.teachers.released import WEIGHTS


@pytest.fixture
def benchmark() -> ModuleType:
    return importlib.import_module("saliency_peers")


class Brightness:
    """A method of saliency as OpenCV's are: the sum of blue, green and red."""

    def computeSaliency(self, pixels: np.ndarray) -> tuple[bool, np.ndarray]:
        return True, pixels.sum(axis=2, dtype=np.float32)


def test_each_method_has_a_row_and_the_speed_of_those_that_compute(
    benchmark: ModuleType,
    write_osie: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = dict.fromkeys(
        ("StaticSaliencySpectralResidual_create", "StaticSaliencyFineGrained_create"), Brightness
    )
    monkeypatch.setattr(cv2, "saliency", SimpleNamespace(**made), raising=False)
    words = [str(write_osie(20)), str(WEIGHTS), "1", "2", "1"]
    monkeypatch.setattr(sys, "argv", ["saliency_peers.py", *words])
    threads = cv2.getNumThreads()
    benchmark.main()
    cv2.setNumThreads(threads)
    _, _, head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "| 2 photographs | CC | NSS | SAUC | a second of one core |"
    cells = {name.strip(): rest for _, name, *rest in (row.split("|") for row in rows)}
    assert list(cells) == [
        "teacher",
        "teacher, mirror image averaged in",
        "OpenCV, spectral residual",
        "OpenCV, fine grained",
        "centre prior",
    ]
    assert cells["OpenCV, fine grained"][:3] == cells["OpenCV, spectral residual"][:3]
    assert cells["teacher"][0] != cells["teacher, mirror image averaged in"][0]
    for name, (*scores, rate, _) in cells.items():
        assert all(re.fullmatch(r" -?\d\.\d{3} ± \d\.\d{3} ", each) for each in scores)
        assert bool(rate.strip()) == (name != "centre prior")


def test_without_the_contributed_modules_it_says_what_to_install(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cv2, "saliency", raising=False)
    monkeypatch.setattr(sys, "argv", ["saliency_peers.py", "osie", str(WEIGHTS), "0", "0", "1"])
    with pytest.raises(
        SystemExit, match="no saliency; pip install --no-deps opencv-contrib-python"
    ):
        benchmark.main()
