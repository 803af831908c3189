"""Kills, signals and lost processes: a training that goes on ends with the same bytes."""

import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import train_simclr
import train_teacher
from attnlabels.processes.checkpoint import Scratch
from attnlabels.processes.resumable import STOPPED
from interrupting import PATIENCE_S, wait_for

SOURCES = Path(train_simclr.__file__).parent
SCALING = SOURCES.parent / "SCALING.md"
RUN = "contrastive_attn_teacher"
SIMCLR = {"train_simclr.epochs": 5, "train_simclr.checkpoint_minutes": 0.0}
TEACHER = {"train_teacher.epochs": 4, "train_teacher.checkpoint_minutes": 0.0}
# Two processes; long enough to be met alive, its state kept at every step.
TWO = {
    "train_simclr.processes": 2,
    "train_simclr.batch_size": 8,
    "train_simclr.epochs": 6,
    "train_simclr.checkpoint_minutes": 0.0,
}


def teacher_words(out: Path, world: Path) -> list[Any]:
    sets = [world / "data/attention" / name for name in ("train", "dev")]
    outs = (out / name for name in ("teacher.safetensors", "curve.csv", "report.json"))
    return ["teacher", *sets, *outs]


@pytest.fixture
def simclr_words(world, teacher, tmp_path_factory, params, listed) -> Callable[[Path], list[str]]:
    """The command line of a SimCLR training into a folder."""
    import label_images

    labels = tmp_path_factory.mktemp("labels") / "train"
    label_images.main(
        teacher,
        world / "data/scenes/imagenet/train",
        world / "data/images/train.csv",
        world / "data/attention/eye",
        labels,
        labels.with_name("examples.npz"),
    )

    def words(out: Path) -> list[str]:
        images, manifest = world / "data/scenes/imagenet/val", world / "data/images/val.csv"
        outs = (out / name for name in ("student.safetensors", "curve.csv", "report.json"))
        return [str(listed(RUN, labels)), "0", *map(str, (images, manifest, *outs))]

    return words


HUNG = 120  # seconds, many times what a training takes


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def kill_at_random(train: Callable[[Path], None], whole: Path, *, kills: int) -> None:
    """SIGKILL trainings at random moments; what comes to its end must be as `whole`."""
    train(whole.with_name("warm"))
    start = time.monotonic()
    train(whole)
    moments, longest, hung = random.Random(0), 0.6 * (time.monotonic() - start), 0
    cut = whole.with_name("cut")
    killed = True
    while kills or killed:
        process = get_context("fork").Process(target=train, args=(cut,))
        process.start()
        # A fork of a process with threads may wait for a lock that none of it will free.
        process.join(moments.uniform(0, longest) if kills else HUNG)
        killed = process.is_alive()
        if killed:
            process.kill()
            process.join()
            hung += not kills
            assert hung < 3, "a training does not come to its end"
            kills = max(0, kills - 1)
        else:
            assert process.exitcode == 0
            assert [*contents(cut)] == [*contents(whole)]
            assert contents(cut) == contents(whole)
            shutil.rmtree(cut)
    made = {path.name for path in Path().iterdir()}
    assert made - {"runs"} == {"params.yaml", "scratch", "warm", "whole"}
    assert not list(Path("scratch").iterdir())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_simclr_killed_at_twenty_moments_ends_with_the_same_bytes(params, simclr_words):
    params(SIMCLR)

    def train(out: Path) -> None:
        run, seed, *paths = simclr_words(out)
        train_simclr.main(Path(run), int(seed), *map(Path, paths))

    kill_at_random(train, Path("whole"), kills=20)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_teacher_killed_at_twenty_moments_ends_with_the_same_bytes(params, world):
    params(TEACHER)
    kill_at_random(
        lambda out: train_teacher.main(*teacher_words(out, world)), Path("whole"), kills=20
    )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def states() -> list[Path]:
    return list(Path("scratch").rglob("state.pt"))


def working(pid: int) -> int:
    """The process that does what this one was called for: of a warm Python another."""
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    return int(name) if name.isdigit() else pid


