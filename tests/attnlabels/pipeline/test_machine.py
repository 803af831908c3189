import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import cv2
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from attnlabels.pipeline import machine
from attnlabels.pipeline.machine import cores, made_by, processor, take_threads

SOURCES = Path(machine.__file__).parents[2]


@pytest.fixture(autouse=True)
def one_thread_after():
    yield
    torch.set_num_threads(1)
    threadpool_limits(1)


def write(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_torch_and_blas_take_as_many_threads_as_the_parameter_says_and_opencv_one(tmp_path):
    assert take_threads(write(tmp_path, "threads: 3\n")) == 3
    assert torch.get_num_threads() == 3 and cv2.getNumThreads() == 1
    assert {pool["num_threads"] for pool in threadpool_info()} == {3}


def test_zero_takes_the_cores_and_shares_them_with_the_processes_of_a_launch(tmp_path, monkeypatch):
    path = write(tmp_path, "threads: 0\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert cores() == 6 and take_threads(path) == 6
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert take_threads(path) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("threads: -1\n", "-1"),
        ("threads: 1.5\n", "1.5"),
        ("threads: two\n", "'two'"),
        ("threads: true\n", "True"),
        ("seeds: [0]\n", "None"),
    ],
)
def test_what_is_no_number_of_threads_is_refused_by_its_name(tmp_path, text, shown):
    with pytest.raises(ValueError, match=rf"params\.yaml: threads is {shown}, expected a whole"):
        take_threads(write(tmp_path, text))


def test_a_sum_is_the_same_on_one_core_as_on_all(tmp_path):
    if not hasattr(os, "sched_setaffinity") or cores() < 2:
        pytest.skip("one core alone can be used here, so there is nothing to compare")
    path = write(tmp_path, "threads: 2\n")
    code = f"""
import hashlib, os, torch
n = 2 if os.fork() else 1  # torch has started no threads yet
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n])
from pathlib import Path
from attnlabels.pipeline.machine import take_threads
take_threads(Path({str(path)!r}))
x = torch.randn(64, 8, 32, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
w = torch.full((8, 8, 3, 3), 0.1, requires_grad=True)
torch.nn.functional.conv2d(x, w, padding=1).square().mean().backward()
print(hashlib.sha256(w.grad.numpy().tobytes()).hexdigest())
"""
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    environment.pop("OMP_NUM_THREADS", None)
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    on_one, on_two = said.split()
    assert on_one == on_two


def test_the_processor_is_named_with_the_newest_instructions_it_has(monkeypatch):
    about = {"model name": "Some CPU", "flags": "fpu avx2 avx512f avx512_bf16"}
    monkeypatch.setattr(machine, "_cpuinfo", lambda: about)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert processor() == "Some CPU (AVX-512 BF16)"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert processor() == "Some CPU (AVX-512 BF16), Some GPU"
    monkeypatch.setattr(machine, "_cpuinfo", dict)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert processor()


def test_instructions_that_are_held_back_are_not_named(monkeypatch):
    """The file says what a shell exports; torch, which reads it once, says what it took."""
    about = {"model name": "Some CPU", "flags": "fpu avx2 avx512f avx512_bf16 amx_bf16"}
    monkeypatch.setattr(machine, "_cpuinfo", lambda: about)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    command = """
    set -a; . params/avx2.env; set +a
    exec "$0" -c 'import os, torch; print(torch.backends.cpu.get_cpu_capability(), *os.environ)'
    """
    told = subprocess.run(
        ["bash", "-c", command, sys.executable], cwd=SOURCES.parent, capture_output=True, text=True
    )
    capability, *names = told.stdout.split()
    assert machine.HELD_BACK[0] in names and "ONEDNN_MAX_CPU_ISA" in names
    if platform.machine() == "x86_64":
        assert capability in ("AVX2", "DEFAULT")  # DEFAULT: of a processor without either
    assert processor() == "Some CPU (AMX)"
    monkeypatch.setenv(*machine.HELD_BACK)
    assert processor() == "Some CPU (AVX2)"


def test_a_result_says_what_it_was_made_by():
    about = made_by(2)
    assert about.keys() == {"processor", "threads", "torch", "dvc", "attnlabels"}
    assert about["torch"] == version("torch") and about["threads"] == 2
    json.dumps(about)
