import numpy as np
import pytest

from attnlabels.interpretation.likeness import errors, of_masks, read_masks
from painted import SIDE, write_painted


def test_the_top_five_are_told_of_more_than_five_classes() -> None:
    logits = np.tile(np.arange(7.0), (3, 1)).astype(np.float32)  # the last class is the largest
    found = errors(logits, np.array([6, 2, 1]))
    assert found == [
        {"top1_error": 0.0, "top5_error": 0.0},
        {"top1_error": 1.0, "top5_error": 0.0},
        {"top1_error": 1.0, "top5_error": 1.0},
    ]
    assert errors(logits[:, :5], np.array([4, 0, 4])) == [
        {"top1_error": 0.0},
        {"top1_error": 1.0},
        {"top1_error": 0.0},
    ]


def test_a_mask_with_nothing_inside_the_crop_is_left_out(tmp_path) -> None:
    folder = write_painted(tmp_path)
    folders = {name: folder / name for name in ("object", "part")}
    names = [f"{'abc'[i % 3]}/image{i}.png" for i in range(12)]
    masks = [read_masks(folders, name, size=(SIDE, SIDE), crop=0.2) for name in names]
    assert {len(each) for each in masks} == {0, 1, 2}


def test_shares_of_masks_come_with_their_chance() -> None:
    mask = np.zeros((4, 5), bool)
    mask[:2, :2] = True
    assert of_masks({"object": mask}) == {
        "share_object": 0.2,
        "chance_object": pytest.approx(0.2 / 1.8),
    }
