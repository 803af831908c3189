"""Runs the benchmark on a small image, with a stand-in for the old package."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

imaug = pytest.importorskip("imagecorruptions")
# calls what newer libraries have dropped, as imagecorruptions 1.1.2 does
OLD = """
import numpy as np
from imagecorruptions.corruptions import *
from pkg_resources import resource_filename
from scipy.ndimage.interpolation import map_coordinates
from skimage.filters import gaussian

texture = resource_filename(__name__, "./frost/frost1.png")

def gaussian_blur(x, severity):
    x = np.array(x).astype(np.float_) / 255
    return gaussian(x, severity, multichannel=True) * 255
"""


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(np, "float_", None, raising=False)  # given back, and gone again after
    return importlib.import_module("corruptions")


@pytest.fixture
def old(benchmark: ModuleType, tmp_path: Path) -> Any:
    (tmp_path / "corruptions.py").write_text(OLD)
    return benchmark.repaired(tmp_path)


def test_the_old_package_gets_back_what_was_dropped(benchmark: ModuleType, old: Any) -> None:
    assert old.texture.endswith("/frost/frost1.png")
    flat = np.full((32, 32, 3), 51, np.uint8)
    assert np.allclose(old.gaussian_blur(flat, 2), 51)


def test_what_is_not_the_old_package_is_refused(benchmark: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is not imagecorruptions 1.1.2"):
        benchmark.repaired(tmp_path)


def test_all_three_are_timed(benchmark: ModuleType, old: Any) -> None:
    seconds = benchmark.measure(imaug, old, side=32, rounds=2)
    assert list(seconds) == [*benchmark.ALL]
    for by in seconds.values():
        assert [*by] == ["ours", "imagecorruptions-imaug", "imagecorruptions 1.1.2"]
        assert all(len(each) == 2 for each in by.values())
    table = benchmark.milliseconds_table(seconds).splitlines()
    assert len(table) == 2 + 19 + 1 and table[-1].startswith("| all |")


def test_seconds_are_added_by_round(benchmark: ModuleType) -> None:
    seconds = {"fog": {"ours": [1.0, 2.0]}, "snow": {"ours": [4.0, 8.0]}, "frost": {"ours": [9.0]}}
    assert benchmark.total(seconds, ("fog", "snow"), "ours") == [5.0, 10.0]


def test_another_glass_blur_is_an_error(
    benchmark: ModuleType, old: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = benchmark.photograph(40)
    shuffle = imaug.corruptions._shuffle_pixels_njit_glass_blur.py_func  # takes our draws
    monkeypatch.setattr(imaug.corruptions, "_shuffle_pixels_njit_glass_blur", shuffle)
    monkeypatch.setattr(np.random, "seed", lambda seed: None)
    benchmark.require_equal_glass_blur(old, image)
    monkeypatch.setattr(old, "glass_blur", lambda picture, severity: picture)
    with pytest.raises(SystemExit, match="another glass blur .* at severity 1"):
        benchmark.require_equal_glass_blur(old, image)
