import fcntl
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import label_images
from attnlabels.images.decoding import read_image, resize
from attnlabels.images.folder import read_manifest
from attnlabels.labelling import batches
from attnlabels.labelling.labeller import Labeller
from attnlabels.labelling.pseudo_fixations import pseudo_fixations
from attnlabels.models.files import load_weights, write_weights
from attnlabels.pipeline.params import load, read
from attnlabels.pipeline.places import MARK
from attnlabels.shards.shards import Shards, decode_map, encode_map, verify
from attnlabels.teachers.network import Teacher

MODEL: dict[str, Any] = {"taps": [3, 5, 7, 9], "pool_stride": 1, "output": "learnt_offset"}
ABOUT = {
    "teacher": MODEL,
    "image_size": [24, 32],
    "sigma_px": [2.0, 2.5],
    "fitted_sigma_px": [2.0, 2.5],
}
BROKEN = "n00000002/n00000002_5.JPEG"
Label = Callable[..., Shards]
SOURCES = Path(label_images.__file__).parent

# Runs the stage; process KILLED's leaves by force as it begins its second shard.
KILLED = """
import os, signal
import label_images
from attnlabels.labelling import batches
from attnlabels.pipeline.launch import launch
from attnlabels.pipeline.script import run

keep, made = batches.keep_shard, []

def keep_one(path, samples, **about):
    if os.environ.get("RANK", "0") == os.environ["KILLED"] and made:
        path.with_name(path.name + ".part").write_bytes(b"half of a shard")
        os.kill(os.getpid(), signal.Signals[os.environ["BY"]])
    made.append(path)
    keep(path, samples, **about)

batches.keep_shard = keep_one
run(label_images.main, before=lambda: launch(int(os.environ["PROCESSES"])))
"""


def words(out: Path, teacher: Path, world: Path, images: Path | None = None) -> list[Path]:
    """The arguments that label the world's training images, or other files of the same names."""
    data = world / "data"
    found = images or data / "scenes/imagenet/train"
    outs = out / "labels", out / "examples.npz"
    return [teacher, found, data / "images/train.csv", data / "attention/eye", *outs]


@pytest.fixture
def label(params, teacher, world) -> Label:
    """Labels the world's training images into a folder; changes are to `label_images`."""

    def call(out: str = "out", images: Path | None = None, **changed) -> Shards:
        params({f"label_images.{key}": value for key, value in changed.items()})
        label_images.main(*words(Path(out), teacher, world, images))
        return Shards(Path(out) / "labels")

    return call


@pytest.fixture
def photographs(world, tmp_path) -> Path:
    """The training images anew, to be broken."""
    images = world / "data/scenes/imagenet/train"
    for path in images.rglob("*.JPEG"):
        copy = tmp_path / "photographs" / path.relative_to(images)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path / "photographs"


@pytest.fixture
def network(teacher) -> Teacher:
    built = Teacher(**MODEL)
    load_weights(teacher, built)
    return built.eval()


