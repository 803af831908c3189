"""The command `attnlabels label` and the function it calls, on made images of every kind."""

import fcntl
import gzip
import hashlib
import io
import logging
import re
import shutil
import signal
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import label_images
from attnlabels import Drawing, Work, check, label, label_as_files
from attnlabels.images.folder import list_images, write_manifest
from attnlabels.labelling import batches, labels
from attnlabels.labelling.labeller import Labeller
from attnlabels.models.files import write_weights
from attnlabels.processes.checkpoint import Scratch
from attnlabels.shards.shards import Shards
from attnlabels.teachers.network import Teacher

SMALL: dict[str, Any] = {"map_size": 12, "batch_size": 4, "shard_size": 5, "workers": 0}
COMMAND = "from attnlabels.cli import main; main()"
KILLED = """
# Process KILLED ends by force as it begins its second shard.
import os, signal, sys
from attnlabels.labelling import batches
from attnlabels.cli import main

keep, made = batches.keep_shard, []

def keep_one(path, samples, **about):
    if os.environ.get("RANK", "0") == os.environ.get("KILLED") and made:
        path.with_name(path.name + ".part").write_bytes(b"half of a shard")
        os.kill(os.getpid(), signal.SIGKILL)
    made.append(path)
    keep(path, samples, **about)

batches.keep_shard = keep_one
main()
"""
Label = Callable[..., Shards]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNLABELS_SCRATCH", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    torch.set_num_threads(1)
    return tmp_path


@pytest.fixture
def photos(here: Path) -> Path:
    """Twelve photographs, JPEG and PNG, in folders of any depth."""
    for i in range(12):
        draw(here / f"photos/{'abc'[i % 3]}/{'deep/' * (i % 2)}{i}.{('jpg', 'png')[i % 2]}", i)
    return here / "photos"


