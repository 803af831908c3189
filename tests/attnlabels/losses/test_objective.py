import math

import pytest
import torch
import torch.nn.functional as F

from attnlabels.bottleneck import networks
from attnlabels.losses import attention, bottleneck, prediction, redundancy
from attnlabels.losses import harmonization as input_gradient
from attnlabels.losses.nt_xent import nt_xent
from attnlabels.losses.objective import (
    BOTTLENECK_TERMS,
    PAIR_TERMS,
    TERMS,
    VIEW_TERMS,
    Targets,
    objective,
    require_parts,
)
from attnlabels.models import classifier, student


def outputs(*, n=4, seed=0):
    torch.manual_seed(seed)
    leaves = [torch.randn(n, 6), torch.randn(n, 6), torch.randn(n, 2, 3), torch.rand(n, 5, 7)]
    leaves += [torch.randn(n, 6) for _ in range(4)]
    return student.Outputs(*(each.requires_grad_() for each in leaves))


def of_classifier(*, n=4):
    torch.manual_seed(0)
    leaves = torch.randn(n, 1, 3), torch.rand(n, 5, 7), torch.rand(n, 2, 4, 4), torch.randn(n, 8, 8)
    return classifier.Outputs(*(each.requires_grad_() for each in leaves))


def targets(*, n=4, temperature=0.2):
    generator = torch.Generator().manual_seed(9)
    fixations = torch.zeros(n, 5, 7)
    fixations[:, 1, 2] = fixations[:, 4, 6] = 1
    maps = torch.rand(n, 5, 7, generator=generator)
    view_maps = torch.rand(n, 8, 8, generator=generator)
    return Targets(torch.arange(n) % 3, maps, fixations, temperature, view_maps)


def of_bottleneck(*, n=4):
    torch.manual_seed(0)
    leaves = [torch.randn(n, 1, 3), torch.rand(n, 1, 4, 4), torch.rand(n, 4, 4)]
    leaves += [torch.rand(n, 2, 4, 4), torch.rand(n, 2, 4, 4)]
    leaves += [torch.randn(n, 2, 5), torch.rand(n, 2, 5)]
    return networks.Outputs(*(each.requires_grad_() for each in leaves))


def outputs_of(name):
    if name in BOTTLENECK_TERMS:
        return of_bottleneck()
    return of_classifier() if name in VIEW_TERMS else outputs()


def term(name, seen=None, against=None):
    return TERMS[name](seen or outputs_of(name), against or targets()).item()


def test_the_objective_is_the_weighted_sum_of_the_terms_it_names():
    weights = {"contrastive": 1.0, "kld": 0.5, "nss": 0.1, "probe": 2.0}
    total, terms = objective(outputs(), targets(), weights=weights)
    assert terms.keys() == weights.keys()
    expected = sum(weight * term(name) for name, weight in weights.items())
    assert total.item() == pytest.approx(expected, rel=1e-6)
    for name, value in terms.items():  # each by itself, not weighted
        assert value.item() == pytest.approx(term(name))


@pytest.mark.parametrize("name", sorted(TERMS))
def test_the_gradient_is_the_weight_times_that_of_the_term(name):
    one, three = outputs_of(name), outputs_of(name)
    TERMS[name](one, targets()).backward()
    objective(three, targets(), weights={name: 3.0})[0].backward()
    moved = 0
    for a, b in zip(one, three):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            torch.testing.assert_close(3 * a.grad, b.grad)
            moved += int(a.grad.ne(0).any())
    assert moved


