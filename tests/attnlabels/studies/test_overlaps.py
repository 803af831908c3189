from pathlib import Path

import numpy as np
import pytest

from attnlabels.interpretation.overlap import iou_of_both
from attnlabels.pipeline.results import Run
from attnlabels.pipeline.writing import write_arrays
from attnlabels.studies.overlaps import contrast_overlaps

N, SIDE, SEEDS = 14, 32, (0, 1)


def objects() -> np.ndarray:
    masks = np.zeros((N, SIDE, SIDE), bool)
    for mask, (row, col) in zip(masks, np.random.default_rng(0).integers(0, SIDE - 12, (N, 2))):
        mask[row : row + 12, col : col + 12] = True
    masks[3] = False  # nothing of it is inside of the crop
    return masks


def write(folder: Path, name: str, *, noise: float, first: int = 0) -> Run:
    """The examples of a run whose attention is the objects under so much noise."""
    masks = objects()
    coarse = masks.reshape(N, 8, SIDE // 8, 8, SIDE // 8).mean(axis=(2, 4))
    for seed in SEEDS:
        drawn = np.random.default_rng([seed, round(noise)]).random(coarse.shape)
        write_arrays(
            folder / f"{name}-{seed}.npz",
            names=np.array([f"{first + i}.png" for i in range(N)]),
            object=masks,
            attention_last=coarse + noise * drawn,
        )
    return Run(study="study", name=name, seeds=SEEDS)


def test_the_run_whose_attention_is_the_object_overlaps_more(tmp_path) -> None:
    one, other = write(tmp_path, "one", noise=0.3), write(tmp_path, "other", noise=4.0)
    (row,) = contrast_overlaps([(one, other)], tmp_path, permutations=999, seed=0).values()
    by_hand = np.zeros((N, 2))
    for seed in SEEDS:
        with (
            np.load(tmp_path / f"one-{seed}.npz") as a,
            np.load(tmp_path / f"other-{seed}.npz") as b,
        ):
            for i in {*range(N)} - {3}:
                maps = a["attention_last"][i], b["attention_last"][i]
                by_hand[i] += np.array(iou_of_both(*maps, a["object"][i])[:2]) / 2
    expected = np.delete(by_hand, 3, axis=0)
    assert row["first"].mean == pytest.approx(expected[:, 0].mean())
    assert row["second"].mean == pytest.approx(expected[:, 1].mean())
    assert row["difference"].mean == pytest.approx((expected[:, 0] - expected[:, 1]).mean())
    assert row["difference"].n == N - 1 and row["difference"].mean > 0.1
    assert row["p images"] < 0.01


def test_a_run_does_not_differ_from_itself(tmp_path) -> None:
    run = write(tmp_path, "one", noise=0.3)
    (row,) = contrast_overlaps([(run, run)], tmp_path, permutations=99, seed=0).values()
    assert row["difference"].mean == 0 and row["p images"] == 1


def test_runs_of_other_images_and_images_without_objects_are_refused(tmp_path) -> None:
    one, other = write(tmp_path, "one", noise=0.3), write(tmp_path, "other", noise=0.3, first=5)
    with pytest.raises(ValueError, match="one-0.npz and .*other-0.npz are of other images"):
        contrast_overlaps([(one, other)], tmp_path, permutations=99, seed=0)
    with np.load(tmp_path / "one-0.npz") as file:
        arrays = {**file}
    write_arrays(tmp_path / "one-0.npz", **(arrays | {"object": np.zeros_like(arrays["object"])}))
    with pytest.raises(ValueError, match="one-0.npz: no image has an object"):
        contrast_overlaps([(one, one)], tmp_path, permutations=99, seed=0)
