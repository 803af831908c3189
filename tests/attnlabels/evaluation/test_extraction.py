import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from attnlabels.evaluation import extraction
from attnlabels.evaluation.extraction import (
    encode_squares,
    fingerprint,
    kept_features,
    write_features,
)
from attnlabels.evaluation.features import read_corrupted, read_features
from attnlabels.testsets.image_sets import ImageSet, Squares

N = 23
PIXELS = np.random.default_rng(0).integers(0, 256, (2, N, 8, 8, 3), np.uint8)
ENCODER = {"sha256": "0", "view": {"size": 8}}


def rows_of(part: str, rows: slice) -> np.ndarray:
    return PIXELS[int(part)][rows]


def made(**changed) -> ImageSet:
    """Two parts of images in memory."""
    labels = np.arange(N)
    return ImageSet("made", ["0", "1"], rows_of, labels, False, {"generated": 1}, [])._replace(
        **changed
    )


def mean_colour(images: torch.Tensor) -> torch.Tensor:
    return images.float().mean((1, 2))


def mean_colour_times_0(images: torch.Tensor, *, plus: float) -> torch.Tensor:
    return 0 * mean_colour(images) + plus


def encoded(images: ImageSet, *, workers: int = 0, encode=mean_colour):
    squares = Squares(images, size=8, crop=1.0, batch_size=5)
    return encode_squares(squares, encode, workers=workers, pin_memory=False)


def expected(part: int) -> np.ndarray:
    return PIXELS[part].mean((1, 2)).astype(np.float16)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_image_comes_once_and_in_order_with_any_number_of_workers(tmp_path, workers):
    write_features(tmp_path / "f", made(), encoded(made(), workers=workers))
    for part in (0, 1):
        found, labels = read_features(tmp_path / "f", str(part))
        np.testing.assert_allclose(found, expected(part), rtol=1e-3)
        assert labels.tolist() == list(range(N))


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7, 8], "1 batches of 10 never came"),
        ([0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9], "batch 1 of 5 images came where 2 of 5 was due"),
        ([0, 2, 1, 3, 4, 5, 6, 7, 8, 9], "batch 2 of 5 images came where 1 of 5 was due"),
        ([*range(10), 9], "batch 9 of 3 images came where None of 0 was due"),
    ],
)
def test_a_batch_lost_doubled_or_swapped_is_an_error(monkeypatch, tmp_path, order, said):
    def loader(squares, **_):
        for i in order:
            number, pixels = squares[i]
            yield number, torch.from_numpy(pixels)

    monkeypatch.setattr(extraction, "load", loader)
    with pytest.raises(ValueError, match=f"made: {said}"):
        write_features(tmp_path / "f", made(), encoded(made()))


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-9, 1e6])
@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_features_of_any_size_are_told_apart_as_they_were(tmp_path, scale, shift):
    def encode(images):
        return (mean_colour(images) / 255 + shift) * scale

    write_features(tmp_path / "f", made(), encoded(made(), encode=encode))
    for part in (0, 1):
        found, _ = read_features(tmp_path / "f", str(part))
        exact = (PIXELS[part].mean((1, 2)) / 255 + shift) * scale
        lost = (found.astype(float) - exact).std(axis=0) / exact.std(axis=0)
        assert (lost < 0.01).all()
        assert found.dtype == (np.float16 if (scale, shift) == (1.0, 0.0) else np.float32)


def test_features_that_never_change_are_kept_in_half_precision_unless_it_ends_below_them(tmp_path):
    for name, value, kind in (("a", 0.1, np.float16), ("b", 1e6, np.float32)):
        write_features(
            tmp_path / name,
            made(),
            encoded(made(), encode=partial(mean_colour_times_0, plus=value)),
        )
        found, _ = read_features(tmp_path / name, "0")
        assert found.dtype == kind and np.ptp(found) == 0
    files = {path.name for path in (tmp_path / "a").iterdir()}
    assert files == {"0.npy", "1.npy", "labels.npy", "set.json"}


def test_an_encoder_of_too_few_rows_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="4 features for images 0 to 4 of 0; .* one row an image"):
        write_features(tmp_path / "f", made(), encoded(made(), encode=lambda x: mean_colour(x)[1:]))


