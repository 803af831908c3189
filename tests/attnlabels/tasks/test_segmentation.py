from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from attnlabels.tasks.segmentation import answer, head, loss, read, read_mask, scores


def write_masks(folder: Path, labels: Path, mask: np.ndarray) -> Path:
    """One mask for all eighteen images of the labels."""
    folder.mkdir()
    for i in range(18):
        cv2.imwrite(str(folder / f"image{i}.png"), mask)
    return folder


@pytest.fixture(scope="module")
def labels(tmp_path_factory, write_labels) -> Path:
    return write_labels(tmp_path_factory.mktemp("segmentation") / "labels", seed=0)


def square(value: int = 255) -> np.ndarray:
    mask = np.zeros((30, 36), np.uint8)
    mask[5:20, 6:24] = value
    return mask


def test_photographs_come_with_masks_maps_and_points_at_one_size(labels, tmp_path):
    masks = write_masks(tmp_path / "masks", labels, square())
    examples = read(labels, shown="image", size=24, masks=masks)
    assert examples.shown.shape == (18, 3, 24, 24) and examples.target.shape == (18, 24, 24)
    assert examples.maps.shape == (18, 24, 24) and examples.n_outputs == 1
    assert examples.shown.min() >= 0 and 0.5 < examples.shown.max() <= 1
    found = examples.target[0].mean()
    assert found == pytest.approx((15 * 18) / (30 * 36), abs=0.05)
    # what is looked at is where the map is high
    for map, points in zip(examples.maps, examples.points):
        assert map[tuple(points.T)].mean() > 0.5 * map.max()


@pytest.mark.parametrize("value", [1, 80, 255])
def test_whatever_is_not_0_is_object(tmp_path, value):
    cv2.imwrite(str(tmp_path / "m.png"), square(value))
    mask = read_mask(tmp_path / "m.png", (30, 36), side=24)
    assert mask[8, 8] and not mask[0, 0]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((30, 36), np.uint8), "at 24 px nothing is object"),
        (np.full((30, 36), 255, np.uint8), "at 24 px all of it is object"),
        (square()[:-1], r"has 29 x 36 pixels \(height x width\), its image 30 x 36"),
    ],
    ids=["empty", "full", "size"],
)
def test_a_mask_that_is_none_is_named(labels, tmp_path, mask, message):
    masks = write_masks(tmp_path / "masks", labels, mask)
    with pytest.raises(ValueError, match=rf"image0\.png.*{message}"):
        read(labels, shown="image", size=24, masks=masks)


def test_a_mask_that_is_missing_or_damaged_is_named(labels, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"image0\.png: no mask"):
        read(labels, shown="image", size=24, masks=tmp_path)
    (tmp_path / "image0.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"image0\.png: no readable PNG"):
        read(labels, shown="image", size=24, masks=tmp_path)
    with pytest.raises(ValueError, match="segmentation wants masks"):
        read(labels, shown="image", size=24, masks=None)


def test_the_head_takes_both_what_is_attended_and_the_skip():
    torch.manual_seed(0)
    made = head((4, 6, 8), 1).eval()
    attended, skip = torch.rand(2, 8, 6, 6), torch.rand(2, 6, 12, 12)
    logits = made(attended, skip)
    assert logits.shape == (2, 24, 24)
    assert not torch.allclose(logits, made(attended, skip + 1))
    assert not torch.allclose(logits, made(attended + 1, skip))


def test_loss_is_cross_entropy_a_pixel():
    zero, target = torch.zeros(1, 2, 2), torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    assert loss(zero, target) == pytest.approx(np.log(2))
    assert torch.allclose(answer(zero), torch.full((1, 2, 2), 0.5))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_the_loss_of_half_precisions_logits_is_that_of_single_precision(half):
    logits = torch.full((1, 1, 1), 9.0, dtype=half, requires_grad=True)  # 1 / (1 + e^-9) is 1 there
    value = loss(logits, torch.ones(1, 1, 1))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(np.log1p(np.exp(-9)), rel=1e-3)
    value.backward()
    assert logits.grad.item() == pytest.approx(-1 / (1 + np.exp(9)), rel=0.01)


def test_scores_are_means_and_the_maximum_is_of_the_mean_curve():
    masks = np.zeros((2, 8, 8), np.float32)
    masks[:, 2:5, 2:6] = 1
    exact = scores(masks, masks)
    assert exact["f_adaptive"] == exact["f_max"] == 1 and exact["mae"] == 0
    assert list(exact) == ["f_adaptive", "f_max", "mae", "s_measure", "e_adaptive"]
    # each image has a threshold at which it is right, and no threshold is right for both
    brighter = np.stack([0.6 * masks[0], 0.4 + 0.5 * masks[1]])
    apart = [scores(brighter[i : i + 1], masks[i : i + 1])["f_max"] for i in range(2)]
    dimmer = np.stack([0.3 * masks[0], 0.4 + 0.5 * masks[1]])
    assert apart == [1, 1] and scores(brighter, masks)["f_max"] == 1
    assert scores(dimmer, masks)["f_max"] < 1
