"""The comparison of two revisions, but for the minutes that it takes to run them."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from ruamel.yaml import YAML


@pytest.fixture
def module() -> ModuleType:
    return importlib.import_module("unchanged")


def test_what_it_runs_in_processes_is_python(module: ModuleType) -> None:
    for program in (module.SMALL, module.COMMANDS, module.RUN):
        compile(program, "unchanged.py", "exec")


def test_its_small_networks_take_its_small_images(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(module.SMALL, {})
    tree = YAML(typ="safe").load(Path("params.yaml"))
    side = tree["train_simclr"]["image_size"]
    networks = [run["network"] for run in tree["methods"].values() if run.get("network")]
    sides = [each.get("options", {}).get("img_size", side) for each in networks]
    assert sides == [side] * len(networks) and len(networks) > 3