def draw(path: Path, seed: int, *, size: tuple[int, int] = (30, 40)) -> Path:
    """A photograph of blurred noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    assert cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 2))
    return path


def sorted_out(options: dict[str, Any]) -> dict[str, Any]:
    """Options as `label` takes them: those of a record in the record."""

    def taken(kind: type) -> Any:
        return kind(
            **{each.name: options.pop(each.name) for each in fields(kind) if each.name in options}
        )

    options = dict(options)
    return {"drawing": taken(Drawing), "work": taken(Work), **options}


@pytest.fixture
def labelled(teacher: Path) -> Label:
    """Labels images into a new folder, with small maps and shards of five."""

    def call(images: Path | str, out: str = "out", **options: Any) -> Shards:
        shards = label(images, teacher=teacher, out=Path(out), **sorted_out(SMALL | options))
        assert shards is not None
        return shards

    return call


@pytest.fixture
def run(call_python: Any) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The command, or `script`, on one thread of the CPU."""

    def call(
        *words: Path | str, script: str = COMMAND, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        Path("attnlabels.cmd").write_text(script)
        return call_python("attnlabels.cmd", *words, **environment)

    return call


def command(images: Path | str, teacher: Path, *more: str, out: str = "out") -> list[Path | str]:
    """The words of the command that labels as the fixture `labelled` does."""
    small = [word for name, value in SMALL.items() for word in (f"--{name}", str(value))]
    small = [word.replace("_", "-") for word in small]
    return ["label", images, "--teacher", teacher, "--out", out, *small, *more]


def contents(folder: Path | str) -> dict[str, bytes]:
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def left_over() -> list[str]:
    """What is beside the images and the shards."""
    return [path.name for path in Path().iterdir() if path.name.startswith(".")]


def pack(photos: Path, *tars: str) -> None:
    """The photographs as samples of tars, in turns, with classes."""
    paths = sorted(path for path in photos.rglob("*") if path.is_file())
    for number, name in enumerate(tars):
        with tarfile.open(name, "w") as tar:
            for i, path in list(enumerate(paths))[number :: len(tars)]:
                tar.add(path, f"{i:03d}{path.suffix}")
                about = tarfile.TarInfo(f"{i:03d}.cls")
                about.size = 1
                tar.addfile(about, io.BytesIO(str(i % 3).encode()))


def test_every_image_of_a_folder_of_any_depth_is_labelled_once_and_kept(labelled, photos, teacher):
    shards = labelled(photos)
    samples = [shards[i] for i in range(len(shards))]
    names = sorted(str(path.relative_to(photos)) for path in photos.rglob("*.*"))
    assert [each["name"] for each in samples] == names and len(names) == 12
    for each in samples:
        assert each["image"] == (photos / each["name"]).read_bytes()
        assert each["map"].shape == (12, 12) and len(each["points"])
        assert each["label"] == -1 and each["image_size"] == (30, 40)
    assert samples[0]["key"] == "a-0" and samples[1]["key"] == "a-6"
    assert [each["count"] for each in shards.index["shards"]] == [5, 5, 2]
    assert shards.classes == [] == shards.index["skipped"]
    digest = hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert shards.index["maps_by"].items() > {"kind": "teacher", "sha256": digest}.items()
    assert list(check(Path("out"))) == [] and left_over() == []


def test_the_labels_of_an_image_folder_are_those_of_the_stage_to_the_byte(
    labelled, params, photos, teacher, world
):
    for path in list(photos.rglob("deep/*")):
        path.rename(path.parents[1] / path.name)
    for path in photos.glob("*/deep"):
        path.rmdir()
    write_manifest(Path("photos.csv"), list_images(photos, classes=3))
    small = {"map_size": 12, "batch_size": 4, "shard_size": 5, "shape": "own"}
    params({f"label_images.{key}": value for key, value in small.items()})
    people = world / "data/attention/eye"
    label_images.main(
        teacher, photos, Path("photos.csv"), people, Path("stage"), Path("examples.npz")
    )
    labelled(photos, classes=True)
    assert contents("out") == contents("stage") and Shards(Path("out")).classes == ["a", "b", "c"]


def test_images_in_tars_get_the_labels_that_they_get_in_a_folder(labelled, photos):
    Path("packed").mkdir()
    pack(photos, "packed/x.tar", "packed/y.tar")
    files, tars = labelled(photos, "files"), labelled("packed/{x,y}.tar", "tars")
    by_image = {sample["image"]: sample for sample in map(files.__getitem__, range(12))}
    assert [tars[i]["key"] for i in (0, 1, 6)] == ["000", "002", "001"]
    assert tars[6]["name"].startswith("y.tar/001.")
    assert tars.labels.tolist() == [i % 3 for i in (*range(0, 12, 2), *range(1, 12, 2))]
    assert tars.classes == ["0", "1", "2"]
    for i in range(12):
        sample = by_image.pop(tars[i]["image"])
        np.testing.assert_allclose(sample["map"], tars[i]["map"], atol=2 / 65535)
    assert contents(labelled("packed", "folder").folder) == contents("tars") and not by_image


def test_compressed_and_remote_tars_are_copied_for_as_long_as_they_are_needed(labelled, photos):
    pack(photos, "x.tar", "y.tar")
    for name in ("x.tar", "y.tar"):
        Path(f"{name}.gz").write_bytes(gzip.compress(Path(name).read_bytes()))
    plain = labelled("{x,y}.tar", "plain")
    for out, pattern in {"packed": "{x,y}.tar.gz", "piped": "pipe:gzip -dc {x,y}.tar.gz"}.items():
        assert contents(labelled(pattern, out).folder) == contents(plain.folder)
    assert left_over() == []


def test_copies_of_tars_outlive_a_labelling_that_fails(labelled, photos):
    truncated(photos / "a/broken.jpg")
    pack(photos, "x.tar")
    url = "pipe:cat x.tar; echo . >> calls"
    with pytest.raises(ValueError, match=r"x\.tar/.*truncated"):
        labelled(url)
    assert len(labelled(url, broken="skip")) == 12 and left_over() == []
    assert Path("calls").read_text().split() == ["."]


def test_a_copy_with_a_broken_image_says_how_it_is_fetched_anew(labelled, photos):
    whole = (photos / "a/0.jpg").read_bytes()
    truncated(photos / "a/0.jpg")
    pack(photos, "x.tar")
    with pytest.raises(
        ValueError, match=r"\(of a copy: remove .* to have it fetched anew\)"
    ) as told:
        labelled("pipe:cat x.tar")
    (photos / "a/0.jpg").write_bytes(whole)
    pack(photos, "x.tar")
    (copy,) = re.findall(r"remove (\S+) to have it", str(told.value))
    shutil.rmtree(copy)
    assert len(labelled("pipe:cat x.tar")) == 12 and left_over() == []


def test_two_labellings_of_one_tar_do_not_share_its_copy(labelled, photos, monkeypatch):
    pack(photos, "x.tar")
    monkeypatch.setenv("ATTNLABELS_SCRATCH", str(Path("scratch").resolve()))
    parts = labels.label_parts

    def after_another(*about: Any, **more: Any) -> None:
        monkeypatch.setattr(labels, "label_parts", parts)
        assert len(labelled("pipe:cat x.tar", "other", mirror=True)) == 12
        parts(*about, **more)

    monkeypatch.setattr(labels, "label_parts", after_another)
    assert len(labelled("pipe:cat x.tar")) == 12
    assert [*Path("scratch").iterdir()] == []


def test_a_copy_is_not_made_by_two_at_once(labelled, photos, monkeypatch):
    pack(photos, "x.tar")
    fetch = labels.fetch

    def after_another(*about: Any) -> None:
        monkeypatch.setattr(labels, "fetch", fetch)
        with pytest.raises(ValueError, match="another process is at the same run"):
            labelled("pipe:cat x.tar")
        fetch(*about)

    monkeypatch.setattr(labels, "fetch", after_another)
    assert len(labelled("pipe:cat x.tar")) == 12 and left_over() == []


def test_photographs_beside_a_compressed_tar_are_not_passed_over(labelled, photos):
    pack(photos, "x.tar")
    (photos / "backup.tar.gz").write_bytes(gzip.compress(Path("x.tar").read_bytes()))
    with pytest.raises(ValueError, match=r"photos: a beside tars; name a folder of one kind"):
        labelled(photos)
    assert left_over() == []


@pytest.mark.parametrize("labelling", [label, label_as_files])
def test_labels_that_came_meanwhile_are_not_replaced(
    labelling, labelled, photos, teacher, monkeypatch
):
    write_overlays = labels.write_overlays

    def after_another(*about: Any, **more: Any) -> None:
        monkeypatch.setattr(labels, "write_overlays", write_overlays)
        labelled(photos / "a")

    monkeypatch.setattr(labels, "write_overlays", after_another)
    asked = sorted_out(SMALL | {"mirror": True})
    with pytest.raises(FileExistsError, match="out is there already"):
        labelling(photos, teacher=teacher, out=Path("out"), **asked)
    assert len(Shards(Path("out"))) == 4


def test_what_killed_labellings_with_other_settings_left_goes_with_the_one_that_ends(
    labelled, photos, monkeypatch
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(labels, "write_overlays", interrupted)
        labelled(photos, mirror=True)
    held = Scratch(str(Path(".out.labels-held").resolve()))
    held.lock()
    assert len(left_over()) == 2
    labelled(photos)
    assert left_over() == [".out.labels-held"]
    held.unlock()


def interrupted(*about: Any, **more: Any) -> None:
    raise KeyboardInterrupt


def test_shards_of_ours_can_be_labelled_again(labelled, photos):
    first = labelled(photos, "first", classes=True)
    again = labelled("first", "again", map_size=6)
    assert [again[i]["image"] for i in range(12)] == [first[i]["image"] for i in range(12)]
    assert [again[i]["key"] for i in range(12)] == [first[i]["key"] for i in range(12)]
    assert again.labels.tolist() == first.labels.tolist() and again[0]["map"].shape == (6, 6)


def test_equal_keys_and_names_that_make_no_key_are_told_apart(labelled, photos):
    draw(photos / "a/0.png", 20)
    draw(photos / "a-0.jpg", 21)
    draw(photos / "a.b/Füße (1).jpg", 22)
    draw(photos / f"{'long' * 30}.jpg", 23)
    shards = labelled(photos)
    keys = {shards[i]["name"]: shards[i]["key"] for i in range(len(shards))}
    assert len(set(keys.values())) == 16 and list(check(Path("out"))) == []
    assert keys["a/6.jpg"] == "a-6"
    for name in ("a/0.jpg", "a/0.png", "a-0.jpg"):
        assert keys[name].startswith("a_0_" if "/" in name else "a-0_"), keys[name]
    assert keys["a.b/Füße (1).jpg"].startswith("a_b_F__e__1_-")


def test_a_key_that_comes_to_be_shared_makes_a_kept_shard_anew(labelled, photos, made, monkeypatch):
    (photos / "a/0.jpg").rename(photos / "a-0.jpg")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in(2, patch)
        labelled(photos, shard_size=1)
    assert made == [0, 1]
    draw(photos / "a/0.png", 30)
    shards = labelled(photos, shard_size=1)
    assert made == [0, 1, *range(13)] and list(check(Path("out"))) == []
    assert len({shards[i]["key"] for i in range(13)}) == 13


def remade(path: Path, image: Image.Image, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def test_pictures_of_every_kind_are_labelled(labelled, photos):
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8))
    kinds = Path("kinds")
    remade(kinds / "grey.png", colour.convert("L"))
    remade(kinds / "sixteen.png", Image.fromarray(rng.integers(0, 65536, (20, 30), np.uint16)))
    remade(kinds / "palette.png", colour.convert("P"))
    remade(kinds / "alpha.png", colour.convert("RGBA"))
    remade(kinds / "cmyk.jpg", colour.convert("CMYK"))
    remade(kinds / "one.png", colour.resize((1, 1)))
    remade(kinds / "wide.png", colour.resize((10_000, 3)))
    orientation = Image.Exif()
    orientation[0x0112] = 6
    remade(kinds / "rotated.jpg", colour, exif=orientation)
    remade(kinds / "stored.jpg", colour)
    shards = labelled(kinds)
    samples = {each["key"]: each for each in map(shards.__getitem__, range(len(shards)))}
    assert sorted(samples) == sorted(path.stem for path in kinds.iterdir())
    assert samples["one"]["image_size"] == (1, 1)
    assert samples["wide"]["image_size"] == (3, 10_000)
    # Maps are of the pixels as they are stored, whatever way up they are to be shown.
    assert samples["rotated"]["image_size"] == (20, 30)
    np.testing.assert_array_equal(samples["rotated"]["points"], samples["stored"]["points"])
    assert list(check(Path("out"))) == []


def a_bomb(path: Path) -> None:
    """A few bytes that say they are 60,000 x 60,000 pixels."""
    draw(path, 0)
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)


