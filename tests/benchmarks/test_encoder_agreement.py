"""Runs the benchmark's parts on a few photographs, without the package that ships weights."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import timm
import torch
from safetensors.torch import save_file

from attnlabels.shards.shards import Shards


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    return importlib.import_module("encoder_agreement")


@pytest.fixture
def osie(write_osie: Callable[[int], Path]) -> Path:
    return write_osie(5)


def test_weights_get_timms_names_in_the_order_of_the_layers(benchmark: ModuleType) -> None:
    torch.manual_seed(0)
    own = timm.create_model(benchmark.LITE).state_dict()
    theirs = {f"layer{i}": value for i, (key, value) in enumerate(own.items()) if "num_" not in key}
    named = benchmark.as_timm(theirs)
    assert named.keys() == own.keys()
    assert all(torch.equal(named[key], own[key]) for key in own if "num_" not in key)
    theirs["layer0"] = theirs["layer0"][:, :1]
    with pytest.raises(ValueError, match="conv_stem.weight is .* of other layers than timm's"):
        benchmark.as_timm(theirs)


def test_each_readout_has_a_row_of_the_table(benchmark: ModuleType, osie: Path) -> None:
    benchmark.write_recordings(osie, Path("eye"), count=4)
    assert [each["name"] for each in Shards(Path("eye"))] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    torch.manual_seed(0)
    save_file(timm.create_model("resnet10t", num_classes=0).state_dict(), "w.safetensors")
    found = benchmark.score({"timm:resnet10t": Path("w.safetensors")}, Path("eye"), Path("out"))
    header, _, *rows = benchmark.table(found)
    cells = [row.split("|")[1:3] for row in rows]
    readouts = ["head", "linear", "norm", "random_head", "random_linear", "random_norm"]
    assert [each.strip() for _, each in cells] == [*readouts, "centre_prior", "split_half"]
    assert {row.count("|") for row in rows} == {header.count("|")}
    assert f"{found['timm:resnet10t']['linear']['cc']:.3f} ± " in rows[1]


def test_too_few_photographs_are_said(benchmark: ModuleType, osie: Path) -> None:
    with pytest.raises(SystemExit, match="5 photographs, 6 asked for; ask for less"):
        benchmark.write_recordings(osie, Path("eye"), count=6)
