"""A benchmark that trains by stages' scripts (`benchmarks/stages.py`), all in this process."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from attnlabels.pipeline.script import run


def benchmark_here(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> ModuleType:
    """The script `benchmarks/<name>.py`, at work in `folder`, its `stage` a call and no process."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(folder / "scratch"))
    made = importlib.import_module(name)

    def stage(out: Path, script: str, *words: object) -> None:
        with monkeypatch.context() as inside:
            inside.chdir(out)
            inside.setattr(sys, "argv", [script, *map(str, words)])
            run(importlib.import_module(script).main)

    monkeypatch.setattr(made, "stage", stage)
    return made
