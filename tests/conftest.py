"""A made-up world of a few images, drawn once a session, and small parameters for every script."""

import copy
import dataclasses
import fcntl
import functools
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import gettempdir
from types import ModuleType
from typing import Any

# Those that are not used here come from their bytecode so. First imported by a module of ours, into
# which jaxtyping's hook puts its checks, they would be compiled again, 15 seconds each time.
import beartype  # noqa: F401
import cv2
import h5py  # noqa: F401
import numpy as np
import pandas  # noqa: F401
import psutil  # noqa: F401
import pydantic  # noqa: F401
import pytest
import scipy.io  # noqa: F401
import timm  # noqa: F401
import torch
import torchvision  # noqa: F401
import webdataset  # noqa: F401
from hypothesis import settings
from hypothesis.internal.conjecture import providers
from threadpoolctl import threadpool_limits

import checks  # noqa: F401  before what is to be checked so
import json_as_yaml
import list_images
import list_runs
import make_scenes
import prepare_attention
import train_simclr
from attnlabels import cli
from attnlabels.models.files import write_weights
from attnlabels.models.student import build_student
from attnlabels.pipeline.machine import cores
from attnlabels.pipeline.memory import keep_freed_memory
from attnlabels.pipeline.params import load, read
from attnlabels.pipeline.script import run
from attnlabels.processes.room import Need
from attnlabels.shards.shards import Sample, Shards, write_shards
from attnlabels.teachers.network import Teacher
from attnlabels.training import step
from attnlabels.training.students import Row
from warm_python import write_client

ROOT = Path(__file__).resolve().parents[1]
# Tests run side by side, and so do the processes that they start: of several threads each, those of
# one would wait for a core that another has.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
threadpool_limits(1)
keep_freed_memory()
json_as_yaml.take()
# DVC starts a process after each command, which tells its makers of it.
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
# The same examples each time, however long one takes and whatever was found before.
settings.register_profile("same", deadline=None, database=None, derandomize=True)
settings.load_profile("same")
# Nor whatever numbers stand in the code that was imported by then: to find them takes 12 seconds.
providers._get_local_constants = lambda: providers._local_constants
# Files of minutes begin first, the longest at the head: one that began last would be waited for, on
# one core. (xdist's own order is by how many tests a file has, and these have few.)
LONG = (
    "test_pipeline",
    "test_docs",
    "test_interruptions",
    "test_exporting",
    "test_train_simclr",
    "test_own_teacher",
    "test_browser",
    "test_relabel_images",
    "test_pages",
    "test_train_tasks",
    "test_train_teacher",
    "test_label_images",
    "test_agreement",
    "test_step",
    "test_lint",
    "test_draw_figures",
    "test_gpu",
    "test_train_bottleneck",
    "test_commands",
)
CLASSES = ["n00000001", "n00000002", "n00000003"]
SETS = ("train", "dev", "val", "eye")
DATA = ROOT.parent / "shared" / "data"

