import numpy as np
import pytest
import torch
import torch.nn.functional as F

from attnlabels.images.crops import WHOLE, centre_box
from attnlabels.metrics.saliency import cc
from attnlabels.readouts.intermediates import Seen
from attnlabels.readouts.readouts import FLOOR, READOUTS, HeadShape, Linear, Looked, Prior, Refit

SHAPE = HeadShape(select="channel_mean", output="spatial_softmax", size=8)
REFIT = Refit(steps=100, kld_weight=1.0, nss_weight=0.1)


def stages_of(rng: np.random.Generator, n: int) -> list[torch.Tensor]:
    """Three stages of 2, 3 and 4 channels at 8 x 12, 4 x 6 and 2 x 3."""
    sizes = ((2, 8, 12), (3, 4, 6), (4, 2, 3))
    return [torch.from_numpy(rng.normal(size=(n, *size))).float() for size in sizes]


def looked_at(map: np.ndarray) -> Looked:
    """A map of the whole image with a point at its largest value."""
    peak = np.argwhere(map == map.max())[:1].astype(np.int16)
    return Looked(map.astype(np.float32), peak, map.shape, WHOLE)


@pytest.fixture
def decodable() -> tuple[Seen, torch.Tensor]:
    """Features, and maps >= 0 of mean 1 that are the same linear function of all of them."""
    rng = np.random.default_rng(0)
    stages = stages_of(rng, 20)
    weights = [torch.from_numpy(rng.normal(size=stage.shape[1])).float() for stage in stages]
    maps = sum(
        F.interpolate(torch.einsum("ncij,c->nij", stage, weight)[:, None], (8, 12), mode="bilinear")
        for stage, weight in zip(stages, weights)
    )[:, 0]
    maps = maps - maps.mean(dim=(1, 2), keepdim=True)
    # Each image's mean is the bias, so the line's features are to have none.
    stages = [stage - enlarged_mean(stage) for stage in stages]
    return Seen(stages, None), maps * 0.8 / maps.abs().max() + 1


def enlarged_mean(stage: torch.Tensor) -> torch.Tensor:
    """The mean of each channel once it is enlarged."""
    return F.interpolate(stage, (8, 12), mode="bilinear").mean(dim=(2, 3), keepdim=True)


def test_linear_decoding_recovers_a_map_that_is_linear_in_the_features(decodable):
    seen, maps = decodable
    readout = Linear()
    train = list(range(15))
    readout.learn(
        seen.of(train), [looked_at(maps[i].numpy()) for i in train], [i % 5 for i in train]
    )
    found = readout.fitted(range(5), development=0)(seen.of(range(15, 20)))
    torch.testing.assert_close(found, maps[15:], atol=1e-3, rtol=0)
    assert readout.lines[0].penalty < 1e-5


def test_linear_decoding_of_batches_is_that_of_all_at_once(decodable):
    seen, maps = decodable
    people = [looked_at(each.numpy()) for each in maps]
    at_once, by_four = Linear(), Linear()
    at_once.learn(seen, people, [i % 5 for i in range(20)])
    for first in range(0, 20, 4):
        rows = range(first, first + 4)
        by_four.learn(seen.of(rows), [people[i] for i in rows], [i % 5 for i in rows])
    one, other = (each.fitted([0, 1, 3], development=1)(seen) for each in (at_once, by_four))
    torch.testing.assert_close(one, other)


def test_a_linear_map_has_a_floor_above_nothing(decodable):
    seen, maps = decodable
    readout = Linear()
    readout.learn(seen, [looked_at(each.numpy()) for each in maps], [i % 2 for i in range(20)])
    larger = Seen([10 * stage for stage in seen.stages], None)
    assert float(readout.fitted([0, 1], development=0)(larger).min()) == pytest.approx(FLOOR)


def test_an_image_that_nobody_looked_at_inside_the_crop_is_no_row(decodable):
    seen, maps = decodable
    side = np.zeros((8, 12), np.float32)
    side[:, 0] = 1
    aside = Looked(side, np.zeros((1, 2), np.int16), (8, 12), centre_box(8, 12, 0.5))
    readout = Linear()
    readout.learn(seen.of([0, 1]), [looked_at(maps[0].numpy()), aside], [0, 1])
    assert list(readout.sums) == [0]
    with pytest.raises(ValueError, match="no image to choose a penalty by"):
        readout.fitted([0, 1], development=1)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_head_finds_the_stage_that_tells_where_people_look(scale):
    """However large the features are, at which a softmax would begin on one pixel alone."""
    rng = np.random.default_rng(0)
    stages = stages_of(rng, 12)
    maps = F.interpolate(stages[1].mean(dim=1, keepdim=True), (8, 8), mode="bilinear")[:, 0]
    maps = (3 * maps).softmax(dim=1).numpy()
    seen = Seen([scale * stage for stage in stages], None)
    head = READOUTS["head"](SHAPE, REFIT)
    head.learn(seen, [looked_at(each) for each in maps], [i % 3 for i in range(12)])
    read = head.fitted([0, 1], development=0)(seen)
    assert read.shape == (12, 8, 8)
    assert np.mean([cc(read[i].numpy(), maps[i]) for i in range(2, 12, 3)]) > 0.75


def test_the_norm_is_of_the_last_stages_channels():
    seen = Seen(stages_of(np.random.default_rng(0), 2), None)
    found = READOUTS["norm"](SHAPE, REFIT).fitted([0], development=0)(seen)
    torch.testing.assert_close(found, (seen.stages[2] ** 2).sum(dim=1).sqrt())


def test_the_class_tokens_attention_is_read_as_it_is_and_asked_of_no_other_network():
    read = READOUTS["class_token"](SHAPE, REFIT).fitted([0], development=0)
    stages, token = stages_of(np.random.default_rng(0), 2), torch.rand(2, 4, 4)
    assert read(Seen(stages, token)) is token
    with pytest.raises(ValueError, match="no class token's attention"):
        read(Seen(stages, None))


def test_the_prior_is_the_mean_of_the_maps_of_its_parts_alone():
    seen = Seen(stages_of(np.random.default_rng(0), 3), None)
    maps = np.zeros((3, 64, 64))
    maps[0, :32], maps[1, 32:], maps[2, :, :32] = 1, 5, 1
    prior = Prior()
    prior.learn(seen, [looked_at(each) for each in maps], [0, 1, 2])
    found = prior.fitted([0, 1], development=0)(seen)
    assert found.shape == (3, 64, 64)
    torch.testing.assert_close(found, torch.full((3, 64, 64), 2.0))


def test_a_part_without_a_map_inside_the_crop_teaches_the_prior_nothing():
    seen = Seen(stages_of(np.random.default_rng(0), 2), None)
    prior = Prior()
    prior.learn(seen, [looked_at(np.ones((64, 64))), looked_at(np.zeros((64, 64)))], [0, 1])
    torch.testing.assert_close(prior.fitted([0, 1], development=0)(seen), torch.ones(2, 64, 64))
    with pytest.raises(
        ValueError, match="no image to learn a prior from has a map inside the crop"
    ):
        prior.fitted([1], development=1)