def truncated(path: Path) -> None:
    draw(path, 0)
    path.write_bytes(path.read_bytes()[:-200])


def no_image(path: Path) -> None:
    path.write_bytes(b"no photograph, whatever it is called")


@pytest.mark.parametrize(
    ("name", "spoil", "what"),
    [
        ("broken.jpg", truncated, "truncated or damaged"),
        ("text.jpg", no_image, "truncated or not an image"),
        ("bomb.png", a_bomb, "60,000 x 60,000 pixels, above"),
        ("empty.png", lambda path: path.touch(), "truncated or not an image"),
    ],
)
def test_a_broken_file_stops_the_labelling_or_is_left_out(labelled, photos, name, spoil, what):
    spoil(photos / "a" / name)
    with pytest.raises(ValueError, match=rf"photos/a/{name}: {what}.*; (fetch|shrink) it[ a-z]*$"):
        labelled(photos)
    assert not Path("out").exists()
    shards = labelled(photos, broken="skip")
    assert len(shards) == 12 and shards.index["skipped"] == [f"a/{name}"]
    assert list(check(Path("out"))) == []


def test_what_is_no_image_by_its_name_stops_the_labelling_at_once_or_is_left_out(
    labelled, photos, monkeypatch, caplog
):
    for name in ("notes.txt", "a/moving.mp4"):
        (photos / name).write_bytes(b"something else")
    with monkeypatch.context() as patch:
        patch.setattr(Labeller, "draw_maps", None)
        with pytest.raises(
            ValueError, match="photos: a/moving.mp4 is no image .*, notes.txt is no"
        ):
            labelled(photos)
    with caplog.at_level(logging.INFO, logger="attnlabels"):
        assert labelled(photos, broken="skip").index["skipped"] == ["a/moving.mp4", "notes.txt"]
    assert [each.partition(" is ")[0] for each in caplog.messages] == [
        f"left out: {photos}: a/moving.mp4",
        f"left out: {photos}: notes.txt",
    ]


