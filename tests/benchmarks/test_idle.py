"""Runs the benchmark in a project of one stage."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "idle.py"
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def python(warm_python: str, tmp_path: Path) -> Call:
    """What Python does with some words in a folder of the test's own."""

    def call(*words: Path | str) -> "subprocess.CompletedProcess[str]":
        command = [warm_python, *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    return call


@pytest.fixture
def project(python: Call, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages:\n  one: {cmd: echo 1 > out, outs: [out]}\n")
    python("-m", "dvc", "init", "--no-scm", "-q").check_returncode()


def test_a_project_that_never_ran_is_refused(project: None, python: Call) -> None:
    done = python(SCRIPT, "1")
    assert done.returncode == 1 and "after `dvc repro`" in done.stderr


def test_both_projects_are_timed(project: None, python: Call) -> None:
    python("-m", "dvc", "repro", "-q").check_returncode()
    done = python(SCRIPT, "1")
    assert "| this project, 1 stages, s (at most 3) |" in done.stdout, done.stderr
    assert "| ratio of these two (at most 2) |" in done.stdout