# What makes the embedded run one of seconds, by the path of the parameter. Of train_simclr it says
# all, so that the losses that are kept do not move when the embedded run is tuned.
TINY: dict[str, Any] = {
    "seeds": [0],
    "threads": 1,
    "make_scenes.scenes.workers": 1,
    "make_scenes.scenes.size": 24,
    "make_scenes.scenes.n_classes": 3,
    "make_scenes.scenes.n_train": 24,
    "make_scenes.scenes.n_val": 15,
    "make_scenes.scenes.n_cifar_train": 50,
    "make_scenes.scenes.n_cifar_test": 20,
    "make_scenes.scenes.n_attention_train": 16,
    "make_scenes.scenes.n_attention_val": 4,
    "make_scenes.scenes.n_eye": 4,
    "make_scenes.scenes.mouse.n_observers": 4,
    "make_scenes.scenes.mouse.n_samples": 6,
    "make_scenes.scenes.eye.n_observers": 4,
    "list_images.train.classes": 3,
    "list_images.train.count": 24,
    "list_images.val.classes": 3,
    "list_images.val.count": 15,
    **{f"prepare_attention.{name}.map_size": [24, 32] for name in SETS},
    **{f"prepare_attention.{name}.folds": 4 for name in ("train", "dev")},
    "prepare_attention.train.keep": [0, 1, 2],
    "prepare_attention.train.shard_size": 5,
    "prepare_attention.dev.keep": [3],
    "train_teacher.image_size": [24, 32],
    "train_teacher.batch_size": 4,
    "train_teacher.epochs": 2,
    "train_teacher.workers": 0,
    "evaluate_teacher.splits": 2,
    "evaluate_teacher.examples": 2,
    "label_images.map_size": 12,
    "label_images.batch_size": 5,
    "label_images.workers": 0,
    "label_images.shard_size": 10,
    "label_images.examples": 2,
    **{f"methods.{name}.network.options.img_size": 24 for name in ("vit", "vit_attn_teacher")},
    **{  # of four stages as any, and of a stride that leaves something of 24 pixels
        f"methods.{name}.network.options": {"dims": [8, 16, 24, 32], "output_stride": 16}
        for name in ("convnext", "convnext_attn_teacher")
    },
    "relabel_images.contracam.options.batch_size": 6,
    "relabel_images.contracam.options.workers": 0,
    "train_simclr": {
        "backbone": "resnet10",
        "width": 8,
        "stem": "small",
        "zero_init": False,
        "image_size": 24,
        "attention_taps": "stages",
        "projector_layers": 2,
        "projector_outputs": 8,
        "temperature": 0.1,
        "batch_size": 6,
        "epochs": 2,
        "warmup_epochs": 1.0,
        "optimizer": "adamw",
        "learning_rate": 2e-3,
        "learning_rate_scaling": "none",
        "attention_learning_rate": 10.0,
        "weight_decay": 1e-4,
        "development": 0.0,
        "clean_crop": 1.0,
        "eval_crop": 1.0,
        "crop_area": [0.3, 1.0],
        "jitter": 0.8,
        "jitter_strength": 0.5,
        "jitter_hue": 0.03,
        "grey": 0.1,
        "blur": 0.0,
        "precision": "fp32",
        "processes": 1,
        "chunks": 1,
        "workers": 0,
        "checkpoint_minutes": 5.0,
        "checkpoint_steps": 0,
        "compile": False,
        "deterministic": False,
    },
    **{
        f"main.{name}.{key}": value
        for name in ("contrastive", "contrastive_attn_teacher")
        for key, value in {
            "map_size": 6,
            "weights": {"contrastive": 1.0, "kld": 1.0, "nss": 0.1, "probe": 1.0},
        }.items()
    },
    "corrupt_images.imagenet_c.size": 24,
    "corrupt_images.imagenet_c.workers": 0,
    "corrupt_images.cifar10_c.workers": 0,
    "extract_features.batch_size": 7,
    "extract_features.precision": "fp32",
    "extract_features.workers": 0,
    "probe_linear.l2_times_n": [3],
    "align_attention.refit_images": 12,
    "align_attention.refit_steps": 20,
    "align_attention.batch_size": 5,
    "align_attention.examples": 2,
    "draw_figures.examples": 2,
}

# Columns that a row need not have.
OPTIONAL = {
    each.name for each in dataclasses.fields(Row) if each.default is not dataclasses.MISSING
}

Params = Callable[..., None]


def write_params(
    folder: Path, changes: dict[str, Any], *, only: Container[str] | None = None
) -> None:
    """The embedded run's parameters with TINY and `changes`, which must name what is there.

    The sections `only`, if some are named.
    """
    tree = json.loads(embedded())
    for path, value in copy.deepcopy(TINY | changes).items():
        *sections, key = path.split(".")
        node = tree
        for section in sections:
            node = node[section]
        known = key in node or (sections[:1] == ["main"] and key in OPTIONAL)
        assert known, f"{path} is no parameter of params/embedded.yaml"
        node[key] = value
    if only is not None:
        tree = {name: section for name, section in tree.items() if name in only}
    (folder / "params.yaml").write_text(json.dumps(tree))


@functools.cache
def embedded() -> str:
    return json.dumps(read(ROOT / "params" / "embedded.yaml"))


def pytest_xdist_auto_num_workers() -> int:
    """A worker more than cores: a fifth of the time tests wait, for processes that they stop."""
    return cores() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of LONG first, all others in their order."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


