"""The tables of SCALING.md are those of the parameters and of the costs that were measured."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from attnlabels.pipeline.params import read


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        return importlib.import_module("scaling")


def test_the_page_is_what_the_script_writes(benchmark):
    costs = json.loads(benchmark.COSTS.read_text())
    sections = benchmark.tables(costs, read(benchmark.PAPER))
    page = benchmark.PAGE.read_text()
    assert benchmark.written(page, sections) == page, "python benchmarks/scaling.py --page"


def test_a_run_and_a_seed_more_are_counted(benchmark):
    tree = read(benchmark.PAPER)
    main, every = benchmark.runs(tree)
    assert (main, every) == (6, 6 + 3 * 24)
    tree["seeds"], tree["table1"] = [0], dict(list(tree["table1"].items())[:1])
    assert benchmark.runs(tree) == (2, 2 + 3 * 15)


def test_what_a_pass_keeps_grows_with_the_pixels_as_by_hand(benchmark):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU())
    found = benchmark.kept_of(network, (224, 224), views=1, precision="fp32")
    with pytest.raises(TypeError):  # one view alone fits it
        benchmark.kept_of(network, (224, 224), views=2, precision="fp32")
    assert found == 224 * 224 * 4 * (3 + 4)  # the image, and the ReLU's result


def test_a_page_without_its_place_is_refused(benchmark):
    with pytest.raises(SystemExit, match="no place for disk"):
        benchmark.written("# A page", {"disk": "| |"})
