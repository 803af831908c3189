import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import train_tasks
from attnlabels.processes.resumable import STOPPED
from attnlabels.tasks.training import TASKS
from attnlabels.training import encoders
from interrupting import PATIENCE_S, wait_for
from tiny_tasks import KEPT, prepare, tiny, write_params

Train = Callable[..., Path]
SOURCE = Path(train_tasks.__file__)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_params(tiny())
        prepare()
    return folder / "data"


@pytest.fixture
def words(shards, tmp_path, monkeypatch) -> Callable[..., list[Any]]:
    """The arguments that train a task's runs into a folder, with changes to the parameters."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def call(out: str, *, task: str, runs: tuple[str, ...], **changed: Any) -> list[Any]:
        tree = tiny()
        tree["train_tasks"] |= changed
        setting = tree["tasks"][task]
        setting["runs"] = {name: setting["runs"][name] for name in runs}
        setting["fused"] = setting["fused"] if setting["fused"] in runs else None
        if setting["masks"]:
            setting["masks"] = str(shards / "scenes/segmentation/masks")
        write_params(tree)
        outs = (Path(out) / name for name in ("networks", "examples", "reports"))
        return [task, 0, shards / task, *outs]

    return call


@pytest.fixture
def train(words) -> Train:
    """Trains as `words` says; returns the folder."""

    def call(out: str, *, task: str = "segmentation", runs: Any = None, **changed: Any) -> Path:
        torch.set_num_threads(1)
        train_tasks.main(*words(out, task=task, runs=runs or KEPT[task], **changed))
        return Path(out)

    return call


def report(out: Path, run: str) -> dict[str, Any]:
    return json.loads((out / "reports" / f"{run}.json").read_text())


def weights(out: Path, run: str) -> dict[str, torch.Tensor]:
    return load_file(out / "networks" / f"{run}.safetensors")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("task", TASKS)
def test_each_run_of_a_task_leaves_its_own_files(train, task):
    out = train("out", task=task)
    people = tiny()["tasks"][task]["people"]
    for run in KEPT[task]:
        told, has_mask = report(out, run), run not in ("none", "frame")
        assert (told["task"], told["run"], told["seed"]) == (task, run, 0)
        assert told["made_by"]["threads"] == 1 and weights(out, run)
        assert told["development"].keys() == told["test"].keys()
        assert told["centre_prior"].keys() == {*people}
        assert ("closeness" in told) is has_mask
        if has_mask:
            assert told["closeness"].keys() == {*people}
            near = next(iter(told["closeness"].values()))
            assert [*near] == ["cc", "nss", "sauc", "null_cc"]
        assert ("fused" in told) is (task == "action")
        with np.load(out / "examples" / f"{run}.npz") as seen:
            assert ("masks" in seen) is has_mask and len(seen["pictures"]) == 8
    assert not [*Path("scratch").rglob("state.pt")]


def test_the_oracle_is_as_close_as_can_be_and_the_centre_as_its_prior(train):
    out = train("out", runs=("oracle", "centre"))
    assert report(out, "oracle")["closeness"]["people"]["cc"] > 0.9
    near, prior = (report(out, "centre")[key]["people"] for key in ("closeness", "centre_prior"))
    assert near["cc"] == pytest.approx(prior["cc"], abs=0.05)


def test_runs_that_differ_in_weight_begin_alike_and_a_mask_comes_closer_by_it(train):
    out = train("out", runs=("implicit", "explicit_03"), epochs=12, learning_rate=0.02)
    loose, held = (report(out, run) for run in ("implicit", "explicit_03"))
    assert "kld" not in loose["loss"] and "kld" in held["loss"]
    cc = [each["closeness"]["people"]["cc"] for each in (loose, held)]
    assert cc[1] > cc[0]


def test_an_answer_of_two_streams_is_the_mean_of_both(train):
    out = train("out", task="action", runs=("none", "frame"))
    told = report(out, "frame")
    assert told["fused"] == told["test"]  # with itself


def test_the_same_seed_leaves_the_same_bytes(train):
    runs = ("implicit", "wrong")
    assert contents(train("one", runs=runs)) == contents(train("other", runs=runs))


def test_a_stage_that_was_cut_goes_on_to_the_same_bytes_and_trains_no_run_twice(train, monkeypatch):
    runs = ("implicit", "explicit_03")
    whole, made = contents(train("whole", runs=runs, checkpoint_steps=1)), list[float]()
    step = encoders.Training.step

    def counting(self, batch, *, rate: float, progress: float) -> dict[str, float]:
        if len(made) == 9:  # of 12; the second run has begun
            raise KeyboardInterrupt
        made.append(rate)
        return step(self, batch, rate=rate, progress=progress)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(encoders.Training, "step", counting)
        train("cut", runs=runs, checkpoint_steps=1)
    assert not list(Path().glob("cut/*"))

    left = list[float]()

    def noting(self, batch, *, rate: float, progress: float) -> dict[str, float]:
        left.append(rate)
        return step(self, batch, rate=rate, progress=progress)

    monkeypatch.setattr(encoders.Training, "step", noting)
    assert contents(train("cut", runs=runs, checkpoint_steps=1)) == whole
    assert len(left) == 3


def test_processes_share_the_runs_and_leave_the_same_bytes(train, words, call_python):
    runs = ("none", "implicit", "explicit_03")
    alone = contents(train("alone", runs=runs))
    arguments = map(str, words("both", task="segmentation", runs=runs, processes=2))
    said = call_python(SOURCE, *arguments, ATTNLABELS_SCRATCH="scratch")
    assert said.returncode == 0, said.stderr
    assert contents(Path("both")) == alone
    assert not [*Path("scratch").rglob("state.pt")]


def test_processes_that_get_a_signal_go_on_to_the_same_bytes(train, words, start, call_python):
    runs = ("none", "implicit", "explicit_03")
    changed = {"epochs": 40, "checkpoint_steps": 1, "processes": 2}
    alone = contents(train("alone", runs=runs, **changed))
    cut = [str(each) for each in words("cut", task="segmentation", runs=runs, **changed)]
    process = start(SOURCE.name, *cut)
    at = Path("scratch").glob  # a run that a process is at has a lock, and soon a state
    wait_for(lambda: sum((each.parent / "state.pt").exists() for each in at("*/lock")) == 2)
    process.send_signal(signal.SIGUSR1)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == STOPPED, said
    assert "SIGUSR1 arrived; the state is kept" in said and not Path("cut").exists()
    said = call_python(SOURCE, *cut, ATTNLABELS_SCRATCH="scratch")
    assert said.returncode == 0, said.stderr
    assert contents(Path("cut")) == alone


def test_what_does_not_fit_is_named_and_nothing_is_left(train, words, fail):
    with pytest.raises(ValueError, match="development = 0.01 holds 0 of 24"):
        train("out", development=0.01)
    with pytest.raises(ValueError, match="1 samples do not fill one batch|19 samples do not fill"):
        train("out", batch_size=20)
    with pytest.raises(ValueError, match=r"step \d+: the (loss|gradient)"):
        train("out", task="action", learning_rate=1e30)
    arguments = words("out", task="segmentation", runs=("none",))
    arguments[2] = Path("nowhere")
    assert "train_people/index.json: not here" in fail(train_tasks, *arguments)
    assert not Path("out").exists()


def test_a_state_is_of_the_masks_that_it_learnt_from(words, shards, tmp_path, monkeypatch):
    monkeypatch.setattr(train_tasks, "score", interrupted)
    own = shutil.copytree(shards / "scenes/segmentation/masks", tmp_path / "masks")
    arguments = words("out", task="segmentation", runs=("none",))
    tree = json.loads(Path("params.yaml").read_text())
    tree["tasks"]["segmentation"]["masks"] = str(own)
    write_params(tree)
    for states in (1, 1, 2):
        if states == 2:
            for path in own.iterdir():
                cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[::-1])
        with pytest.raises(RuntimeError, match="as a kill"):
            train_tasks.main(*arguments)
        assert len([*Path("scratch").rglob("state.pt")]) == states


def interrupted(*_: Any, **__: Any) -> None:
    raise RuntimeError("as a kill between training and writing")