@pytest.mark.parametrize("classes", [True, False])
def test_a_folder_without_images_is_refused(labelled, here, classes):
    (here / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no images below it"):
        labelled(here / "empty", classes=classes)


def test_a_tar_cut_short_or_with_classes_asked_for_is_refused(labelled, photos):
    pack(photos, "x.tar")
    with pytest.raises(ValueError, match=r"x\.tar: tars say themselves which class"):
        labelled("x.tar", classes=True)
    Path("x.tar").write_bytes(Path("x.tar").read_bytes()[:4000])
    with pytest.raises(ValueError, match=r"x\.tar: cut short"):
        labelled("x.tar")


def test_what_is_there_already_is_never_replaced(labelled, photos):
    with pytest.raises(FileExistsError, match="photos is there already; name"):
        labelled(photos, "photos")
    Path("empty").mkdir()
    assert len(labelled(photos, "empty")) == 12
    Path("file").write_text("mine")
    with pytest.raises(FileExistsError, match="file is there already"):
        labelled(photos, "file")
    assert Path("file").read_text() == "mine"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_filled_where_it_leads_and_stays_a_link(labelled, photos, there):
    Path("disk").mkdir()
    if there:
        Path("disk/labels").mkdir()
    Path("link").symlink_to("disk/labels")
    assert len(labelled(photos, "link")) == 12
    assert Path("link").is_symlink() and list(check(Path("disk/labels"))) == []
    assert {path.name for path in Path("disk").iterdir()} == {"labels"}
    assert not list(Path().glob(".*"))


@pytest.mark.parametrize("out", ["file/labels", "link/labels"])
def test_where_nothing_can_be_written_is_told_before_the_teacher_is_read(labelled, photos, out):
    Path("file").write_text("mine")
    Path("link").symlink_to("file")
    with pytest.raises(NotADirectoryError, match="file is a file and no folder; name another"):
        label(photos, teacher="nowhere.safetensors", out=Path(out))


def test_maps_are_no_larger_than_the_teacher_draws_them(labelled, photos):
    assert labelled(photos, "default", map_size=None)[0]["grid"] == (24, 24)
    with pytest.raises(ValueError, match="map_size 25 of images resized to 24 x 32; expected at m"):
        labelled(photos, map_size=25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold"),
        ({"map_size": 25}, "map_size 25"),
    ],
)
def test_options_out_of_range_are_refused_before_any_image_is_read(
    labelled, photos, monkeypatch, options, message
):
    monkeypatch.setattr(labels, "find_images", None)
    with pytest.raises(ValueError, match=message):
        labelled(photos, **options)


