"""Runs the benchmark in a project of one stage."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "idle.py"
DVC = [sys.executable, "-m", "dvc"]


def benchmark(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, SCRIPT, "1"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages:\n  one: {cmd: echo 1 > out, outs: [out]}\n")
    subprocess.run([*DVC, "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_a_project_that_never_ran_is_refused(project: Path) -> None:
    done = benchmark(project)
    assert done.returncode == 1 and "after `dvc repro`" in done.stderr


def test_both_projects_are_timed(project: Path) -> None:
    subprocess.run([*DVC, "repro", "-q"], cwd=project, check=True)
    done = benchmark(project)
    assert "| this project, 1 stages, s (at most 3) |" in done.stdout, done.stderr
    assert "| ratio of these two (at most 2) |" in done.stdout