class Counting:
    """An encoder that remembers how many images it was asked for."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.n += len(images)
        return mean_colour(images)


def test_features_that_are_kept_are_not_encoded_again(tmp_path):
    counting = Counting()

    def encode(images):
        return encoded(images, encode=counting)

    first = kept_features(made(), encode, folder=tmp_path / "f")
    assert counting.n == 2 * N
    assert kept_features(made(), encode, folder=tmp_path / "f") == first
    assert counting.n == 2 * N
    (first / "1.npy").unlink()
    kept_features(made(), encode, folder=tmp_path / "f")
    assert counting.n == 3 * N
    np.testing.assert_allclose(read_features(first, "1")[0], expected(1), rtol=1e-3)


def test_a_part_that_was_broken_off_is_not_kept(tmp_path):
    calls = iter(range(100))

    def fails(images):
        if next(calls) == 7:
            raise OSError("the disk is gone")
        return mean_colour(images)

    with pytest.raises(OSError, match="the disk is gone"):
        kept_features(made(), lambda images: encoded(images, encode=fails), folder=tmp_path / "f")
    assert sorted(each.name for each in (tmp_path / "f").iterdir()) == ["0.npy", "labels.npy"]
    counting = Counting()
    kept_features(made(), lambda images: encoded(images, encode=counting), folder=tmp_path / "f")
    assert counting.n == N


def test_a_full_disk_is_said(tmp_path, full_disk):
    def encode(images):
        return encoded(images, encode=lambda x: x.float().flatten(1))

    with full_disk(400), pytest.raises(OSError, match="0.npy: cannot be written .* make room"):
        kept_features(made(), encode, folder=tmp_path / "f")
    assert [each.name for each in (tmp_path / "f").iterdir()] == ["labels.npy"]
    with full_disk(200), pytest.raises(OSError, match="labels.npy: cannot be written"):
        kept_features(made(), encode, folder=tmp_path / "g")
    assert not [*(tmp_path / "g").iterdir()]


def test_the_fingerprint_follows_the_encoder_the_labels_the_order_and_the_pixels():
    names = {
        fingerprint(made(), ENCODER),
        fingerprint(made(), {**ENCODER, "sha256": "1"}),
        fingerprint(made(), {**ENCODER, "view": {"size": 9}}),
        fingerprint(made(labels=np.arange(N)[::-1].copy()), ENCODER),
        fingerprint(made(parts=["1", "0"]), ENCODER),
        fingerprint(made(images=lambda part, rows: PIXELS[int(part)][::-1][rows]), ENCODER),
        fingerprint(made(about={"generated": 0}), ENCODER),
        fingerprint(made(crops=True), ENCODER),
    }
    assert len(names) == 8
    assert fingerprint(made(), dict(reversed(ENCODER.items()))) == fingerprint(made(), ENCODER)


def test_the_fingerprint_follows_files_by_name_size_and_time(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        path.write_bytes(b"0123")
    of_files = made(parts=["0"], images=lambda part, rows: paths[rows], labels=np.arange(3))
    names = [fingerprint(of_files, ENCODER)]
    assert fingerprint(of_files, ENCODER) == names[0]
    paths[1].write_bytes(b"01234")
    names.append(fingerprint(of_files, ENCODER))
    os.utime(paths[1], ns=(0, 0))
    names.append(fingerprint(of_files, ENCODER))
    paths[2] = paths[2].rename(tmp_path / "other.png")
    names.append(fingerprint(of_files, ENCODER))
    assert len({*names}) == 4


def test_the_fingerprint_of_a_mapped_array_reads_no_pixels(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS[0])
    array = np.load(tmp_path / "a.npy", mmap_mode="r")
    mapped = made(parts=["0"], images=lambda part, rows: array[rows])
    before = fingerprint(mapped, ENCODER)
    os.utime(Path(tmp_path / "a.npy"), ns=(0, 0))
    assert fingerprint(mapped, ENCODER) != before


def test_the_fingerprint_of_generated_images_is_that_of_what_they_are_made_of():
    def never(part, rows):
        raise AssertionError("a corruption was drawn")

    clean = made(parts=["0"])
    generated = made(images=never, made_from=clean)
    other = clean._replace(images=lambda part, rows: PIXELS[1][rows])
    assert fingerprint(generated, ENCODER) != fingerprint(
        generated._replace(made_from=other), ENCODER
    )


def test_the_fingerprint_follows_what_is_left_out():
    whole = made(labels=np.zeros(N, np.int64), names=[str(row) for row in range(N)])
    marks = [fingerprint(whole.without(rows), ENCODER) for rows in ([], [3], [4], [3, 4])]
    assert len({*marks}) == 4 and marks[1] == fingerprint(whole.without({3}), ENCODER)


@pytest.mark.parametrize("of_imagenet", [True, False])
def test_features_say_that_the_classes_are_imagenets_where_they_are(
    tmp_path, monkeypatch, of_imagenet
):
    monkeypatch.setattr(ImageSet, "of_imagenet", lambda images: of_imagenet)
    images = made(parts=["fog-1"])
    write_features(tmp_path / "f", images, iter([np.ones((N, 2), np.float32)]))
    assert read_corrupted(tmp_path / "f") == (["fog"], True, of_imagenet)
    assert ("of_imagenet" in (tmp_path / "f/set.json").read_text()) is of_imagenet
