"""Workers end with the process they work for, whatever ends that, and by no signal of others."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from attnlabels.pipeline.script import run
from attnlabels.processes.checkpoint import Scratch
from attnlabels.processes.loading import start_worker
from attnlabels.processes.workers import pool
from attnlabels.processes.world import World
from attnlabels.training.loop import Loop, fit

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
SECONDS = 30.0  # a process that is there for so long is taken to stay


def processes_of(group: int) -> list[int]:
    """The processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group_of, *_ = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(group_of) == group and state != "Z":
            found.append(int(path.parent.name))
    return found


def is_over(group: int) -> bool:
    return not processes_of(group)


def is_longer(file: Path, size: int) -> bool:
    return file.stat().st_size > size


def wait_for(what: Callable[[], object]) -> bool:
    end = time.monotonic() + SECONDS
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(what())


@pytest.fixture
def job() -> Iterator[Callable[..., int]]:
    """Starts a function as a process that leads a group of its own; its number. None stays."""
    started = []

    def start(function: Callable[..., None], *arguments: Any) -> int:
        def lead() -> None:
            os.setpgid(0, 0)
            function(*arguments)

        process = get_context("fork").Process(target=lead)
        process.start()
        started.append(process)
        assert process.pid and wait_for(lambda: processes_of(process.pid) or process.exitcode)
        return process.pid

    yield start
    for process in started:
        for left in processes_of(process.pid):
            os.kill(left, signal.SIGKILL)
        process.join()


class Slow(torch.utils.data.Dataset):
    """Its item 0 comes at once; the others take longer than any test."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index:
            time.sleep(600)
        return index


def begin(said: Path) -> Any:
    """A loader's iterator whose worker is busy."""
    loaded = iter(DataLoader(Slow(), num_workers=1, worker_init_fn=start_worker))
    next(loaded)
    said.touch()
    return loaded


def leave_with_an_iterator_in_use(said: Path) -> None:
    kept = [begin(said)]
    sys.exit(143 + 0 * len(kept))


def stay_with_an_iterator_in_use(said: Path) -> None:
    kept = [begin(said)]
    time.sleep(600 + 0 * len(kept))


def test_a_process_that_leaves_does_not_wait_for_a_worker_that_is_busy(job, tmp_path):
    group = job(leave_with_an_iterator_in_use, tmp_path / "said")
    assert wait_for((tmp_path / "said").exists)
    assert wait_for(partial(is_over, group)), "it hangs"


def test_a_process_that_is_killed_takes_its_busy_worker_with_it(job, tmp_path):
    group = job(stay_with_an_iterator_in_use, tmp_path / "said")
    assert wait_for((tmp_path / "said").exists)
    assert len(processes_of(group)) == 2
    os.kill(group, signal.SIGKILL)
    assert wait_for(partial(is_over, group)), "a worker stays"


def test_a_signal_to_a_worker_that_its_parent_did_not_send_is_none_of_its_business(job, tmp_path):
    group = job(stay_with_an_iterator_in_use, tmp_path / "said")
    assert wait_for((tmp_path / "said").exists)
    (worker,) = {*processes_of(group)} - {group}
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP):
        os.kill(worker, number)
    time.sleep(0.3)
    assert worker in processes_of(group)


TOUCH_AND_SLEEP = """
import pathlib, time
pathlib.Path({path!r}).touch()
time.sleep(0 if {path!r}.endswith("/0") else 600)
"""


def work_in_a_pool(folder: Path) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    jobs = [TOUCH_AND_SLEEP.format(path=str(folder / str(i))) for i in range(4)]
    with pool(1) as processes:  # their interpreters are new ones, which cannot import this module
        list(processes.map(exec, jobs))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_jobs_of_a_pool_end_with_the_process_that_waits_for_them(job, tmp_path, number):
    group = job(work_in_a_pool, tmp_path)
    assert wait_for((tmp_path / "1").exists)
    os.kill(group, number)
    assert wait_for(partial(is_over, group)), "jobs go on"
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}


class Counted(torch.utils.data.Dataset):
    """Sixty samples, and a training that writes down each step that it makes."""

    def __init__(self, log: Path) -> None:
        self.log, self.total = log, torch.zeros(())

    def __len__(self) -> int:
        return 60

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        return {"index": item[1], "value": np.float32(item[1])}

    def key_of(self, index: int) -> str:
        return str(index)

    def step(
        self, batch: dict[str, torch.Tensor], *, rate: float, progress: float
    ) -> dict[str, float]:
        time.sleep(0.02)
        self.total += batch["value"].sum()
        with self.log.open("a") as file:
            file.write(f"{self.total}\n")
        return {"loss": 0.0}

    def end_epoch(self, means: dict[str, float], *, epoch: int, step: int) -> dict[str, Any]:
        return {"epoch": epoch}

    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total = state["total"]


EPOCHS = 15  # of 0.6 s at least, as long as all the times together that it is left to itself
LOOP = Loop(
    batch_size=2,
    epochs=EPOCHS,
    warmup_epochs=0.0,
    workers=1,
    checkpoint_minutes=60.0,
    checkpoint_steps=0,
)


def stage(log: Path) -> None:
    world = World(0, 1, torch.device("cpu"))
    samples = Counted(log)
    scratch = Scratch("counted")
    fit(samples, samples, LOOP, seed=0, scratch=scratch, world=world, title="counted")
    log.with_name("done").touch()


def play_dvc(log: Path) -> None:
    """Run a stage as `dvc repro` does, which a signal ends while its stage goes on."""

    def start() -> None:
        os.environ["DVC_STAGE"] = "counted"
        sys.argv = ["stage.py", str(log)]
        with open(log.with_name("said"), "a") as said:
            os.dup2(said.fileno(), 2)
            run(stage)

    def end(number: int, frame: Any) -> None:
        time.sleep(0.005)  # two signals of one moment would arrive as one
        os._exit(143)

    signal.signal(signal.SIGTERM, end)
    process = get_context("fork").Process(target=start)
    process.start()
    process.join()


def test_a_job_that_is_stopped_twenty_times_leaves_no_process_and_loses_no_step(
    job, tmp_path, monkeypatch
):
    # Two signals come each time: the group's, and that of the watch for DVC's end.
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path / "scratch"))
    log, moments = tmp_path / "log", random.Random(0)
    log.touch()
    for stopped in range(20):
        made = log.stat().st_size
        group = job(play_dvc, log)
        if stopped % 2:  # amid the steps; else perhaps before the first
            assert wait_for(partial(is_longer, log, made))
        time.sleep(moments.uniform(0, 0.6))
        os.killpg(group, signal.SIGTERM)
        assert wait_for(partial(is_over, group)), f"{processes_of(group)} stay"
    assert not (tmp_path / "done").exists(), "too short to be stopped so often"
    job(play_dvc, log)
    assert wait_for((tmp_path / "done").exists)
    totals = [float(line) for line in log.read_text().splitlines()]
    assert len(totals) == EPOCHS * 30, "a step was lost, or made twice"
    assert totals == sorted(totals) and totals[-1] == EPOCHS * sum(range(60))
    assert "Traceback" not in (tmp_path / "said").read_text()