def pytest_collection_finish() -> None:
    """The garbage collector looks seldom, and not at what is there by now: a tenth of the time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.fixture
def small_memory(monkeypatch) -> None:
    """What is left holds two fifths of the images of the first training's first pass."""
    needs: list[Need] = []

    def noted(**values: Any) -> Need:
        needs.append(Need(**values))
        return needs[-1]

    def left(device: torch.device) -> int:
        return int(needs[0].beside + 0.4 * needs[0].images * needs[0].each)

    monkeypatch.setattr(step, "Need", noted)
    monkeypatch.setattr(step, "left_on", left)


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The status of `attnlabels WORDS`, what it prints and what it says of errors."""

    def of(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["attnlabels", *words])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return of


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Small parameters in an empty folder, made the current one; call it to change some.

    Training is on one thread of the CPU and keeps its scratch beside the parameters.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    torch.set_num_threads(1)

    def change(changes: dict[str, Any]) -> None:
        write_params(tmp_path, changes)

    change({})
    return change


@pytest.fixture(scope="session")
def warm_python(testrun_uid: str, request: pytest.FixtureRequest) -> str:
    """The path of a `python` that has imported torch and the like before it is called.

    One for all workers: the first that asks starts it, and it ends with the run.
    """
    if not hasattr(os, "pidfd_open"):
        return sys.executable
    folder = Path(gettempdir(), f"warm-{testrun_uid}")  # a socket's path has at most 100 letters
    folder.mkdir(mode=0o700, exist_ok=True)
    python, address = folder / "python", folder / "socket"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not address.exists():
            write_client(python, python=sys.executable, address=address)
            run = os.getppid() if hasattr(request.config, "workerinput") else os.getpid()
            command = [sys.executable, ROOT / "tests/warm_python.py", address, str(run)]
            environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
            # no Popen, which wants its process to end first
            server = os.posix_spawn(sys.executable, command, environment, setsid=True)
            while not address.exists():
                assert os.waitpid(server, os.WNOHANG) == (0, 0), "the warm python has ended"
                time.sleep(0.1)
    return str(python)


@pytest.fixture(scope="session")
def call_python(warm_python: str) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """What Python does with some words, this source tree on its path, on one thread of the CPU."""

    def call(
        *words: Path | str, cwd: Path | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        own = {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.run(
            [warm_python, *words],
            cwd=cwd,
            env=os.environ | environment | own,
            capture_output=True,
            text=True,
        )

    return call


@pytest.fixture
def start(tmp_path, warm_python) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a script as DVC would, with errors to read; what is left is killed in the end.

    What a test kills is no `warm` one: that would be its caller, and it would be asked to end.
    """
    started = []

    def call(
        script: str, *words: str, warm: bool = True, **environment: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [warm_python if warm else sys.executable, str(ROOT / "src" / script), *words],
            env=os.environ
            | {
                "CUDA_VISIBLE_DEVICES": "",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT / "src"),
                "ATTNLABELS_SCRATCH": str(tmp_path / "scratch"),
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
            # a shell's job in the background ignores it, and so would what it starts
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate(timeout=60)  # or what it started holds its errors: it stayed


@pytest.fixture(scope="session")
def tiny_params() -> Callable[..., None]:
    """`write_params`, for what needs the small parameters somewhere else."""
    return write_params


def write_squares(folder: Path, *, seed: int, flat: bool = False) -> Path:
    """Eighteen noisy images with a square in the class's colour, which is looked at, or not."""
    rng = np.random.default_rng(seed)
    maps_by = {"kind": "teacher", "sha256": "0" * 64}
    samples = []
    for k in range(18):
        image = rng.integers(0, 100, (30, 36, 3), np.uint8)
        row, col = rng.integers(0, (20, 26))
        image[row : row + 10, col : col + 10, k % 3] += 120
        y, x = np.mgrid[:12, :12]
        centre = np.array([(row + 5) * 12 / 30, (col + 5) * 12 / 36])
        map = np.exp(-((y + 0.5 - centre[0]) ** 2 + (x + 0.5 - centre[1]) ** 2) / 8)
        map = np.ones_like(map) if flat else map
        samples.append(
            Sample(
                key=f"image{k}",
                image=cv2.imencode(".png", image)[1].tobytes(),
                map=map,
                points=centre.astype(np.int64)[None],
                observers=None,
                label=k % 3,
                grid=(12, 12),
                image_size=(30, 36),
                source="test",
                name=f"image{k}.png",
            )
        )
    write_shards(folder, samples, maximum_count=10, maps_by=maps_by, classes=CLASSES)
    return folder


@pytest.fixture(scope="session")
def write_labels() -> Callable[..., Path]:
    """`write_squares`."""
    return write_squares


def list_run(name: str, labels: Path, *, study: str = "main") -> Path:
    """What list_runs writes of a run under the current parameters, its labels being these."""
    tree = read()
    for row in tree[study].values():
        row["labels"] = str(labels)
    Path("params.yaml").write_text(json.dumps(tree))
    list_runs.main(study, Path("runs") / study)
    return Path("runs") / study / f"{name}.json"


@pytest.fixture(scope="session")
def listed() -> Callable[..., Path]:
    """`list_run`."""
    return list_run


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data/scenes`, `data/images` and `data/attention`, made by their stages."""
    folder = tmp_path_factory.mktemp("world")
    write_params(folder, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_scenes.main("scenes", Path("data/scenes"))
        for name in ("train", "val"):
            list_images.main(name, Path(f"data/images/{name}.csv"))
        for name, row in read()["prepare_attention"].items():
            images, annotations = Path(row["images"]), Path(row["annotations"])
            prepare_attention.main(name, images, annotations, Path("data/attention", name))
    return folder


@pytest.fixture(scope="session")
def people_as_labels(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recordings of the train set in a teacher's place: shards of labels; not to be changed."""
    folder = tmp_path_factory.mktemp("labels") / "labels"
    samples: list[Sample] = [
        {**each, "observers": None, "label": 0} for each in Shards(world / "data/attention/train")
    ]
    maps_by = {"kind": "teacher", "sha256": "0" * 64}
    write_shards(folder, samples, maximum_count=100, maps_by=maps_by, classes=["a"])
    return folder


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a teacher with random branches: untrained, but its maps have peaks."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    model: dict[str, Any] = {"taps": [3, 5, 7, 9], "pool_stride": 1, "output": "learnt_offset"}
    torch.manual_seed(0)
    geometry = {"image_size": [24, 32], "sigma_px": [2.0, 2.5], "fitted_sigma_px": [2.0, 2.5]}
    write_weights(path, Teacher(**model), {"teacher": model, **geometry})
    return path


@pytest.fixture(scope="session")
def timm_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of an untrained teacher on a network of timm."""
    path = tmp_path_factory.mktemp("timm_teacher") / "teacher.safetensors"
    torch.manual_seed(0)
    network = Teacher(taps=None, pool_stride=1, output="tanh_half", backbone="timm:resnet10t")
    about = {"name": "timm:resnet10t", "weights": {"file": "w.pth"}, "frozen": True}
    config = {"teacher": network.architecture, "image_size": [48, 64], "backbone": about}
    write_weights(path, network, config)
    return path


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of an untrained student for three classes, as `train_simclr` writes them."""
    folder = tmp_path_factory.mktemp("student")
    write_params(folder, {})
    p = load(train_simclr.TrainSimclr, "train_simclr", path=folder / "params.yaml")
    torch.manual_seed(0)
    row = load(train_simclr.Row, "main", "contrastive_attn_teacher", path=folder / "params.yaml")
    config = train_simclr.student_config(p, row)
    built = build_student(config, n_classes=3)
    write_weights(folder / "student.safetensors", built, {**config, "seed": 0, "run": "untrained"})
    return folder / "student.safetensors"


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Calls a script as the shell does; it must leave with status 1 and one message, returned.

    Warnings may come before.
    """

    def call(script: ModuleType, *words: Path | str | int) -> str:
        monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            run(script.main)
        assert left.value.code == 1
        *before, message = capsys.readouterr().err.splitlines()
        assert message.startswith(f"{script.__name__}.py: error: ")
        assert all(line.startswith("warning: ") for line in before)
        return message

    return call


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A block in which no file may exceed a number of bytes, as on a full disk.

    A block, and not the rest of the test: pytest's own output may be a file too.
    """

    @contextmanager
    def limit(n_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """The folder of a small real data set; the test skips where it is not at hand."""

    def find(name: str) -> Path:
        if not (DATA / name).is_dir():
            pytest.skip(f"no real data at {DATA / name}")
        return DATA / name

    return find