def contents(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_every_image_is_labelled_once_in_the_lists_order_and_its_file_is_kept(
    label, teacher, world
):
    shards, listed = label(), read_manifest(world / "data/images/train.csv")
    verify(shards.folder)
    assert [shards[i]["name"] for i in range(len(shards))] == listed.paths.tolist()
    assert shards.labels.tolist() == listed.labels.tolist() and shards.classes == listed.classes
    for i, name in enumerate(listed.paths):
        path = world / "data/scenes/imagenet/train" / name
        assert shards[i]["image"] == path.read_bytes() and shards[i]["image_size"] == (24, 24)
        assert shards[i]["observers"] is None and shards[i]["source"] == "teacher"
    digest = hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert shards.index["maps_by"] == {
        "kind": "teacher",
        "sha256": digest,
        "map_size": 12,
        "density_sigma": [2.0 * 12 / 24, 2.5 * 12 / 32],
        "sigma": [2.0 * 12 / 24, 2.5 * 12 / 32],
        "threshold": 0.2,
        "maximum_points": 64,
    }
    assert [each["count"] for each in shards.index["shards"]] == [10, 10, 4]
    assert shards.index["skipped"] == []


def test_a_second_run_leaves_the_same_bytes(label):
    label("first")
    label("second")
    assert contents(Path("first")) == contents(Path("second"))
    assert set(contents(Path("first"))) == {
        "examples.npz",
        f"labels/{MARK}",
        "labels/index.json",
        "labels/samples.npy",
        *(f"labels/shard-{k:06d}.tar" for k in range(3)),
    }


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_number_of_workers_changes_nothing(label):
    label("none", workers=0)
    label("two", workers=2)
    assert contents(Path("none")) == contents(Path("two"))


def test_the_map_is_the_teachers_in_area_means_and_the_points_are_its_pseudo_fixations(
    label, network
):
    shards = label(maximum_points=5)
    for i in (0, 7, 23):
        sample = shards[i]
        image = cv2.imdecode(np.frombuffer(sample["image"], np.uint8), cv2.IMREAD_COLOR_RGB)
        pixels = torch.from_numpy(resize(image, 24, 32)).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            map = F.adaptive_avg_pool2d(network(pixels), 12)
        sigma = (2.0 * 12 / 24, 2.5 * 12 / 32)
        points, counts = pseudo_fixations(map, sigma_px=sigma, threshold=0.2, maximum=5)
        np.testing.assert_allclose(
            sample["map"], decode_map(encode_map(map[0].numpy())), atol=2 / 65535
        )
        assert sample["points"].tolist() == points[0, : counts[0]].tolist()
        assert sample["grid"] == (12, 12) and len(sample["points"]) == 5


def test_labels_of_a_mirror_image_are_the_mirrored_labels(params, teacher, world):
    params({"label_images.mirror": True})
    labeller = label_images.build_labeller(teacher, load(label_images.LabelImages, "label_images"))
    path = world / "data/scenes/imagenet/train/n00000001/n00000001_1.JPEG"
    pixels = resize(read_image(path), 24, 32)
    both = np.stack([pixels, pixels[:, ::-1]])
    maps = labeller.draw_maps(torch.from_numpy(both))
    torch.testing.assert_close(maps[0], maps[1].flip(1))
    assert not torch.allclose(maps[0], maps[0].flip(1))


def test_examples_show_the_recordings_with_their_labels(label, world):
    label()
    people = Shards(world / "data/attention/eye")
    with np.load("out/examples.npz") as examples:
        assert set(examples) == {"images", "human", "teacher", "points", "names"}
        assert examples["names"].tolist() == [people[i]["name"] for i in range(2)]
        np.testing.assert_array_equal(examples["human"], [people[i]["map"] for i in range(2)])
        assert examples["images"].shape == (2, 24, 32, 3)
        assert examples["teacher"].shape == (2, 12, 12)
        # Padded to as many as there may be, `maximum_points`.
        assert examples["points"].shape == (2, 64, 2)


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def scribble(path: Path) -> None:
    path.write_bytes(b"no photograph")


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (remove, "no longer there; put it back"),
        (cut, "truncated"),
        (scribble, "truncated or not an image"),
    ],
)
def test_a_broken_file_stops_or_is_skipped_and_counted(label, photographs, harm, what):
    harm(photographs / BROKEN)
    with pytest.raises(ValueError, match=what) as stopped:
        label(images=photographs)
    assert BROKEN in str(stopped.value) and "set label_images.broken to skip" in str(stopped.value)
    assert not list(Path().glob("out/*"))
    shards = label(images=photographs, broken="skip")
    assert len(shards) == 23 and shards.index["samples"] == 23
    assert shards.index["skipped"] == [BROKEN]
    assert BROKEN not in {shards[i]["name"] for i in range(23)}


