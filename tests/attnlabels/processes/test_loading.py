"""What a loader's workers cannot hand on is an error at once, and no waiting for ever."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from attnlabels.evaluation.extraction import encode_squares
from attnlabels.labelling.photographs import Photograph, collate
from attnlabels.processes.loading import load
from attnlabels.testsets.image_sets import ImageSet, Squares
from attnlabels.training.loop import load_batches
from attnlabels.training.order import Batches

SIDE = 256  # pixels: 200 kB an image
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def black(part: str, rows: slice) -> np.ndarray:
    return np.zeros((rows.stop - rows.start, SIDE, SIDE, 3), np.uint8)


def evaluation() -> Iterator[Any]:
    """Batches as `evaluate` reads them."""
    images = ImageSet("black", ["features"], black, np.zeros(8, np.int64), False, {}, [*"abcdefgh"])
    squares = Squares(images, size=SIDE, crop=1.0, batch_size=4)
    return encode_squares(
        squares, lambda batch: batch.float().mean((1, 2)), workers=1, pin_memory=False
    )


class Photographs(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[Photograph, np.ndarray]:
        name = f"{index}.jpg"
        return Photograph(name, name, b"", SIDE, SIDE, -1, ""), np.zeros((SIDE, SIDE, 3), np.uint8)


def labelling() -> Iterator[Any]:
    """Batches as `label` reads them."""
    return load(Photographs(), workers=1, batch_size=4, collate_fn=collate)


class Views(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        return {"index": item[1], "image": np.zeros((SIDE, SIDE, 3), np.uint8)}

    def key_of(self, index: int) -> str:
        return str(index)


def training() -> Iterator[Any]:
    """Batches as a training reads them."""
    order = Batches(8, batch_size=4, epochs=1, seed=0, start=0, rank=0, size=1)
    return load_batches(Views(), order, workers=1, device=torch.device("cpu"))


READERS = (evaluation, labelling, training)
SMALL = """
import sys
sys.path.insert(0, sys.argv[1])
import test_loading
for read in test_loading.READERS:
    try:
        print(len(list(read())), "batches")
    except OSError as error:
        print(error)
"""


@pytest.mark.parametrize("read", READERS)
def test_shared_memory_that_is_too_small_is_told_with_the_cure(monkeypatch, read):
    def full(*arguments: Any, **words: Any) -> None:
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on "
            "device (28)"
        )

    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", full)
    monkeypatch.setattr(torch.UntypedStorage, "_new_shared", full)
    said = r"the workers cannot .*</torch_1_2_3>.*set workers to 0 \(`--workers 0`.*--shm-size 2g"
    with pytest.raises(OSError, match=said) as error:
        list(read())
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not shutil.which("unshare"), reason="no `unshare` here")
def test_a_small_shared_memory_ends_evaluate_label_and_training_with_one_line_each():
    mount = "mount -t tmpfs -o size=64k tmpfs /dev/shm && "
    command = ["unshare", *(["-r"] if os.getuid() else []), "-m", "sh", "-c"]
    if subprocess.run([*command, mount + "true"], capture_output=True).returncode:
        pytest.skip("no other /dev/shm may be mounted here")
    done = subprocess.run(
        [*command, mount + 'exec "$0" -c "$1" "$2"', sys.executable, SMALL, Path(__file__).parent],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stderr.count("Traceback") == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 3 and all("set workers to 0 (`--workers 0`" in line for line in said), said


class Once(Dataset):
    """Its second batch cannot be handed on, for a reason of its own."""

    def __init__(self, value: Callable[[], Any]) -> None:
        self.value = value

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return self.value() if index else 0


class Stubborn:
    def __reduce__(self) -> Any:
        raise TypeError("a Stubborn stays where it is")


def test_what_cannot_be_pickled_is_an_error_of_its_own(monkeypatch):
    with pytest.raises(TypeError, match="a Stubborn stays where it is"):
        list(load(Once(Stubborn), workers=1, batch_size=None))


def test_a_worker_that_is_ended_is_told(monkeypatch):
    with pytest.raises(OSError, match="ended from outside .*; take fewer workers, or set workers"):
        list(load(Once(lambda: os.kill(os.getpid(), 9)), workers=1, batch_size=None))


def test_an_error_of_the_data_stays_what_it_is():
    def missing() -> None:
        raise FileNotFoundError("/dev/shm/torch_data/a.jpg: no such file")

    with pytest.raises(FileNotFoundError, match="torch_data/a.jpg: no such file"):
        list(load(Once(missing), workers=1, batch_size=None))
    with pytest.raises(FileNotFoundError, match="torch_data/a.jpg: no such file"):
        list(load(Once(missing), workers=0, batch_size=None))


def test_no_worker_at_all_is_told(monkeypatch):
    def full(*arguments: Any, **words: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multiprocessing.Queue", full)
    with pytest.raises(OSError, match="no worker can be started .*No space left.*; set workers"):
        list(load(Once(time.time), workers=1, batch_size=None))
