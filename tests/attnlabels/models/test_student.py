import copy

import pytest
import torch
from torch import nn

from attnlabels.losses.nt_xent import nt_xent
from attnlabels.losses.objective import Targets, objective
from attnlabels.models.attention_head import AttentionHead
from attnlabels.models.encoder import Encoder, features
from attnlabels.models.projector import projector
from attnlabels.models.student import Student

ALL = {"contrastive": 1.0, "kld": 1.0, "nss": 0.1, "probe": 1.0}


@pytest.fixture(scope="module")
def fresh():
    """A small student; its blocks are no identity, so that gradients pass everywhere."""
    torch.manual_seed(0)
    encoder = Encoder("resnet10", width=8, stem="cifar", taps="stages", zero_init=False)
    return Student(
        encoder,
        projector(encoder.n_features, layers=2, n_outputs=16),
        AttentionHead(select="local_mean_max", output="spatial_softmax", size=8),
        nn.Linear(encoder.n_features, 3),
    )


@pytest.fixture
def student(fresh):
    return copy.deepcopy(fresh)


def batch(n=4):
    # 32 pixels: on a last stage of 2 x 2, a mean over 3 x 3 neighbours would be flat
    return torch.rand(3, n, 3, 32, 32, generator=torch.Generator().manual_seed(1)).unbind()


def targets(n=4):
    generator = torch.Generator().manual_seed(2)
    fixations = torch.zeros(n, 8, 8)
    fixations[:, 2, 3] = fixations[:, 5, 5] = 1
    maps = torch.rand(n, 8, 8, generator=generator)
    return Targets(torch.tensor([0, 1, 2, 0]), maps, fixations, temperature=0.1)


def gradients(student, *, stop_gradient, weights):
    """Of all parameters, after one backward pass of the weighted terms."""
    student = copy.deepcopy(student)
    outputs = student(*batch(), joint=True, stop_gradient=stop_gradient)
    loss, _ = objective(outputs, targets(), weights=weights)
    loss.backward()
    return {name: each.grad for name, each in student.named_parameters() if each.requires_grad}


def test_stop_gradient_baseline_trains_encoder_and_projector_exactly_as_simclr(student):
    baseline = gradients(student, stop_gradient=True, weights=ALL)
    plain = copy.deepcopy(student)
    n = 4
    h = features(plain.encoder(torch.cat(batch())))[: 2 * n]  # the clean images only in BN
    z0, z1 = plain.projector(h).chunk(2)
    nt_xent(z0, z1, temperature=0.1).backward()
    compared = 0
    for part in ("encoder", "projector"):
        for name, each in getattr(plain, part).named_parameters():
            if each.requires_grad:
                assert each.grad.ne(0).any(), name
                assert torch.equal(baseline[f"{part}.{name}"], each.grad), name
                compared += 1
    assert compared > 30


def test_guidance_changes_the_encoders_gradient_and_not_the_projectors(student):
    baseline = gradients(student, stop_gradient=True, weights=ALL)
    guided = gradients(student, stop_gradient=False, weights=ALL)
    for name, gradient in guided.items():
        same = torch.equal(gradient, baseline[name])
        assert same != name.startswith("encoder."), name


def test_the_attention_loss_reaches_the_head_alone_in_the_baseline(student):
    found = gradients(student, stop_gradient=True, weights={"kld": 1.0, "nss": 0.1})
    assert found["attention.readout.weight"].ne(0).all()
    others = [each for name, each in found.items() if not name.startswith("attention.")]
    assert all(each is None for each in others)


def test_the_attention_loss_reaches_the_whole_encoder_when_guided(student):
    found = gradients(student, stop_gradient=False, weights={"kld": 1.0, "nss": 0.1})
    for name, each in found.items():
        if name.startswith("encoder."):
            assert each.ne(0).any(), name
        elif not name.startswith("attention."):
            assert each is None, name


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_the_probes_loss_never_leaves_the_probe(student, stop_gradient):
    found = gradients(student, stop_gradient=stop_gradient, weights={"probe": 1.0})
    assert found["probe.weight"].ne(0).any()
    assert all(each is None for name, each in found.items() if not name.startswith("probe."))


def test_outputs_belong_to_their_views(student):
    view0, view1, clean = batch()
    student.eval()
    outputs = student(view0, view1, clean, joint=True, stop_gradient=False)
    for view, z, logits in (
        (view0, outputs.z0, outputs.logits[:, 0]),
        (view1, outputs.z1, outputs.logits[:, 1]),
    ):
        h = features(student.encoder(view))
        torch.testing.assert_close(student.projector(h), z, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(student.probe(h), logits, atol=1e-5, rtol=1e-4)
    attention = student.attention(student.encoder(clean))
    torch.testing.assert_close(outputs.attention, attention, atol=1e-5, rtol=1e-4)


def test_shapes(student):
    outputs = student(*batch(), joint=False, stop_gradient=True)
    assert outputs.z0.shape == outputs.z1.shape == (4, 16)
    assert outputs.logits.shape == (4, 2, 3) and outputs.attention.shape == (4, 8, 8)


def test_a_joint_pass_mixes_the_clean_images_into_the_statistics(student):
    joint, apart = copy.deepcopy(student), copy.deepcopy(student)
    together = joint(*batch(), joint=True, stop_gradient=True)
    alone = apart(*batch(), joint=False, stop_gradient=True)
    assert not torch.allclose(joint.encoder.bn1.running_mean, apart.encoder.bn1.running_mean)
    assert joint.encoder.bn1.num_batches_tracked == 1
    assert apart.encoder.bn1.num_batches_tracked == 2
    assert not torch.allclose(together.z0, alone.z0)
    # the views then are those of plain SimCLR, whose BN never sees a clean image
    plain = copy.deepcopy(student)
    h = features(plain.encoder(torch.cat(batch()[:2])))
    assert torch.equal(plain.projector(h), torch.cat([alone.z0, alone.z1]))


def test_without_batch_statistics_joint_or_not_is_the_same(student):
    student.eval()
    one, other = (student(*batch(), joint=j, stop_gradient=True) for j in (True, False))
    for a, b in zip(one, other):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_stopping_the_gradient_does_not_change_the_outputs(student):
    student.eval()
    one, other = (student(*batch(), joint=True, stop_gradient=s) for s in (True, False))
    assert all(torch.equal(a, b) for a, b in zip(one, other))