def test_skipping_a_file_leaves_the_others_labels_as_they_were(label, photographs):
    whole = label("whole")
    cut(photographs / BROKEN)
    rest = label("rest", images=photographs, broken="skip")
    kept = [i for i in range(24) if whole[i]["name"] != BROKEN]
    for i, j in zip(kept, range(23)):
        assert whole[i]["name"] == rest[j]["name"]
        np.testing.assert_allclose(whole[i]["map"], rest[j]["map"], atol=2 / 65535)


def test_nothing_but_broken_files_is_an_error(label, photographs):
    for path in photographs.rglob("*.JPEG"):
        cut(path)
    with pytest.raises(
        ValueError, match="no sample was written, as every image was left out; look why"
    ):
        label(images=photographs, broken="skip")
    assert not list(Path().glob("out/*"))


def spoil(teacher: Path, *, value: float) -> Path:
    """The teacher with one value in all weights of its branches, in the current folder."""
    network = Teacher(**MODEL)
    load_weights(teacher, network)
    for each in network.branches.parameters():
        torch.nn.init.constant_(each, value)
    spoilt = Path("spoilt.safetensors")
    write_weights(spoilt, network, ABOUT)
    return spoilt


def test_maps_that_are_not_finite_are_refused_even_where_files_are_skipped(params, teacher, world):
    params({"label_images.broken": "skip"})
    with pytest.raises(ValueError, match="maps are not finite; train it again, or label w"):
        label_images.main(*words(Path("out"), spoil(teacher, value=float("nan")), world))
    assert not list(Path().glob("out/*"))


def test_a_constant_map_is_refused(params, fail, teacher, world):
    message = fail(label_images, *words(Path("out"), spoil(teacher, value=0.0), world))
    assert "n00000001_1.JPEG: the teacher's map is the same everywhere; train the" in message
    assert not list(Path().glob("out/*"))


def test_weights_of_another_network_are_refused(params, fail, student, world):
    assert "student.safetensors holds no teacher" in fail(
        label_images, *words(Path("out"), student, world)
    )
    torch.manual_seed(0)
    other = Teacher(**(MODEL | {"output": "literal"}))
    write_weights(Path("w.safetensors"), other, ABOUT)
    message = fail(label_images, *words(Path("out"), Path("w.safetensors"), world))
    assert "w.safetensors: offset is missing" in message and "do not fit this Teacher" in message


def test_missing_recordings_stop_before_any_image_is_labelled(params, monkeypatch, teacher, world):
    monkeypatch.setattr(Labeller, "draw_maps", None)
    arguments = words(Path("out"), teacher, world)
    arguments[3] = Path("nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere/index.json: not here"):
        label_images.main(*arguments)


def test_an_unknown_parameter_is_one_clear_error(params, fail, teacher, world):
    tree = read()
    tree["label_images"]["mirorr"] = True
    Path("params.yaml").write_text(json.dumps(tree))
    message = fail(label_images, *words(Path("out"), teacher, world))
    assert "params.yaml: label_images.mirorr is unknown; remove it or mend its spelling" in message


def test_an_output_folder_that_cannot_be_made_is_one_clear_error(params, fail, teacher, world):
    Path("out").write_text("a file where the folder should be")
    assert "out" in fail(label_images, *words(Path("out"), teacher, world))


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(params, fail, full_disk, teacher, world):
    with full_disk(4_000):
        message = fail(label_images, *words(Path("out"), teacher, world))
    assert "shard-000000.tar: cannot be written" in message and "File too large" in message
    assert "make room, or set ATTNLABELS_SCRATCH to a folder" in message
    assert [path.name for path in Path().rglob("*") if path.is_file()] == ["params.yaml"]


