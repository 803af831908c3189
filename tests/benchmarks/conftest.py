import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts can be imported by name, as they import each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def without_lightly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], object]:
    """What a script leaves with where lightly is absent: a text, if it says that and no more."""

    def call(name: str) -> object:
        monkeypatch.setitem(sys.modules, "lightly", None)  # to import it is an ImportError
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
        assert capsys.readouterr() == ("", "")
        return left.value.code

    return call


@pytest.fixture
def write_osie(tmp_path: Path) -> Callable[[int], Path]:
    """Writes a folder like OSIE's, of so many photographs of noise with two observers each."""

    def write(count: int) -> Path:
        rng = np.random.default_rng(0)
        folder = tmp_path / "osie"
        (folder / "images").mkdir(parents=True)
        images, annotations = [], []
        for i in range(count):
            pixels = rng.integers(0, 256, (30, 40, 3), np.uint8)
            cv2.imwrite(str(folder / "images" / f"{i}.jpg"), pixels)
            images.append({"id": i, "file_name": f"{i}.jpg", "height": 30, "width": 40})
            for who in range(2):
                points = rng.integers((1, 1), (31, 41), (6, 2)).tolist()
                about = {"id": 2 * i + who, "image_id": i, "worker_id": who}
                annotations.append({**about, "fixations": points})
        (folder / "eye.json").write_text(json.dumps({"images": images, "annotations": annotations}))
        return folder

    return write
