"""The gate of `.ci/run`, on a project of three stages and a study as a clone has it; its cure."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Dvc = Callable[..., None]
Gate = Callable[[Path], "subprocess.CompletedProcess[str]"]
SCRIPT = Path(__file__).parents[1] / ".ci" / "stale.py"
CHAIN = """
stages:
  list: {cmd: "head -n 1 code > listed", deps: [code], outs: [listed]}
  train: {cmd: cp listed weights, deps: [listed], outs: [weights]}
  score: {cmd: cp weights score, deps: [weights], metrics: [score: {cache: false}]}
"""
STUDY = """
stages:
  train: {wdir: ../.., cmd: cp listed other, deps: [listed], outs: [other]}
"""


@pytest.fixture(scope="module")
def dvc(call_python: Callable[..., "subprocess.CompletedProcess[str]"]) -> Dvc:
    def call(folder: Path, *words: str) -> None:
        call_python("-m", "dvc", *words, "-q", cwd=folder).check_returncode()

    return call


@pytest.fixture(scope="module")
def gate(call_python: Callable[..., "subprocess.CompletedProcess[str]"]) -> Gate:
    """What it says of a clone: without data, and without what DVC keeps."""

    def call(folder: Path) -> "subprocess.CompletedProcess[str]":
        clone = folder.with_name("clone")
        shutil.copytree(folder, clone, ignore=shutil.ignore_patterns("cache", "tmp"))
        for data in ("listed", "weights", "other"):
            (clone / data).unlink()
        done = call_python(SCRIPT, cwd=clone)
        shutil.rmtree(clone)
        return done

    return call


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, dvc: Dvc) -> Path:
    folder = tmp_path_factory.mktemp("gate") / "project"
    (folder / "stages/study").mkdir(parents=True)
    (folder / "dvc.yaml").write_text(CHAIN)
    (folder / "stages/study/dvc.yaml").write_text(STUDY)
    (folder / "code").write_text("one\n# a comment\n")
    dvc(folder, "init", "--no-scm")
    dvc(folder, "repro", "--all-pipelines")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project"))


def test_locks_in_step_pass_without_any_data(project: Path, gate: Gate) -> None:
    done = gate(project)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "dvc.yaml: in step\nstages/study/dvc.yaml: in step\n"


def test_edited_code_fails(project: Path, gate: Gate) -> None:
    (project / "code").write_text("two\n")
    done = gate(project)
    assert done.returncode == 1 and "dvc.lock is of other code" in done.stderr
    assert "dvc.yaml: 1 would run: list\n" in done.stdout


def test_code_that_was_only_listed_again_fails_by_the_stages_that_watch_it(
    project: Path, dvc: Dvc, gate: Gate
) -> None:
    (project / "code").write_text("two\n")
    dvc(project, "repro", "list")
    done = gate(project)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "dvc.yaml: 1 would run: train",
        "stages/study/dvc.yaml: 1 would run: stages/study/dvc.yaml:train",
    ]


def test_a_comment_that_was_listed_passes(project: Path, dvc: Dvc, gate: Gate) -> None:
    (project / "code").write_text("one\n# another comment\n")
    dvc(project, "repro", "list")
    assert gate(project).returncode == 0


def test_a_study_out_of_step_is_named_and_does_not_fail(
    project: Path, dvc: Dvc, gate: Gate
) -> None:
    (project / "code").write_text("two\n")
    dvc(project, "repro")
    done = gate(project)
    assert done.returncode == 0 and "dvc.yaml: in step\n" in done.stdout
    assert "1 would run: stages/study/dvc.yaml:train\n" in done.stdout


def test_a_pipeline_that_dvc_cannot_read_is_an_error(project: Path, gate: Gate) -> None:
    (project / "dvc.yaml").write_text("stages: 3\n")
    done = gate(project)
    assert done.returncode == 1 and "'./dvc.yaml' validation failed" in done.stderr


CODE = """- path: {path}
      hash: md5
      md5: {digest}
      size: {size}"""
LOCK = """schema: '2.0'
stages:
  list_code:
    cmd: python src/list_code.py data/code
    deps:
    - path: src
      hash: md5
      md5: ab.dir
      size: 9
      nfiles: 3
    outs:
    {code}
    {blocks}
      nfiles: 2
  train:
    cmd: python src/train.py
    deps:
    {other}
    {old}
    outs:
    - path: data/weights
      hash: md5
      md5: ef
      size: 5
"""


@pytest.mark.parametrize("above", ["", f"{os.pardir}/{os.pardir}/"])
def test_relocking_gives_the_digests_of_the_code_listed_and_changes_nothing_else(tmp_path, above):
    entry = functools.partial(CODE.format, digest="cd", size=7)
    new = entry(path="data/code/train.json"), entry(path="data/code/blocks", digest="cd.dir")
    other = CODE.format(path="data/images", digest="0f", size=8)
    old = CODE.format(path="data/code/train.json", digest="0e", size=6)
    parts = {"code": new[0], "blocks": new[1], "other": other}
    study = tmp_path / "stages/study"
    study.mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(LOCK.format(**parts, old=old))
    body = "schema: '2.0'\nstages:\n  draw:\n    deps:\n    {}\n      nfiles: 1\n    {}\n"
    folder = CODE.format(path=f"{above}data/code/blocks", digest="0d.dir", size=1)
    (study / "dvc.lock").write_text(body.format(folder, other))
    subprocess.run([sys.executable, SCRIPT.with_name("relock.py")], cwd=tmp_path, check=True)
    assert (tmp_path / "dvc.lock").read_text() == LOCK.format(**parts, old=new[0])
    renewed = entry(path=f"{above}data/code/blocks", digest="cd.dir") + "\n      nfiles: 2"
    expected = body.replace("{}\n      nfiles: 1", "{}").format(renewed, other)
    assert (study / "dvc.lock").read_text() == expected


STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
"""


def test_ci_runs_both_commands_of_the_readme_and_the_gate_between(tmp_path):
    called = ("python3", "python", "pip", "dvc", "pytest", "chromedriver")
    for name in called:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(STUB)
        path.chmod(0o755)
    project = tmp_path / "project"
    (project / ".ci").mkdir(parents=True)
    shutil.copy(SCRIPT.with_name("run"), project / ".ci" / "run")
    readme = (SCRIPT.parents[1] / "README.md").read_text()
    activated = ". .venv/bin/activate && "
    assert readme.count(activated) == 2
    (project / "README.md").write_text(readme.replace(activated, ""))  # no environment is made
    calls = tmp_path / "calls"
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", ".ci/run"],
        cwd=project,
        env={**os.environ, "PATH": path, "CALLS": str(calls)},
        check=True,
        capture_output=True,
    )
    assert calls.read_text().splitlines() == [
        "python3 -m venv .venv",
        "pip install -q -e .",
        "python .ci/stale.py",
        "dvc repro",
        "python3 -m venv .venv",
        "pip install -q -e .[test]",
        "pytest ",
    ]


def test_the_gate_takes_no_words():
    done = subprocess.run([sys.executable, SCRIPT, "dvc"], capture_output=True, text=True)
    assert done.returncode and "takes no words, and was given dvc" in done.stderr