def children(process: subprocess.Popen[str]) -> list[int]:
    """The processes that it started."""
    pid = working(process.pid)
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [working(int(each)) for each in listed.split()]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def pid_in(file: Path) -> int:
    """The number that a process wrote there of itself, once it has."""
    wait_for(lambda: file.is_file() and file.read_text())
    return int(file.read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_ends_the_step_keeps_the_state_and_leaves_with_its_own_status(
    params, world, start, number
):
    params(TEACHER | {"train_teacher.epochs": 200, "train_teacher.checkpoint_minutes": 60.0})
    process = start("train_teacher.py", *map(str, teacher_words(Path("out"), world)))
    wait_for(lambda: list(Path("scratch").rglob("lock")))
    time.sleep(0.5)
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == STOPPED
    assert f"{number.name} arrived; the state is kept, and the same command goes on" in said
    assert len(states()) == 1 and not Path("out").exists()


def test_two_processes_go_on_after_a_signal_and_after_the_loss_of_one(params, simclr_words, start):
    params(TWO)
    whole = start("train_simclr.py", *simclr_words(Path("whole")))
    _, said = whole.communicate(timeout=PATIENCE_S)
    assert whole.returncode == 0 and "Warning" not in said, said

    asked = start("train_simclr.py", *simclr_words(Path("cut")))
    wait_for(states)
    both = children(asked)
    asked.send_signal(signal.SIGUSR1)
    _, said = asked.communicate(timeout=PATIENCE_S)
    assert asked.returncode == STOPPED and "SIGUSR1 arrived" in said
    assert len(both) == 2 and not any(map(alive, both))

    robbed = start("train_simclr.py", *simclr_words(Path("cut")))
    before = states()[0].stat().st_mtime_ns
    wait_for(lambda: states()[0].stat().st_mtime_ns != before)
    both = children(robbed)
    os.kill(both[1], signal.SIGKILL)
    _, said = robbed.communicate(timeout=PATIENCE_S)
    assert robbed.returncode == 1 and "ended by SIGKILL" in said
    assert not any(map(alive, both)) and not list(Path("cut").glob("*"))

    last = start("train_simclr.py", *simclr_words(Path("cut")))
    _, said = last.communicate(timeout=PATIENCE_S)
    assert last.returncode == 0, said
    assert contents(Path("cut")) == contents(Path("whole"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of another process's end")
def test_no_process_outlives_its_launcher(params, simclr_words, start):
    params(TWO)
    early = start("train_simclr.py", *simclr_words(Path("out")), warm=False)
    wait_for(lambda: len(children(early)) == 2)
    both = children(early)
    early.kill()
    wait_for(lambda: not any(map(alive, both)))
    assert not states()

    late = start("train_simclr.py", *simclr_words(Path("out")), warm=False)
    wait_for(states)
    both = children(late)
    late.kill()
    wait_for(lambda: not any(map(alive, both)))
    _, said = late.communicate(timeout=PATIENCE_S)
    assert "SIGTERM arrived; the state is kept" in said
    assert len(states()) == 1 and not list(Path("scratch").rglob("lock"))


LAUNCHED = """
import os, pathlib, time
from attnlabels.pipeline.launch import launch

launch(2)
pathlib.Path("pid" + os.environ["RANK"]).write_text(str(os.getpid()))
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of another process's end")
@pytest.mark.parametrize("torchrun", [[], ["-m", "torch.distributed.run", "--nproc-per-node=2"]])
def test_whatever_was_launched_ends_with_what_launched_it(tmp_path, monkeypatch, torchrun):
    monkeypatch.chdir(tmp_path)
    Path("waits.py").write_text(LAUNCHED)
    environment = os.environ | {"PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *torchrun, "waits.py"], env=environment)
    try:
        both = [pid_in(Path("pid0")), pid_in(Path("pid1"))]
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not any(map(alive, both)))


WAITING = """
from attnlabels.pipeline.script import ending_clearly
from attnlabels.processes.world import joined

with ending_clearly("waiting"):
    print("here", flush=True)
    with joined():
        print("joined")
"""


def test_who_waits_for_a_process_that_does_not_come_hears_a_signal():
    environment = {"PYTHONPATH": str(SOURCES), "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}
    meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port())}
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        env=os.environ | environment | meeting,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout and process.stdout.readline() == "here\n"
        time.sleep(1)  # it waits by now, or else hears the signal before it does
        process.terminate()
        said, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM) and said == ""


SRUN = """#!/bin/sh
# Two tasks of one machine; leaves with the largest status.
[ "$1" = --cpus-per-task ] && shift 2
for i in 0 1; do
    SLURM_PROCID=$i SLURM_LOCALID=$i "$@" &
    tasks="$tasks $!"
done
echo $tasks > tasks
for each in $tasks; do
    wait $each
    status=$?
    [ $status -gt ${largest:-0} ] && largest=$status
done
exit ${largest:-0}
"""
SCONTROL = """#!/bin/sh
if [ "$1" = show ]; then echo localhost; else echo "$@" >> asked; fi
"""


@pytest.fixture
def submit(simclr_words, tmp_path, warm_python) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts SCALING.md's script for several machines, on one and without SLURM."""
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", SCALING.read_text(), re.DOTALL)
    changes = {
        "29500": str(free_port()),
        "src/train_simclr.py": str(SOURCES / "train_simclr.py"),
        "data/runs/main/contrastive.json 0 …": shlex.join(simclr_words(Path("out"))),
    }
    for old, new in changes.items():
        assert script.count(old) == 1, old
        script = script.replace(old, new)
    bin = tmp_path / "bin"
    bin.mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (bin / name).write_text(text)
        (bin / name).chmod(0o755)
    own = {
        "PYTHONPATH": str(SOURCES),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "SCRATCH": str(tmp_path / "states"),
        "SLURM_JOB_ID": "17",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
    }

    def start() -> "subprocess.Popen[str]":
        path = os.pathsep.join([str(bin), str(Path(warm_python).parent), os.environ["PATH"]])
        return subprocess.Popen(
            ["bash", "-c", script],
            env=os.environ | own | {"PATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_the_batch_script_asks_to_go_on_after_slurms_signal_and_then_ends(params, submit):
    params(TWO)
    job = submit()
    wait_for(lambda: list(Path("states").rglob("state.pt")))
    for task in Path("tasks").read_text().split():
        os.kill(int(task), signal.SIGUSR1)
    _, said = job.communicate(timeout=PATIENCE_S)
    assert job.returncode == STOPPED, said
    assert "SIGUSR1 arrived; the state is kept" in said and not Path("out").exists()
    assert Path("asked").read_text() == "requeue 17\n"

    job = submit()
    _, said = job.communicate(timeout=PATIENCE_S)
    assert job.returncode == 0, said
    assert Path("out/student.safetensors").is_file()
    assert Path("asked").read_text() == "requeue 17\n"


def test_processes_with_other_parameters_are_refused(
    params, tiny_params, simclr_words, start, tmp_path
):
    params(TWO)
    (tmp_path / "other").mkdir()
    tiny_params(tmp_path / "other", TWO | {"train_simclr.temperature": 0.2})
    port = free_port()
    processes = []
    for rank, folder in enumerate((tmp_path, tmp_path / "other")):
        os.chdir(folder)
        processes.append(
            start(
                "train_simclr.py",
                *simclr_words(Path("out")),
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE="2",
                MASTER_ADDR="localhost",
                MASTER_PORT=str(port),
            )
        )
    said = [process.communicate(timeout=PATIENCE_S)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    assert all("the training of process 1 is not that of process 0" in each for each in said)


def test_a_second_training_of_the_same_run_waits_its_turn(params, fail, world, start):
    params(TEACHER | {"train_teacher.epochs": 200})
    first = start("train_teacher.py", *map(str, teacher_words(Path("out"), world)))
    wait_for(states)
    message = fail(train_teacher, *teacher_words(Path("out"), world))
    assert "is in use: another process is at the same run; wait until it ends" in message
    assert first.poll() is None


def test_a_lock_ends_with_its_process_and_goes_with_it(monkeypatch, tmp_path):
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path))
    one, other = Scratch("run"), Scratch("run")
    one.lock()
    with pytest.raises(ValueError, match="in use"):
        other.lock()
    one.unlock()
    other.lock()
    other.unlock()
    assert not list(tmp_path.iterdir())


def test_a_clock_that_jumps_changes_nothing(params, world, monkeypatch):
    params(TEACHER)
    train_teacher.main(*teacher_words(Path("whole"), world))
    jumps = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0, 4e9))
    train_teacher.main(*teacher_words(Path("jumped"), world))
    assert contents(Path("jumped")) == contents(Path("whole"))


STAGE = '''"""Write who this is, and wait."""
import os, pathlib, time
from attnlabels.pipeline.script import run

def main(out: pathlib.Path) -> None:
    pathlib.Path("pid").write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    run(main)
'''


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of another process's end")
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])  # dash stays between DVC and the stage
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_stage_outlives_its_dvc(tmp_path, monkeypatch, number, shell):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHELL", shell)
    Path("stage.py").write_text(STAGE)
    stage = f"stages: {{one: {{cmd: {sys.executable} stage.py out, outs: [out]}}}}\n"
    Path("dvc.yaml").write_text(stage)
    dvc = [sys.executable, "-m", "dvc"]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    subprocess.run([*dvc, "init", "--no-scm", "-q"], check=True, env=environment)
    process = subprocess.Popen([*dvc, "repro", "-q"], env=environment, stderr=subprocess.DEVNULL)
    pid = pid_in(Path("pid"))
    process.send_signal(number)
    process.wait(timeout=30)
    wait_for(lambda: not alive(pid), seconds=10)