@pytest.mark.parametrize(
    "name, read",
    [
        ("contrastive", {"z0", "z1"}),
        ("barlow_twins", {"z0", "z1"}),
        ("vicreg", {"z0", "z1"}),
        ("simsiam", {"p0", "p1"}),
        ("byol", {"p0", "p1"}),
        ("moco", {"p0", "p1"}),
        ("kld", {"attention"}),
        ("kld_reversed", {"attention"}),
        ("nss", {"attention"}),
        ("nss_unbiased", {"attention"}),
        ("probe", {"logits"}),
        ("unit_distance", {"attended"}),
        ("harmonization", {"gradient"}),
        ("classification_bits", {"logits"}),
        ("code_bits", {"code_mean", "code_deviation"}),
        ("code_bits_repository", {"code_mean", "code_deviation"}),
        ("mask_bits", {"attended", "mask_deviation"}),
        ("codebook", {"anchored"}),
        ("commitment", {"drawn"}),
    ],
)
def test_a_term_reads_its_own_outputs_alone(name, read):
    seen = outputs_of(name)
    TERMS[name](seen, targets()).backward()
    assert {key for key, each in seen._asdict().items() if each.grad is not None} == read


def test_an_image_without_a_map_of_its_view_has_no_gradient_and_counts_as_0():
    for name, read in (("unit_distance", "attended"), ("harmonization", "gradient")):
        seen, against = of_classifier(), targets()
        against.view_maps[1] = 0
        TERMS[name](seen, against).backward()
        grad = getattr(seen, read).grad
        assert grad[1].eq(0).all() and all(grad[i].ne(0).any() for i in (0, 2, 3))
    each = input_gradient.harmonization(seen.gradient, against.view_maps)
    assert term("harmonization", seen, against) == pytest.approx(each[[0, 2, 3]].sum().item() / 4)


def test_terms_are_their_losses_averaged_over_images():
    seen, against = outputs(), targets()
    assert term("contrastive") == nt_xent(seen.z0, seen.z1, temperature=0.2).item()
    for name, losses in (
        ("kld", attention.kld(seen.attention, against.maps)),
        ("nss", -attention.nss(seen.attention, against.fixations)),
    ):
        assert term(name) == pytest.approx(losses.mean().item())
    temperatures = [term("contrastive", against=targets(temperature=t)) for t in (0.1, 0.2)]
    assert temperatures[0] != temperatures[1]


def test_terms_of_a_bottleneck_are_bits_of_a_code_and_of_a_cell():
    seen, against = of_bottleneck(), targets()
    code = bottleneck.divergence(seen.code_mean, seen.code_deviation)
    assert term("code_bits", seen) == pytest.approx(code.sum().item() / 8)
    public = bottleneck.divergence_repository(seen.code_mean, seen.code_deviation)
    assert term("code_bits_repository", seen) == pytest.approx(public.sum().item() / 8)
    cells = bottleneck.divergence(seen.attended[:, 0], seen.mask_deviation)
    assert term("mask_bits", seen) == pytest.approx(cells.mean().item())
    told = term("classification_bits", seen, against) * math.log(2)
    assert told == pytest.approx(term("classification", seen, against))
    squares = (seen.anchored - seen.drawn).square().mean().item()
    assert term("codebook", seen) == term("commitment", seen) == pytest.approx(squares)


def test_terms_of_two_views_are_their_losses_with_the_papers_constants():
    seen = outputs()
    z, p, k = (seen.z0, seen.z1), (seen.p0, seen.p1), (seen.k0, seen.k1)
    paper = {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}
    for name, loss in (
        ("barlow_twins", redundancy.barlow_twins(*z, off_diagonal=0.005)),
        ("vicreg", redundancy.vicreg(*z, **paper)),
        ("simsiam", prediction.simsiam(*p, *z)),
        ("byol", prediction.byol(*p, *k)),
        ("moco", prediction.moco(*p, *k, temperature=0.2)),
    ):
        assert term(name) == loss.item()


def test_every_term_of_two_views_says_which_parts_it_needs():
    assert PAIR_TERMS.keys() <= TERMS.keys()
    for name, parts in PAIR_TERMS.items():
        require_parts([name, "kld"], parts)
    require_parts(["byol", "simsiam"], ["momentum", "predictor"])


