"""The pages of examples: the shell blocks of each run as they stand, in the order they stand in.

A page `docs/NAME.md` finds what it needs in the folder that the fixture `NAME_page` fills.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from attnlabels.images.folder import read_manifest
from attnlabels.shards.shards import Sample, write_shards
from attnlabels.testsets.cifar10 import read_cifar10
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA
from gathered_study import make_study

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = "from attnlabels.cli import main\nmain()\n"


@pytest.fixture
def labels_page(tmp_path: Path, teacher: Path) -> None:
    """Photographs, some of them in class folders, and a teacher."""
    rng = np.random.default_rng(0)
    for i in range(8):
        for folder in (f"photos/{'trip' if i % 2 else ''}", f"classes/{'ab'[i % 2]}"):
            path = tmp_path / folder / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 256, (36, 48, 3), np.uint8)
            cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 2))
    (tmp_path / "teacher.safetensors").write_bytes(teacher.read_bytes())


@pytest.fixture
def guidance_page(tmp_path: Path) -> None:
    """Photographs of two classes."""
    for i in range(16):
        rng = np.random.default_rng(i)
        pixels = rng.integers(90, 150, (64, 64, 3), np.uint8)
        cv2.circle(pixels, (16 + 32 * (i % 2), 32), 10, (0, 0, 255), -1)
        path = tmp_path / f"photos/{'ab'[i % 2]}/{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels)


@pytest.fixture
def gala_page() -> None:
    """It needs nothing."""


@pytest.fixture
def evaluate_page(
    tmp_path: Path, world: Path, student: Path, teacher: Path, people_as_labels: Path
) -> None:
    """Images of three classes, clean and corrupted; CIFAR-10; recordings; encoders, a teacher."""
    data = world / "data"
    (tmp_path / "imagenet").symlink_to(data / "scenes/imagenet")
    (tmp_path / "cifar-10-batches-py").symlink_to(data / "scenes/cifar-10-batches-py")
    (tmp_path / "eye").symlink_to(data / "attention/eye")
    (tmp_path / "student.safetensors").symlink_to(student)
    (tmp_path / "teacher.safetensors").symlink_to(teacher)
    torch.manual_seed(0)
    weights = torchvision.models.resnet18().state_dict()
    save_file(weights, tmp_path / "resnet18.safetensors")
    both = ("encoder_q", "encoder_k")
    moco = {f"module.{each}.{key}": value for each in both for key, value in weights.items()}
    torch.save({"state_dict": moco}, tmp_path / "moco.pth")

    files = sorted((tmp_path / "imagenet").glob("*/*/*"))
    rows = [
        f"{each.relative_to(tmp_path / 'imagenet')},{'ab'[i % 2]}" for i, each in enumerate(files)
    ]
    (tmp_path / "colours.csv").write_text("\n".join(["image,label", *rows]))
    (tmp_path / "labels").symlink_to(people_as_labels)
    rng = np.random.default_rng(0)
    labels = read_manifest(data / "images/val.csv").labels
    (tmp_path / "ImageNet-C").mkdir()
    for name in (*CORRUPTIONS, *EXTRA):
        noise = rng.integers(0, 256, (5 * len(labels), 24, 24, 3), np.uint8)
        np.save(tmp_path / "ImageNet-C" / f"{name}.npy", noise)
    np.save(tmp_path / "ImageNet-C" / "labels.npy", np.tile(labels, 5).astype(np.uint8))


@pytest.fixture
def corrupted_cifar10(tmp_path: Path, evaluate_page: None) -> Path:
    """CIFAR-10-C's layout, of noise, for the test images of the page."""
    _, labels = read_cifar10(tmp_path / "cifar-10-batches-py", split="test")
    folder = tmp_path / "noise"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in (*CORRUPTIONS, *EXTRA):
        np.save(
            folder / f"{name}.npy", rng.integers(0, 256, (5 * len(labels), 32, 32, 3), np.uint8)
        )
    np.save(folder / "labels.npy", np.tile(labels, 5))
    return folder


