import math

import pytest
import torch

from attnlabels.losses.collapse import collapsed, collapsed_mask, spread_of_masks


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"spread": 0.001, "contrastive": 3.0}, "collapsed to a point"),
        ({"spread": 0.5, "contrastive": 2 * math.log(15)}, "no better than chance"),
        ({"spread": 0.5, "contrastive": 3.0}, ""),
        ({"spread": 0.5}, ""),
    ],
)
def test_a_collapse_is_seen(row, why):
    assert why in collapsed(row, n=8) and bool(why) == bool(collapsed(row, n=8))


@pytest.mark.parametrize(
    ("masks", "why"),
    [
        (lambda drawn: torch.full_like(drawn, 0.3), "the same in all cells"),
        (lambda drawn: drawn[:1].expand(6, -1, -1), "the same for all images"),
        (lambda drawn: 0.5 + 0.001 * drawn, "the same in all cells"),
        (lambda drawn: drawn, ""),
    ],
)
def test_a_mask_that_chooses_nothing_or_looks_at_nothing_has_collapsed(masks, why):
    drawn = torch.rand(6, 5, 5, generator=torch.Generator().manual_seed(0))
    row = {key: value.item() for key, value in spread_of_masks(masks(drawn)).items()}
    assert why in collapsed_mask(row) and bool(why) == bool(collapsed_mask(row))


@pytest.mark.parametrize(
    "own",
    [lambda drawn: 0.3 * drawn[:, :1, :1], lambda drawn: 0.5 * (1 + drawn[:, :1, :1])],
    ids=["brighter", "stronger"],
)
def test_a_pattern_that_all_images_share_has_collapsed_however_strong_it_is_in_each(own):
    drawn = torch.rand(6, 5, 5, generator=torch.Generator().manual_seed(0))
    each, pattern = own(drawn), drawn[:1]
    for masks in (pattern + each, pattern * each):
        row = {key: value.item() for key, value in spread_of_masks(masks).items()}
        assert row["mask_likeness"] == pytest.approx(1, abs=1e-5)
        assert "the same for all images" in collapsed_mask(row)


def test_the_spread_of_masks_is_over_cells_and_their_likeness_over_pairs_of_images():
    drawn = torch.rand(6, 5, 5, generator=torch.Generator().manual_seed(0))
    found = spread_of_masks(drawn)
    assert found["mask_spread"].item() == pytest.approx(
        sum(each.std().item() for each in drawn) / 6
    )
    pairs = torch.corrcoef(drawn.flatten(1))
    mean = (pairs.sum() - pairs.trace()).item() / 30
    assert found["mask_likeness"].item() == pytest.approx(mean, abs=1e-6)