def test_pictures_to_look_at_are_drawn_from_all_over_the_set(labelled, photos):
    shards = labelled(photos, n_overlays=3)
    assert sorted(path.name for path in Path("out/overlay").iterdir()) == sorted(
        f"{shards[i]['key']}.jpg" for i in (0, 4, 8)
    )
    for path in Path("out/overlay").iterdir():
        assert cv2.imread(str(path)).shape == (384, 512, 3)
    assert list(check(Path("out"))) == []


def stop_in(shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the labelling when it has begun a shard."""
    keep = batches.keep_shard

    def stopping(path: Path, samples, **about) -> None:
        def until(samples):
            yield next(samples)
            raise KeyboardInterrupt

        keep(path, until(samples) if f"-{shard:06d}" in path.name else samples, **about)

    monkeypatch.setattr(batches, "keep_shard", stopping)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of each shard that is made."""
    numbers: list[int] = []
    keep = batches.keep_shard

    def noted(path: Path, samples, **about) -> None:
        keep(path, samples, **about)
        numbers.append(int(path.name.split("-")[1]))

    monkeypatch.setattr(batches, "keep_shard", noted)
    return numbers


def test_an_interrupted_labelling_goes_on_to_the_same_bytes(labelled, photos, made, monkeypatch):
    labelled(photos, "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in(1, patch)
        labelled(photos)
    assert not Path("out").exists() and len(left_over()) == 1
    made.clear()
    labelled(photos)
    assert made == [1, 2] and contents("out") == contents("whole") and left_over() == []


def test_only_the_shard_of_a_file_that_was_mended_is_made_again(labelled, photos, made):
    whole = (photos / "c/8.jpg").read_bytes()
    truncated(photos / "c/8.jpg")
    with pytest.raises(ValueError, match="c/8.jpg"):
        labelled(photos)
    assert made == [0]
    (photos / "c/8.jpg").write_bytes(whole)
    labelled(photos)
    assert made == [0, 1, 2] and len(Shards(Path("out"))) == 12


@pytest.mark.parametrize("change", ["image", "teacher", "option", "classes"])
def test_what_is_changed_does_not_go_on_from_the_old_shards(
    labelled, photos, teacher, made, monkeypatch, change
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in(2, patch)
        labelled(photos)
    made.clear()
    options: dict[str, Any] = {}
    if change == "image":
        draw(photos / "a/0.jpg", 99)
    elif change == "option":
        options["threshold"] = 0.3
    elif change == "classes":
        options["classes"] = True
    else:
        network: dict[str, Any] = {
            "taps": [3, 5, 7, 9],
            "pool_stride": 1,
            "output": "learnt_offset",
        }
        torch.manual_seed(1)
        about = {
            "teacher": network,
            "image_size": [24, 32],
            "sigma_px": [2.0, 2.5],
            "fitted_sigma_px": [2.0, 2.5],
        }
        write_weights(Path("other"), Teacher(**network), about)
    weights = Path("other") if change == "teacher" else teacher
    label(photos, teacher=weights, out=Path("out"), **sorted_out(SMALL | options))
    assert made == ([0, 2] if change == "image" else [0, 1, 2])


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_killed_command_goes_on_to_the_bytes_of_one_process(
    run, labelled, photos, teacher, processes
):
    truncated(photos / "b/broken.jpg")
    labelled(photos, "whole", broken="skip", n_overlays=2)
    words = command(photos, teacher, "--broken", "skip", "--overlay", "2", "--processes", processes)
    killed = run(*words, script=KILLED, KILLED="0")
    expected = -signal.SIGKILL if processes == "1" else 1
    assert killed.returncode == expected and not Path("out").exists(), killed.stderr
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out: 12 images labelled; 1 left out, b/broken.jpg the first\n"
    assert "b/broken.jpg: truncated or damaged" in killed.stderr + done.stderr
    assert contents("out") == contents("whole") and left_over() == []


def test_a_second_command_at_the_same_time_is_refused(labelled, photos, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in(1, patch)
        labelled(photos)
    (kept,) = left_over()
    with open(Path(kept) / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="is in use: another process is at the same run; wa"):
            labelled(photos)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(labelled, photos, full_disk):
    with full_disk(3_000), pytest.raises(OSError, match="cannot be written .*make room, or set A"):
        labelled(photos)
    assert not Path("out").exists()
    assert [path for name in left_over() for path in Path(name).iterdir()] == []


def test_a_place_that_cannot_be_written_is_one_clear_error(run, photos, teacher):
    Path("file").write_text("no folder")
    failed = run(*command(photos, teacher, out="file/out"))
    assert failed.returncode == 1
    assert failed.stderr.startswith("attnlabels: error: ") and "file" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["label", "nowhere", "--teacher", "TEACHER", "--out", "o"], 1, "nowhere: no such folder"),
        (["label", "photos", "--teacher", "none", "--out", "o"], 1, "none: no weights here"),
        (
            ["label", "photos", "--teacher", "TEACHER", "--out", "o"],
            1,
            "; mend, convert or remove it, or pass --broken skip",
        ),
        (["label", "photos"], 2, "--out"),
        (
            ["label", "photos", "--teacher", "TEACHER", "--out", "o", "--broken", "ask"],
            2,
            "--broken",
        ),
        (
            ["label", "photos", "--teacher", "TEACHER", "--out", "o", "--shard-size", "0"],
            2,
            "shard-",
        ),
    ],
)
def test_the_command_says_what_is_wrong_with_its_words(
    run, photos, teacher, words, status, message
):
    (photos / "a/notes.txt").write_text("no photograph")
    failed = run(*[str(teacher) if word == "TEACHER" else word for word in words])
    assert failed.returncode == status and message in failed.stderr
    assert "Traceback" not in failed.stderr and not Path("o").exists()


@pytest.mark.real_data
def test_photographs_with_eye_tracking_are_labelled_whole(labelled, real_data):
    shards = labelled(real_data("osie") / "images", shard_size=500, batch_size=16, map_size=24)
    assert len(shards) == 560 and shards.index["skipped"] == []
    assert {shards[i]["image_size"] for i in range(0, 560, 10)} == {(300, 400)}
    assert list(check(Path("out"))) == []
