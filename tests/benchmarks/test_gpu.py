"""Runs the checks of the benchmark on a CPU, and checks that fail, crash and hang."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
Call = Callable[..., "subprocess.CompletedProcess[str]"]
FORKS = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def gpu() -> ModuleType:
    import gpu

    return gpu


@pytest.mark.parametrize(
    ("checks", "rows"),
    [
        (["agreement", "precision", "scaling", "repeat", "memory"], 11),
        (["group", "launcher", "several", "training_rate", "labelling_rate", "studies"], 13),
        (["stages", "compiled"], 18),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_every_check_runs_on_a_cpu(
    gpu: ModuleType, call_python: Call, checks: list[str], rows: int
) -> None:
    done = call_python(BENCHMARKS / "gpu.py", "--cpu", *checks)
    assert done.returncode == 0, done.stdout + done.stderr
    head, _, *table = done.stdout.splitlines()
    assert "cores, torch" in head
    assert table[0] == "| check | outcome | number | bound |"
    assert sum(line.startswith("| ") for line in table[2:]) == rows
    assert table[-1] == "0 failed, 0 had no time left."


def test_the_checks_above_are_all(gpu: ModuleType) -> None:
    (mark,) = test_every_check_runs_on_a_cpu.pytestmark
    assert sorted(name for names, _ in mark.args[1] for name in names) == sorted(gpu.CHECKS)


@FORKS
def test_without_a_gpu_it_says_so_and_leaves_with_a_status_of_its_own(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "machine", lambda on_a_cpu: ("a processor", False))
    with pytest.raises(SystemExit) as left:
        gpu.main([])
    assert left.value.code == 69
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("benchmarks/gpu.py: torch sees no GPU here")


def test_an_unknown_check_is_named(gpu: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no check 'nothing'; expected agreement, "):
        gpu.main(["--cpu", "nothing"])


def right(place: object) -> Iterator[tuple[str, ...]]:
    yield ("a right one", "passed", "1", "≤ 2")


def wrong(place: object) -> Iterator[tuple[str, ...]]:
    yield from right(place)
    raise ValueError("no | such device\nand more")


def crashing(place: object) -> Iterator[tuple[str, ...]]:
    yield from right(place)
    os.kill(os.getpid(), signal.SIGKILL)


def hanging(place: object) -> Iterator[tuple[str, ...]]:
    subprocess.run(["sleep", "1000"], start_new_session=True)
    yield from right(place)


@FORKS
def test_what_raises_crashes_or_hangs_is_a_failed_row_and_the_rest_goes_on(
    gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"wrong": wrong, "crashing": crashing, "hanging": hanging, "right": right}
    checks = {
        name: gpu.Check(
            lambda place, each=each: (gpu.Row(*row) for row in each(place)),
            0.5 if each is hanging else 30,
        )
        for name, each in rows.items()
    }
    place = gpu.on_cpu(tmp_path, patience=1)
    assert gpu.run_all(checks, place, end=time.monotonic() + 100) == 1
    said, log = capsys.readouterr()
    assert [line for line in said.splitlines()[2:] if line] == [
        "| a right one | passed | 1 | ≤ 2 |",
        "| wrong | **failed** | ValueError: no / such device |  |",
        "| a right one | passed | 1 | ≤ 2 |",
        "| crashing | **failed** | ended with status -9 |  |",
        "| hanging | **failed** | took longer than 0 s |  |",
        "| a right one | passed | 1 | ≤ 2 |",
        "3 failed, 0 had no time left.",
    ]
    assert "and more" in log  # the end of what it printed


@FORKS
def test_a_bound_that_is_missed_is_a_failure(gpu: ModuleType, tmp_path: Path) -> None:
    from gpu_checks import judged, near

    def bad(place: object) -> Iterator[object]:
        yield near("loss", 1.1, 1.0, limit=0.05)

    place = gpu.on_cpu(tmp_path, patience=1)
    assert gpu.run_all({"bad": gpu.Check(bad, 30)}, place, end=time.monotonic() + 100) == 1
    assert near("loss", float("nan"), 1.0, limit=0.05).outcome == gpu.FAILED
    assert near("loss", 1.04, 1.0, limit=0.05).outcome == "passed"
    assert judged("bits", True, "a", "a").outcome == "passed"


@FORKS
def test_what_has_no_time_left_is_counted_and_has_a_status_of_its_own(
    gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = {"late": gpu.Check(right, 30)}
    place = gpu.on_cpu(tmp_path, patience=1)
    assert gpu.run_all(checks, place, end=time.monotonic() + 1) == 3
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| late | **no time** |  | 470 s for all |",
        "",
        "0 failed, 1 had no time left.",
    ]


@FORKS
def test_a_process_leaves_none_behind_when_it_is_ended(gpu: ModuleType, tmp_path: Path) -> None:
    import apart

    def hang() -> Iterator[int]:
        process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        yield process.pid
        process.wait()

    left = apart.apart(hang, limit_s=30, log=tmp_path / "log")
    pids = [next(left)]
    left.close()
    with pytest.raises(TimeoutError, match="took longer than 2 s"):
        for pid in apart.apart(hang, limit_s=2, log=tmp_path / "log"):
            pids.append(pid)
    end = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert len(pids) == 2 and not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
