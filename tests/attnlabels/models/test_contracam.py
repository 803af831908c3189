import pytest
import torch
import torch.nn.functional as F
from torch import nn

from attnlabels.losses.attention import kld, nss
from attnlabels.models.contracam import contracam, queries
from attnlabels.models.projector import projector

N, C, D, SIDE = 5, 6, 4, 3


def maps(n: int = N, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A last stage: maps after a ReLU."""
    torch.manual_seed(seed)
    return torch.randn(n, C, SIDE, SIDE, dtype=dtype).relu()


@pytest.fixture
def project() -> nn.Module:
    """A projector in evaluation, with statistics of such maps."""
    torch.manual_seed(1)
    head = projector(C, layers=2, n_outputs=D).double()
    for seed in range(20):
        head(maps(seed=seed).mean(dim=(2, 3)))
    return head.eval()


def alone(stage, project, **keywords):
    """ContraCAM where the images given are the whole batch."""
    keys = queries(stage, project).detach()
    return contracam(
        stage, project, **{"second_order": False, "negatives": keys, "own": slice(None)} | keywords
    )


def score(stage, keys, n, project):
    """The score of image n, whose maps are [c, i, j], term by term."""
    z = project(stage.mean(dim=(1, 2)).unsqueeze(0))[0]
    q = z / z.norm()
    others = sum((q @ keys[m]).exp() for m in range(len(keys)) if m != n)
    return ((q @ keys[n]).exp() / others).log()


def weights(stage, keys, n, project, **keywords):
    (slope,) = torch.autograd.grad(score(stage, keys, n, project), stage, **keywords)
    return slope.mean(dim=(1, 2)).clamp(min=0)


def by_the_definition(stage, project):
    """One image after the other, with the derivative by every pixel of its maps."""
    keys = torch.stack([F.normalize(project(each.mean((1, 2))[None]), dim=1)[0] for each in stage])
    keys, cams = keys.detach(), []
    for n, each in enumerate(stage):
        each = each.detach().requires_grad_()
        alpha = weights(each, keys, n, project)
        cam = sum(a * channel for a, channel in zip(alpha, each.detach())).clamp(min=0)
        cams.append(cam / cam.max())
    return torch.stack(cams)


def scaled(cam):
    return cam / cam.amax(dim=(1, 2), keepdim=True)


def by_the_public_code(stage, project):
    """With both of its oddities: positives summed over the batch, selves among the negatives."""
    stage = stage.detach().requires_grad_()
    q = F.normalize(project(stage.mean(dim=(2, 3))), dim=1)
    positive = (q * q.detach()).sum(1).exp().sum()
    negative = ((q @ q.detach().T) * (1 - torch.eye(len(q)))).exp().sum(1)
    (slope,) = torch.autograd.grad((positive / negative).log().sum(), stage)
    alpha = slope.mean(dim=(2, 3), keepdim=True).clamp(min=0)
    return scaled((alpha * stage.detach()).sum(1).clamp(min=0))


def test_equals_the_definition_image_by_image(project):
    stage = maps()
    expected = by_the_definition(stage, project)
    torch.testing.assert_close(alone(stage, project), expected, rtol=1e-10, atol=1e-14)
    assert expected.std(dim=(1, 2)).min() > 0.1


def test_equals_the_public_code_with_its_oddities(project):
    expected = by_the_public_code(maps(), project)
    torch.testing.assert_close(alone(maps(), project), expected, rtol=1e-10, atol=1e-14)


def test_the_first_order_gradient_is_that_with_alpha_constant(project):
    stage, up = maps().requires_grad_(), torch.randn(N, SIDE, SIDE, dtype=torch.float64)
    (found,) = torch.autograd.grad((alone(stage, project) * up).sum(), stage)
    keys = queries(stage, project).detach()
    alpha = torch.stack(
        [
            weights(each, keys, n, project)
            for n, each in enumerate(stage.detach().requires_grad_().unbind())
        ]
    )
    cam = scaled(torch.einsum("nc,ncij->nij", alpha.detach(), stage).clamp(min=0))
    (expected,) = torch.autograd.grad((cam * up).sum(), stage)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)
    assert found.any()


def test_the_second_order_gradient_is_that_of_finite_differences(project):
    stage = (maps() + 0.05).requires_grad_()
    keys = queries(stage, project).detach()
    own, project = slice(1, 4), project.requires_grad_(False)

    def cam(stage):
        return contracam(stage, project, negatives=keys, own=own, second_order=True)

    assert torch.autograd.gradcheck(cam, stage[own].detach().requires_grad_())


def test_the_second_order_gradient_sees_the_curvature_of_the_positive_term(project):
    stage = maps().requires_grad_()
    keys = queries(stage, project).detach()
    up = torch.randn(N, SIDE, SIDE, dtype=torch.float64)
    alpha = torch.stack(
        [
            weights(each, keys, n, project, create_graph=True)
            for n, each in enumerate(stage.unbind())
        ]
    )
    cam = scaled(torch.einsum("nc,ncij->nij", alpha, stage).clamp(min=0))
    (expected,) = torch.autograd.grad((cam * up).sum(), stage)
    (found,) = torch.autograd.grad((alone(stage, project, second_order=True) * up).sum(), stage)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)


def test_the_projector_gets_a_gradient_in_second_order_alone(project):
    first, second = (alone(maps().requires_grad_(), project, second_order=o) for o in (False, True))
    torch.testing.assert_close(first, second)
    first.sum().backward()
    assert all(each.grad is None for each in project.parameters())
    second.sum().backward()
    assert project.linear0.weight.grad.any()


def test_the_order_of_images_is_that_of_maps(project):
    stage, order = maps(), torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(alone(stage[order], project), alone(stage, project)[order])


def test_parts_of_a_batch_have_the_maps_of_the_whole(project):
    stage = maps()
    keys = queries(stage, project)
    parts = [
        contracam(stage[own], project, negatives=keys, own=own, second_order=False)
        for own in (slice(0, 2), slice(2, N))
    ]
    torch.testing.assert_close(torch.cat(parts), alone(stage, project))


@pytest.mark.parametrize("second_order", [False, True])
def test_a_caller_without_gradients_gets_the_same_maps_and_no_graph(project, second_order):
    expected = alone(maps(), project)
    with torch.no_grad():
        found = alone(maps().requires_grad_(), project, second_order=second_order)
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad and not torch.is_inference(found)
    assert all(each.grad is None for each in project.parameters())


def test_negatives_are_constant(project):
    stage = maps().requires_grad_()
    keys = queries(stage, project)
    contracam(
        stage.detach(), project, negatives=keys, own=slice(None), second_order=True
    ).sum().backward()
    assert stage.grad is None


def test_half_precision_is_computed_in_single(project):
    stage, project = maps(dtype=torch.float32), project.float()
    rounded = stage.bfloat16()
    expected = alone(rounded.float(), project)
    with torch.autocast("cpu", torch.bfloat16):
        found = alone(rounded, project)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_an_image_that_nothing_tells_apart_has_the_map_0_and_a_finite_loss_without_gradient():
    stage = maps(dtype=torch.float32)[:1].repeat(2, 1, 1, 1).requires_grad_()
    cam = contracam(  # features that only ever speak for the others' projection
        stage,
        lambda means: means,
        negatives=F.normalize(-stage.detach().mean((2, 3)), dim=1),
        own=slice(None),
        second_order=False,
    )
    assert not cam.any()
    target = torch.rand(2, SIDE, SIDE)
    loss = kld(cam, target).sum() - nss(cam, (target > 0.5).float()).sum()
    loss.backward()
    assert loss.isfinite() and not stage.grad.any()


def test_one_image_has_no_others_to_be_told_from(project):
    with pytest.raises(ValueError, match="the batch has 1; take batches of at least 2"):
        alone(maps(1), project)


def test_negatives_that_are_not_of_these_images_are_refused(project):
    keys = queries(maps(), project)
    with pytest.raises(ValueError, match=r"slice\(3, 6, None\) of 5 negatives are not these 5"):
        contracam(maps(), project, negatives=keys, own=slice(3, 6), second_order=False)