@pytest.fixture
def run_stage(call_python: Any) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The stage as a command, or `script`, on one thread of the CPU."""

    def call(
        *words: Path, script: str = "", **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        Path("stage.py").write_text(script)
        stage = "stage.py" if script else SOURCES / "label_images.py"
        return call_python(stage, *words, **environment)

    return call


@pytest.fixture
def made(monkeypatch) -> list[int]:
    """Grows by the number of each shard that is made."""
    numbers: list[int] = []
    keep = batches.keep_shard

    def noted(path: Path, samples, **about) -> None:
        keep(path, samples, **about)
        numbers.append(int(path.stem.removeprefix("shard-")))

    monkeypatch.setattr(batches, "keep_shard", noted)
    return numbers


def stop_in(shard: int, monkeypatch) -> None:
    """Interrupt the labelling when it has begun a shard."""
    keep = batches.keep_shard

    def stopping(path: Path, samples, **about) -> None:
        def until(samples):
            yield next(samples)
            raise KeyboardInterrupt

        keep(path, until(samples) if path.stem == f"shard-{shard:06d}" else samples, **about)

    monkeypatch.setattr(batches, "keep_shard", stopping)


@pytest.mark.parametrize("processes", [2, 3])
def test_any_number_of_processes_leaves_the_same_bytes(
    run_stage, label, params, photographs, teacher, world, processes
):
    cut(photographs / BROKEN)
    label("one", images=photographs, broken="skip", shard_size=5)
    params(
        {
            "label_images.processes": processes,
            "label_images.broken": "skip",
            "label_images.shard_size": 5,
        }
    )
    done = run_stage(*words(Path("many"), teacher, world, photographs))
    assert done.returncode == 0, done.stderr
    assert contents(Path("many")) == contents(Path("one"))
    assert not list(Path("scratch").iterdir())


def test_a_shard_is_rows_of_the_list_whatever_is_skipped(label, photographs):
    whole = contents(label("whole").folder)
    cut(photographs / BROKEN)  # of the second shard
    rest = label("rest", images=photographs, broken="skip")
    assert [each["count"] for each in rest.index["shards"]] == [10, 9, 4]
    for name in ("shard-000000.tar", "shard-000002.tar"):
        assert contents(rest.folder)[name] == whole[name]


def test_a_shard_of_which_nothing_is_left_is_not_there(label, photographs, world):
    for name in read_manifest(world / "data/images/train.csv").paths[10:20]:
        cut(photographs / name)
    shards = label(images=photographs, broken="skip")
    assert [each["name"] for each in shards.index["shards"]] == [
        "shard-000000.tar",
        "shard-000002.tar",
    ]
    assert len(shards) == 14 and len(shards.index["skipped"]) == 10
    verify(shards.folder)


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_labelling_interrupted_in_any_shard_goes_on_with_that_one_to_the_same_bytes(
    label, made, monkeypatch, shard
):
    label("whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in(shard, patch)
        label("cut")
    assert not list(Path().glob("cut/*")) and not list(Path("scratch").rglob("*.part"))
    made.clear()
    label("cut")
    assert made == list(range(shard, 3))
    assert contents(Path("cut")) == contents(Path("whole"))


@pytest.mark.parametrize(
    ("by", "processes", "killed"),
    [
        ("SIGKILL", "1", "0"),
        ("SIGTERM", "1", "0"),
        ("SIGKILL", "2", "1"),
    ],
)
def test_a_killed_labelling_goes_on_at_its_first_missing_shard_to_the_same_bytes(
    run_stage, label, params, made, teacher, world, by, processes, killed
):
    label("whole", shard_size=5)
    made.clear()
    params({"label_images.shard_size": 5})
    arguments = words(Path("cut"), teacher, world)
    killing = {"KILLED": killed, "BY": by, "PROCESSES": processes}
    done = run_stage(*arguments, script=KILLED, **killing)
    if processes == "2":
        assert done.returncode == 1, done.stderr
        error = f"error: process {killed} was ended by SIGKILL, and so are the others; the same com"
        assert error in done.stderr and "Traceback" not in done.stderr
    else:
        number = signal.Signals[by]
        assert done.returncode == (-number if by == "SIGKILL" else 128 + number), done.stderr
    (kept,) = Path("scratch").iterdir()
    before = {int(path.stem[6:]) for path in kept.glob("*.json")}
    assert int(killed) in before and not list(Path().glob("cut/*"))
    label("cut", shard_size=5)
    assert sorted(made) == sorted(set(range(5)) - before)
    assert contents(Path("cut")) == contents(Path("whole"))
    assert not list(Path("scratch").iterdir())


def altered(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "suffix"),
    [
        (cut, "tar"),
        (altered, "tar"),
        (remove, "tar"),
        (cut, "json"),
        (remove, "json"),
    ],
)
def test_a_kept_shard_that_is_not_as_it_was_is_made_again(label, made, monkeypatch, harm, suffix):
    label("whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in(2, patch)
        label("cut")
    (kept,) = Path("scratch").glob(f"*/shard-000000.{suffix}")
    harm(kept)
    made.clear()
    label("cut")
    assert made == [0, 2] and contents(Path("cut")) == contents(Path("whole"))


@pytest.mark.parametrize("change", ["parameter", "teacher", "list"])
def test_what_is_changed_does_not_go_on_from_the_old_shards(
    label, params, made, monkeypatch, teacher, world, change
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in(2, patch)
        label("cut")
    made.clear()
    params({"label_images.threshold": 0.3} if change == "parameter" else {})
    arguments = words(Path("cut"), teacher, world)
    if change == "teacher":
        torch.manual_seed(1)
        other = Teacher(**MODEL)
        arguments[0] = Path("other.safetensors")
        write_weights(arguments[0], other, ABOUT)
    if change == "list":
        rows = arguments[2].read_text().splitlines(keepends=True)
        arguments[2] = Path("fewer.csv")
        arguments[2].write_text("".join(rows[:-1]))
    label_images.main(*arguments)
    assert made == [0, 1, 2]


def test_shards_go_on_where_only_what_changes_none_of_them_is_changed(label, made, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in(2, patch)
        label("cut")
    made.clear()
    label("cut", broken="skip", examples=1)
    assert made == [2]


def test_an_image_that_was_skipped_is_looked_at_again_once_it_is_another_file(
    label, made, monkeypatch, photographs
):
    whole = photographs.joinpath(BROKEN).read_bytes()
    cut(photographs / BROKEN)  # of the second shard
    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            stop_in(2, patch)
            label("cut", images=photographs, broken="skip")
    assert made == [0, 1]  # once
    (photographs / BROKEN).write_bytes(whole)
    made.clear()
    assert label("cut", images=photographs, broken="skip").index["skipped"] == []
    assert made == [1, 2]


def test_a_second_run_at_the_same_time_is_refused(
    run_stage, label, params, fail, monkeypatch, teacher, world
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in(1, patch)
        label("cut")
    (kept,) = Path("scratch").iterdir()
    with open(kept / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        message = fail(label_images, *words(Path("cut"), teacher, world))
        params({"label_images.processes": 2})
        done = run_stage(*words(Path("cut"), teacher, world))
    assert f"{kept.name} is in use: another process is at the same run; wait" in message
    assert done.returncode == 1 and "is in use: another process" in done.stderr
    assert "Traceback" not in done.stderr


def test_shards_are_copied_where_they_cannot_be_linked(label, monkeypatch):
    def refuse(old: Path, new: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    label("linked")
    monkeypatch.setattr(os, "link", refuse)
    label("copied")
    assert contents(Path("copied")) == contents(Path("linked"))


def test_two_images_of_one_key_are_refused_before_any_is_labelled(
    params, fail, monkeypatch, teacher, world
):
    monkeypatch.setattr(Labeller, "draw_maps", None)
    arguments = words(Path("out"), teacher, world)
    rows = arguments[2].read_text() + "n00000003/a.b.jpg,2,9\nn00000003/a_b.png,2,9\n"
    arguments[2] = Path("doubled.csv")
    arguments[2].write_text(rows)
    message = fail(label_images, *arguments)
    names = "n00000003/a.b.jpg and n00000003/a_b.png"
    assert f"{names} have one key, 'n00000003-a_b'; rename or remove one" in message
