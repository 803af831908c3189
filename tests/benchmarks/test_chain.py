"""Runs the benchmark in a project of two stages."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "chain.py"
PIPELINE = """
stages:
  draw:
    foreach: [a, b]
    do:
      cmd: {python} draw.py > ${{item}}
      outs: ["${{item}}"]
"""
UNLIMITED = """
import chain
chain.LIMIT_S = chain.LIMIT_IDLE_S = float("inf")  # this machine may be busy
chain.main()
"""
DRAW = "import time; held = b'x' * 300_000_000; time.sleep(1)"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "draw.py").write_text(DRAW)
    (tmp_path / "dvc.yaml").write_text(PIPELINE.format(python=sys.executable))
    return tmp_path


def benchmark(folder: Path, *, python: str) -> "subprocess.CompletedProcess[str]":
    paths = (SCRIPT.parent, SCRIPT.parents[1] / "src")
    return subprocess.run(
        [python, "-c", UNLIMITED],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
    )


def test_the_first_run_is_measured_and_a_second_refused(project: Path, warm_python: str) -> None:
    # Not the warm Python: its calls are no children of who calls, and their memory is not seen.
    done = benchmark(project, python=sys.executable)
    assert done.returncode == 0, done.stderr
    together, largest = (
        float(re.search(rf"memory, {which} \| ([\d.]+) GB", done.stdout)[1])  # type: ignore[index]
        for which in ("processes together", "largest process")
    )
    assert 0.3 <= largest <= together < 1.5
    draw = re.search(r"\| draw \| 2 \| ([\d.]+) \|", done.stdout)
    assert draw is not None and 2 <= float(draw[1]) < 20

    done = benchmark(project, python=warm_python)
    assert done.returncode == 1
    assert "2 stages had run before, e.g. draw@a: clone anew" in done.stderr


def test_a_failing_stage_is_told(project: Path, warm_python: str) -> None:
    (project / "dvc.yaml").write_text("stages: {a: {cmd: exit 3}}")
    done = benchmark(project, python=warm_python)
    assert done.returncode == 1
    assert "`dvc repro` failed with status 255" in done.stderr
