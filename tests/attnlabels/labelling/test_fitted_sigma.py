import pytest
import torch
from torch import nn

from attnlabels.labelling.fitted_sigma import fit_sigma, mean_count, reduced

SIZE, SIGMA_PX = (96, 128), (6.0, 6.0)


def hills(wide: float, seed: int) -> torch.Tensor:
    """Three hills, `wide` times as wide as people's."""
    places = torch.rand(3, 2, generator=torch.Generator().manual_seed(seed))
    rows, cols = (torch.arange(side).float() for side in SIZE)
    each = [
        torch.exp(-((rows - y * SIZE[0]) ** 2) / (2 * (wide * SIGMA_PX[0]) ** 2))[:, None]
        * torch.exp(-((cols - x * SIZE[1]) ** 2) / (2 * (wide * SIGMA_PX[1]) ** 2))
        for y, x in places.tolist()
    ]
    return torch.stack(each).sum(0)


class Unsure(nn.Module):
    """Knows where people look, but draws it `wide` times as wide."""

    def __init__(self, wide: float) -> None:
        super().__init__()
        self.wide = nn.Parameter(torch.tensor(wide))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seeds = (images[:, 0, 0, 0] * 255).round().int().tolist()
        return torch.stack([hills(float(self.wide), seed) for seed in seeds])


@pytest.mark.parametrize("wide", [1.0, 1.5, 2.5])
def test_maps_give_as_many_points_as_peoples_with_the_sigma_that_is_fitted(wide):
    images = [torch.full((*SIZE, 3), seed, dtype=torch.uint8) for seed in range(12)]
    densities = [hills(1.0, seed) for seed in range(12)]
    down, across = fit_sigma(Unsure(wide), images, densities, sigma_px=SIGMA_PX, batch_size=5)
    assert down == across and 0.8 * wide < down / SIGMA_PX[0] < 1.1 * wide
    people = mean_count(reduced(torch.stack(densities)), sigma_px=(1.5, 1.5))
    drawn = reduced(torch.stack([hills(wide, seed) for seed in range(12)]))
    assert mean_count(drawn, sigma_px=(down / 4, across / 4)) == pytest.approx(people, abs=0.35)
    if wide > 1:
        assert mean_count(drawn, sigma_px=(1.5, 1.5)) > 1.3 * people


def test_where_no_sigma_fits_it_says_so(caplog):
    images = [torch.full((*SIZE, 3), seed, dtype=torch.uint8) for seed in range(4)]
    hundred = torch.zeros(SIZE)
    hundred[::8, ::8] = 1.0
    down, _ = fit_sigma(Unsure(1.0), images, [hundred] * 4, sigma_px=SIGMA_PX, batch_size=4)
    assert down == pytest.approx(0.5 * SIGMA_PX[0], rel=0.01)
    assert "fitted σ: no σ from 0.5 to 8 times" in caplog.text
    caplog.clear()
    fit_sigma(
        Unsure(1.5), images, [hills(1.0, i) for i in range(4)], sigma_px=SIGMA_PX, batch_size=4
    )
    assert not caplog.text