@pytest.mark.parametrize(
    ("weights", "parts", "message"),
    [
        (["simsiam"], [], "simsiam needs a predictor, which the run does not give; add predictor"),
        (["kld", "byol"], ["predictor"], "byol needs a momentum, which the run does not give"),
        (["moco"], [], "moco needs a momentum and a predictor, .* add momentum and predictor to"),
        (["contrastive"], ["predictor"], "a predictor that none of .*; remove it .* simsiam or by"),
        (["simsiam"], ["predictor", "momentum"], "a momentum that none of .* weigh byol or moco"),
        (["kld"], ["momentum"], "gives a momentum that none of its terms reads"),
    ],
)
def test_a_part_that_is_missing_or_in_vain_is_named(weights, parts, message):
    with pytest.raises(ValueError, match=message):
        require_parts(weights, parts)


def test_nss_worked_by_hand_enters_with_a_minus():
    seen = outputs(n=1)._replace(attention=torch.tensor([[[0.0, 0.0], [0.0, 4.0]]]))
    at_the_peak = torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
    against = targets(n=1)._replace(fixations=at_the_peak)
    # mean 1, variance 3 by population and 4 unbiased
    assert term("nss", seen, against) == pytest.approx(-3 / math.sqrt(3))
    assert term("nss_unbiased", seen, against) == pytest.approx(-3 / 2)


def test_kld_reversed_is_kld_with_its_maps_exchanged():
    seen, against = outputs(), targets()
    exchanged = seen._replace(attention=against.maps), against._replace(maps=seen.attention)
    assert term("kld_reversed") == pytest.approx(term("kld", *exchanged), rel=1e-6)
    assert term("kld_reversed") != pytest.approx(term("kld"), rel=1e-3)


def test_kld_reversed_weighs_by_the_prediction():
    narrow, wide = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]]), torch.ones(1, 1, 4)
    seen = outputs(n=1)._replace(attention=narrow)
    against = targets(n=1)._replace(maps=wide)
    assert term("kld_reversed", seen, against) == pytest.approx(math.log(4), abs=1e-5)
    assert term("kld", seen, against) > 8  # three quarters fall where the prediction is 0


@pytest.mark.parametrize("name", ["kld", "kld_reversed"])
def test_an_image_without_a_map_has_no_gradient_and_counts_as_0(name):
    seen, against = outputs(), targets()
    against.maps[1] = 0
    TERMS[name](seen, against).backward()
    grad = seen.attention.grad
    assert grad[1].eq(0).all() and all(grad[i].ne(0).any() for i in (0, 2, 3))


def test_an_image_without_fixations_leaves_the_nss_and_keeps_its_kld():
    seen, against = outputs(n=2), targets(n=2)
    fixations = against.fixations.clone()
    fixations[1] = 0
    without = against._replace(fixations=fixations)
    first = -attention.nss(seen.attention[:1], against.fixations[:1]).item()
    assert term("nss", seen, without) == pytest.approx(first / 2)
    assert term("kld", seen, without) == term("kld", seen, against)


def test_probe_takes_each_label_for_both_views():
    seen, labels = outputs(), targets().labels
    each = [F.cross_entropy(seen.logits[i, v], labels[i]) for i in range(4) for v in range(2)]
    assert term("probe") == pytest.approx(sum(each).item() / 8, rel=1e-6)


@pytest.mark.parametrize(
    "weights, message",
    [
        ({"kld": 1.0, "kdl": 1.0}, r"no such terms: \['kdl'\]"),
        ({}, "the weights name no term"),
    ],
)
def test_weights_that_name_no_term_are_refused(weights, message):
    with pytest.raises(ValueError, match=f"{message}; expected some of .*'kld_reversed'"):
        objective(outputs(), targets(), weights=weights)


def test_a_term_that_is_not_finite_is_named():
    seen = outputs()
    seen = seen._replace(logits=seen.logits * torch.nan)
    with pytest.raises(FloatingPointError, match=r"not finite: \{'kld': [\d.]+, 'probe': nan\}"):
        objective(seen, targets(), weights={"kld": 1.0, "probe": 1.0})
    objective(seen, targets(), weights={"kld": 1.0})  # a term without weight is not computed


def test_a_weight_of_zero_does_not_hide_a_nan():
    seen = outputs()
    seen = seen._replace(logits=seen.logits * torch.nan)
    with pytest.raises(FloatingPointError, match="'probe': nan"):
        objective(seen, targets(), weights={"kld": 1.0, "probe": 0.0})
