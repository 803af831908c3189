"""Runs the benchmark in a project of one stage."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "idle.py"
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(call_python: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text("stages:\n  one: {cmd: echo 1 > out, outs: [out]}\n")
    call_python("-m", "dvc", "init", "--no-scm", "-q").check_returncode()


def test_a_project_that_never_ran_is_refused(project: None, call_python: Call) -> None:
    done = call_python(SCRIPT, "1")
    assert done.returncode == 1 and "after `dvc repro`" in done.stderr


def test_both_projects_are_timed(project: None, call_python: Call) -> None:
    call_python("-m", "dvc", "repro", "-q").check_returncode()
    done = call_python(SCRIPT, "1")
    assert "| this project, 1 stages, s (at most 3) |" in done.stdout, done.stderr
    assert "| ratio of these two (at most 2) |" in done.stdout