@pytest.fixture
def export_page(tmp_path: Path, student: Path, timm_teacher: Path) -> None:
    """Weights of a student and of a teacher on a network of timm, scores, a folder of labels."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed: attnlabels[export]")
    for path in (student, timm_teacher):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "probe.json").write_text('{"imagenet": {"top1": 0.5}}')
    spot = np.eye(4, dtype=np.float32)
    sample = Sample(
        key="0",
        image=b"\x89PNG\r\n\x1a\n",
        map=spot,
        points=np.array([[1, 1]]),
        observers=None,
        label=-1,
        grid=(4, 4),
        image_size=(4, 4),
        source="test",
        name="0.png",
    )
    by = {"kind": "teacher"}
    write_shards(tmp_path / "labels", [sample], maximum_count=1, maps_by=by, classes=[])


@pytest.fixture
def teacher_page(tmp_path: Path) -> None:
    """Photographs wider than high, where three people looked in them (CSV, JSON); weights."""
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "resnet10t.safetensors")
    (tmp_path / "photographs").mkdir()
    rows, images, annotations = ["image,x,y,observer"], [], []
    for i in range(12):
        rng = np.random.default_rng(i)
        name, (row, col) = f"{i}.jpg", rng.integers((8, 8), (40, 56))
        pixels = rng.integers(100, 140, (48, 64, 3), np.uint8)
        cv2.circle(pixels, (int(col), int(row)), 6, (0, 0, 255), -1)
        cv2.imwrite(str(tmp_path / "photographs" / name), pixels)
        images.append({"id": i, "file_name": name, "height": 48, "width": 64})
        for who in range(3):
            points = rng.normal((row, col), 3, (4, 2)).clip((0, 0), (47, 63)).astype(int)
            rows += [f"{name},{x},{y},{who}" for y, x in points]
            found = {"image_id": i, "worker_id": who, "fixations": (points + 1).tolist()}
            annotations.append({"id": len(annotations), **found})
    rows.append("0.jpg,63,47,0")  # none fits this corner with x and y exchanged
    (tmp_path / "fixations.csv").write_text("\n".join(rows) + "\n")
    recordings = {"images": images, "annotations": annotations}
    (tmp_path / "salicon.json").write_text(json.dumps(recordings))


@pytest.fixture
def psychophysics_page(tmp_path: Path) -> None:
    """Photographs in class folders, and outlines of what is on them."""
    rng = np.random.default_rng(0)
    for i in range(10):
        name, (row, col) = f"{'ab'[i % 2]}/{i}", rng.integers((10, 10), (38, 54))
        pixels, mask = rng.integers(0, 140, (48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8)
        for picture, colour in ((pixels, (0, 0, 255)), (mask, 255)):
            cv2.circle(picture, (int(col), int(row)), 7, colour, -1)
        for file, picture in ((f"photos/{name}.jpg", pixels), (f"outlines/{name}.png", mask)):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / file), picture)


@pytest.fixture
def collect_page(tmp_path: Path) -> None:
    """Photographs in class folders, and a study in which people painted them."""
    pytest.importorskip("uvicorn", reason="uvicorn is not installed: attnlabels[collect]")
    made = make_study(tmp_path, ["painter"] * 5 + ["lazy"], n_images=12, n_rounds=10)
    made.images.rename(tmp_path / "photos")


@pytest.fixture
def shell(tmp_path: Path, warm_python: str) -> Callable[[str], "subprocess.CompletedProcess[str]"]:
    """Runs a script as a reader would, with this source tree's `attnlabels` on the path.

    Its `python` is the warm one.
    """
    bin = tmp_path.with_name(f"{tmp_path.name}-bin")
    bin.mkdir()
    (bin / "attnlabels").write_text(f"#!{warm_python}\n{COMMAND}")
    (bin / "attnlabels").chmod(0o755)
    folders = (bin, Path(warm_python).parent, Path(sys.executable).parent, os.environ["PATH"])
    path = os.pathsep.join(map(str, folders))

    def run(script: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=os.environ
            | {
                "PATH": path,
                "PYTHONPATH": str(ROOT / "src"),
                "OMP_NUM_THREADS": "1",
                "CUDA_VISIBLE_DEVICES": "",
                "ATTNLABELS_SCRATCH": str(bin / "scratch"),
            },
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture(scope="module")
def printed() -> dict[str, list[str]]:
    """What the blocks of a page printed, by its name, once they have run."""
    return {}


@pytest.fixture
def run_page(
    request: pytest.FixtureRequest,
    shell: Callable[[str], "subprocess.CompletedProcess[str]"],
    printed: dict[str, list[str]],
) -> Callable[[str], list[str]]:
    """Runs the blocks of a page, each of which must succeed, and once for all tests of them."""

    def run(name: str) -> list[str]:
        if name not in printed:
            blocks = BLOCK.findall((ROOT / f"docs/{name}.md").read_text())
            assert blocks, f"{name}.md has no shell block"
            request.getfixturevalue(f"{name}_page")
            outputs = []
            for block in blocks:
                done = shell(block)
                assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
                outputs.append(done.stdout)
            printed[name] = outputs
        return printed[name]

    return run


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_shell_block_of_a_page_runs(page, run_page):
    run_page(page.stem)


def test_the_loop_of_guidance_md_learns_its_labels_and_is_guided_by_ten_lines(run_page):
    page = (ROOT / "docs/guidance.md").read_text()
    assert re.findall(r"  # (\d+)$", page, re.MULTILINE) == [str(n) for n in range(1, 11)]
    kld = [float(line.rpartition(" ")[2]) for line in run_page("guidance")[-1].splitlines()]
    assert len(kld) == 8 and kld[-1] < 0.7 * kld[0]


def test_the_loop_of_scaling_md_scores_each_run_and_leaves_no_features(
    evaluate_page, tmp_path, world, corrupted_cifar10, student, shell
):
    (loop,) = [each for each in BLOCK.findall((ROOT / "SCALING.md").read_text()) if "for w" in each]
    for old, new in {"bf16": "fp32", "--workers 16": "--workers 0"}.items():
        assert old in loop
        loop = loop.replace(old, new)
    *loop, last = loop.splitlines()
    assert last == "dvc repro --single-item make_tables"
    data = tmp_path / "data"
    (data / "simclr").mkdir(parents=True)
    for name in ("guided-0", "guided-12"):
        (data / f"simclr/{name}.safetensors").symlink_to(student)
    for name in ("imagenet", "cifar-10-batches-py", "ImageNet-C"):
        (data / name).symlink_to(tmp_path / name)
    (data / "CIFAR-10-C").symlink_to(corrupted_cifar10)
    done = shell("\n".join(loop))
    assert done.returncode == 0, done.stderr
    for stage in ("probe_linear", "score_robustness", "score_retrieval"):
        found = {path.name for path in (tmp_path / "metrics" / stage).glob("*.json")}
        assert found == {"guided-0.json", "guided-12.json"}
    assert not (tmp_path / "features").exists()


def test_there_are_pages():
    assert PAGES
