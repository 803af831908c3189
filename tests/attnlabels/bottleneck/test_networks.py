import pytest
import torch
import torch.nn.functional as F

from attnlabels.bottleneck.networks import LOW, Attention, fixed_noise, numbers_needed
from attnlabels.masks import centre, learnt
from bottlenecks import config_of, images, network_of


def noise(n: int, numbers: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(n, numbers, generator=torch.Generator().manual_seed(seed))


def maps(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 4, 3, 3, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_a_mask_is_drawn_about_its_mean_by_a_deviation_that_is_made_of_the_mean():
    attention, given = Attention(learnt.Mask(4), noisy=True, anchors=None), noise(2, 5 * 9)
    found = attention(maps(), given)
    assert found.drawn.shape == (2, 5, 3, 3) and found.anchored.numel() == 0
    mean = attention.mask(maps())
    deviation = F.softplus(attention.deviation(mean[:, None])[:, 0] - LOW)
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.deviation, deviation)
    expected = mean[:, None] + deviation[:, None] * given.view(2, 5, 3, 3)
    torch.testing.assert_close(found.drawn, expected)
    assert found.deviation.max() < 0.02  # nearly its mean at first
    torch.testing.assert_close(found.used, found.drawn)


@torch.no_grad()
@pytest.mark.parametrize(
    ("mask", "noisy"), [(learnt.Mask(4), False), (centre.Mask(4, share=0.5), True)]
)
def test_a_mask_that_is_not_drawn_is_its_mean(mask, noisy):
    attention = Attention(mask, noisy=noisy, anchors=None)
    found = attention(maps(), noise(2, 0))
    assert found.deviation.numel() == 0 and attention.deviation is None
    torch.testing.assert_close(found.used, mask(maps())[:, None])


def test_quantised_values_are_the_nearest_anchors_and_the_gradient_passes_by():
    attention = Attention(learnt.Mask(4), noisy=False, anchors=5)
    torch.testing.assert_close(attention.anchors.detach(), torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    found = attention(maps(), noise(2, 0))
    nearest = (found.drawn * 4).round() / 4
    torch.testing.assert_close(found.used, nearest)
    torch.testing.assert_close(found.anchored, nearest)
    (slope,) = torch.autograd.grad(found.used.sum(), found.drawn, retain_graph=True)
    assert (slope == 1).all()
    found.anchored.sum().backward()
    assert attention.anchors.grad.sum() == found.anchored.numel()
    assert attention.mask.mean.weight.grad is None


@torch.no_grad()
def test_features_are_stressed_by_the_mask_and_the_code_is_all_that_passes():
    network = network_of().eval()
    encoder, shown = network.encoder, images()
    given = noise(3, 2 * 64 + 4 * 5)
    passed = encoder.look(shown, given)
    features = encoder.trunk.between(shown, 0, 2)
    assert features.shape == (3, 8, 8, 8)
    decoded = []
    of_masks, of_codes = given.split([128, 20], dim=1)
    for t in range(2):
        mask = encoder.attention(features, of_masks[:, 64 * t : 64 * (t + 1)]).drawn
        last = encoder.trunk.between(features + features * mask, 2, 4).mean(dim=(2, 3))
        mean, raw = encoder.statistics(last).chunk(2, dim=1)
        for u in range(2):
            first = 5 * (2 * t + u)
            z = mean + F.softplus(raw - LOW) * of_codes[:, first : first + 5]
            decoded.append(encoder.decoder(z))
    torch.testing.assert_close(passed.decoded, torch.stack(decoded).mean(dim=0))
    logits = torch.stack([network.probe(each) for each in decoded]).mean(dim=0)
    torch.testing.assert_close(network(shown, given).logits[:, 0], logits)


@torch.no_grad()
def test_a_mask_that_is_not_applied_is_told_and_changes_nothing():
    beside, without = network_of(applied=False).eval(), network_of(mask=None).eval()
    given, of_codes = noise(3, 2 * 64 + 4 * 5), noise(3, 2 * 5)
    for name, each in without.state_dict().items():
        each.copy_(beside.state_dict()[name])
    passed, plain = beside.encoder.look(images(), given), without.encoder.look(images(), of_codes)
    torch.testing.assert_close(passed.features, plain.features)
    for t in range(2):
        torch.testing.assert_close(passed.code_mean[:, t], plain.code_mean[:, 0])
    assert passed.mask.drawn.shape == (3, 2, 8, 8) and passed.mask.mean.std() > 0


def test_training_draws_other_numbers_than_scoring_and_says_how_many():
    for how, numbers in (
        ({}, 64 + 5),
        ({"samples": 3}, 3 * 64 + 9 * 5),
        ({"mask": None}, 5),
        ({"mask": "centre", "mask_options": {"share": 0.5}, "samples": 2}, 2 * 5),
        ({"noisy": False}, 0),
        ({"stage": 3}, 16 + 5),
    ):
        network = network_of(**how).train()
        assert numbers_needed(config_of(**how)) == numbers
        out = network(images(), noise(3, numbers))
        assert out.logits.shape == (3, 1, 3)
        assert len({*map(len, out)}) == 1


@torch.no_grad()
def test_what_is_scored_depends_on_no_other_image_and_on_no_call():
    network, shown = network_of().eval(), images(4)
    whole = network.encoder(shown)
    torch.testing.assert_close(network.encoder(shown[2:3]).pooled, whole.pooled[2:3])
    torch.testing.assert_close(network.encoder(shown).pooled, whole.pooled, rtol=0, atol=0)
    assert whole.mask.shape == (4, 8, 8)
    assert torch.equal(fixed_noise(7), fixed_noise(7))


def test_every_weight_learns():
    network = network_of(anchors=3).train()
    out = network(images(), noise(3, 69))
    total = sum(each.square().sum() for each in out if each.requires_grad)
    total.backward()
    for name, each in network.named_parameters():
        assert each.grad is not None and each.grad.ne(0).any(), name


def test_without_noise_or_mask_nothing_is_left_of_either():
    out = network_of(mask=None, noisy=False)(images())
    for name in ("attended", "mask_deviation", "drawn", "anchored", "code_deviation"):
        assert getattr(out, name).numel() == 0 and len(getattr(out, name)) == 3
    assert out.code_mean.shape == (3, 1, 5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"mask": "no_such"}, "no mask 'no_such': expected a module of attnlabels.masks"),
        ({"mask": "_x"}, "no mask '_x'"),
        (
            {"mask": "learnt", "mask_options": {"share": 1}},
            "mask_options of the mask learnt: .*share",
        ),
        ({"mask": "centre"}, "mask_options of the mask centre: .*'share'"),
        ({"stage": 4}, "behind stage 4; expected 1 to 3"),
        ({"stage": 0}, "behind stage 0; expected 1 to 3"),
    ],
)
def test_what_is_not_there_is_refused(how, message):
    with pytest.raises(ValueError, match=message):
        network_of(**how)
