"""Stages' scripts as `benchmarks/stages.py` calls them, but in this process."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from attnlabels.pipeline.script import run


def stages_here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What takes the place of `stage(out, script, *words)`."""

    def stage(out: Path, script: str, *words: object) -> None:
        with monkeypatch.context() as inside:
            inside.chdir(out)
            inside.setattr(sys, "argv", [script, *map(str, words)])
            run(importlib.import_module(script).main)

    return stage
