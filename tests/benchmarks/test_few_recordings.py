"""Runs the comparison on a few photographs, without the package that ships weights."""

import csv
import importlib
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import timm
import torch
from safetensors.torch import save_file

N = 40


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path / "scratch"))
    return importlib.import_module("few_recordings")


@pytest.fixture
def osie(write_osie: Callable[[int], Path]) -> Path:
    return write_osie(N)


def test_each_count_and_start_has_a_row_and_the_last_fold_is_left_alone(
    benchmark: ModuleType, osie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    save_file(timm.create_model("resnet10t").state_dict(), "w.safetensors")
    named: set[str] = set()
    write_table = benchmark.write_table

    def watched(recordings: list[object], path: Path) -> None:
        write_table(recordings, path)
        with path.open() as file:
            named.update(each["image"] for each in csv.DictReader(file))

    monkeypatch.setattr(benchmark, "write_table", watched)
    size = benchmark.Size(counts=(8, 1000), held_out=4, side=32, epochs=1)
    below = benchmark.starts("timm:resnet10t", Path("w.safetensors"))
    Path("out").mkdir()
    _, _, *rows = benchmark.compare(osie, Path("out"), below, size)
    folds = {f"{i}.jpg": zlib.crc32(f"{i}.jpg".encode()) % 5 for i in range(N)}
    assert {folds[name] for name in named} == {0, 1, 2}
    whole = sum(fold < 3 for fold in folds.values())
    assert len(named) == whole
    cells = [tuple(each.strip() for each in row.split("|")[1:3]) for row in rows]
    assert cells == [
        *((str(n), start) for n in (8, whole) for start in below),
        ("", "centre prior"),
    ]
    told = json.loads(Path("out/scores-frozen-8.json").read_text())
    assert f"| 8 | frozen | {told['cc']:.3f} ± " in rows[1]
    assert json.loads(Path("out/frozen-8.json").read_text())["backbone"]["frozen"]


def test_without_osie_it_says_so(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["few_recordings.py", "nowhere", "out"])
    with pytest.raises(SystemExit, match=r"nowhere: no eye\.json here; name the folder"):
        benchmark.main()
    assert not Path("out").exists()
