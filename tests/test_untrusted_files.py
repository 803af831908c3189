"""Files from strangers run no code: only a reader that builds arrays and no more unpickles."""

import ast
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from attnlabels.evaluation.features import read_features
from attnlabels.models.files import read_config
from attnlabels.pipeline.results import read_arrays
from attnlabels.processes.checkpoint import Scratch
from attnlabels.shards.shards import Sample, Shards, write_shards
from attnlabels.testsets.corruptions import CORRUPTIONS
from attnlabels.testsets.imagenet_c import open_corrupted

SOURCES = Path(__file__).resolve().parents[1] / "src"
# Not torch.jit.load: TorchScript is a language of its own; reading it makes no Python objects.
UNPICKLES = {"pickle.load", "pickle.loads", "joblib.load", "pandas.read_pickle"}


class Bomb:
    """What leaves a file `ran` where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def bomb_npy(path: Path) -> None:
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)


def features(folder: Path) -> None:
    np.save(folder / "features.npy", np.ones((1, 2), np.float16))
    bomb_npy(folder / "labels.npy")
    read_features(folder)


def corrupted_labels(folder: Path) -> None:
    for name in CORRUPTIONS:
        np.save(folder / f"{name}.npy", np.zeros((5, 4, 4, 3), np.uint8))
    bomb_npy(folder / "labels.npy")
    open_corrupted(folder, layout="arrays")


def shards(folder: Path) -> None:
    sample = Sample(
        key="k",
        image=b"\x89PNG\r\n\x1a\n",
        map=np.eye(4, dtype=np.float32),
        points=np.array([[1, 1]]),
        observers=None,
        label=-1,
        grid=(4, 4),
        image_size=(4, 4),
        source="",
        name="",
    )
    write_shards(folder / "s", [sample], maximum_count=1, maps_by={"kind": "human"}, classes=[])
    bomb_npy(folder / "s" / "samples.npy")
    Shards(folder / "s")


def arrays(folder: Path) -> None:
    np.savez(folder / "a.npz", images=np.array([Bomb()], dtype=object))
    read_arrays(folder / "a.npz", keys=("images",), stage="any")


def training_state(folder: Path) -> None:
    scratch = Scratch("run")
    scratch.folder.mkdir(parents=True)
    torch.save({"step": Bomb()}, scratch.file)
    scratch.read()


def weights(folder: Path) -> None:
    torch.save({"w": Bomb()}, folder / "w.safetensors")
    read_config(folder / "w.safetensors")


@pytest.mark.parametrize(
    ("read", "named"),
    [
        (features, "labels.npy"),
        (corrupted_labels, "labels.npy"),
        (shards, "samples.npy"),
        (arrays, "a.npz"),
        (training_state, "state.pt"),
        (weights, "w.safetensors"),
    ],
)
def test_a_pickle_in_any_file_that_is_read_is_refused_before_it_runs(
    tmp_path, monkeypatch, read: Callable[[Path], None], named: str
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(tmp_path / "scratch"))
    with pytest.raises(ValueError, match=named):
        read(tmp_path)
    assert not Path("ran").exists()


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=lambda path: path.stem)
def test_no_code_unpickles(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        words = {each.arg: ast.unparse(each.value) for each in node.keywords}
        assert called not in UNPICKLES, f"{path}:{node.lineno}"
        assert words.get("allow_pickle", "False") == "False", f"{path}:{node.lineno}"
        assert called != "pickle.Unpickler", f"{path}:{node.lineno}"
        if called == "torch.load":
            assert words.get("weights_only") == "True", f"{path}:{node.lineno}"
