"""Time a step of each self-supervised method against its plain counterpart in lightly.

    pip install lightly && python benchmarks/methods_step.py

ResNet-18 at 64 pixels, batches of 64 images, one thread, fp32, in turns. Ours is the step of
`train_simclr`, without attention: two views in one pass, channels last, and the concurrent probe.
lightly's is made of its own heads, losses and `update_momentum`, as its examples are, the views one
after the other; of MoCo v3, which it has not, of the same parts. Heads are equally wide on both
sides. Beside it what guidance costs: the same step with the clean view and its maps, an image of a
view, over the plain one. Leaves with status 1 if a limit is missed. Five minutes on one core.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ratios import Bound, in_turns, ratios, report
from torch import Tensor, nn
from torchvision.models import resnet18

from attnlabels.losses.objective import PAIR_TERMS, Targets, objective
from attnlabels.models.attention_head import AttentionHead
from attnlabels.models.encoder import Encoder
from attnlabels.models.projector import predictor, projector
from attnlabels.models.student import Momentum, Outputs, Student
from attnlabels.processes.world import World
from attnlabels.training.step import Step

SIZE, N, ROUNDS = 64, 64, 4
MOST = 1.1  # times lightly's step
HIDDEN, OUT = 1024, 256
HEADS: dict[str, dict[str, Any]] = {  # of ours; lightly's are as wide
    "contrastive": {"layers": 2, "n_outputs": OUT},
    "barlow_twins": {"layers": 3, "n_hidden": HIDDEN, "n_outputs": HIDDEN, "norm": "none"},
    "vicreg": {"layers": 3, "n_hidden": HIDDEN, "n_outputs": HIDDEN, "norm": "none"},
    "simsiam": {"layers": 3, "n_hidden": HIDDEN, "n_outputs": OUT, "norm": "plain"},
    "byol": {"layers": 2, "n_hidden": HIDDEN, "n_outputs": OUT, "norm": "none"},
    "moco": {"layers": 2, "n_hidden": HIDDEN, "n_outputs": OUT, "norm": "none"},
}

Way = Callable[[], object]


def main() -> None:
    try:
        theirs = lightly_steps()
    except ImportError:
        raise SystemExit(
            "benchmarks/methods_step.py: compares with lightly; pip install lightly"
        ) from None
    torch.set_num_threads(1)
    report(*measure(theirs, n=N, rounds=ROUNDS))


def measure(
    theirs: Mapping[str, Callable[[int], Way]], *, n: int, rounds: int
) -> tuple[dict[str, list[float]], list[Bound]]:
    """Seconds by step and round, and the bounds; `theirs` make a step of n images by its term.

    A method at a time, so that three networks are in memory and not eighteen.
    """
    seconds: dict[str, list[float]] = {}
    bounds = []
    for term, make in theirs.items():
        plain, guided, other = f"{term}, plain", f"{term}, guided", f"{term}, lightly's"
        ways = {
            plain: our_step(term, n, guided=False),
            guided: our_step(term, n, guided=True),
            other: make(n),
        }
        taken = in_turns(ways, rounds=rounds)
        seconds |= taken
        over = ratios(taken[plain], taken[other])
        bounds.append(Bound(f"{term}, over lightly's", over, MOST, False, ""))
        times = [2 / 3 * each for each in ratios(taken[guided], taken[other])]
        bounds.append(Bound(f"{term}, guided, an image of a view", times, MOST, False, ""))
    return seconds, bounds


def our_step(term: str, n: int, *, guided: bool) -> Way:
    """One update of a run of that term, as src/train_simclr.py makes it."""
    torch.manual_seed(0)
    encoder = Encoder("resnet18", width=64, stem="imagenet", taps="stages", zero_init=True)
    head = projector(512, **HEADS[term])
    parts, out = PAIR_TERMS[term], HEADS[term]["n_outputs"]
    student = Student(
        encoder,
        head,
        AttentionHead(select="local_mean_max", output="spatial_softmax", size=SIZE // 4),
        nn.Linear(512, 1000),
        predictor=predictor(out, n_hidden=HIDDEN) if "predictor" in parts else None,
        momentum=Momentum(encoder, head) if "momentum" in parts else None,
    )
    student.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.06, momentum=0.9)
    step = Step(student, optimizer, world=World(0, 1, torch.device("cpu")), precision="fp32")
    images = [torch.rand(n, SIZE, SIZE, 3).permute(0, 3, 1, 2) for _ in range(3 if guided else 2)]
    maps = torch.rand(n, SIZE // 4, SIZE // 4)
    targets = [torch.arange(n), maps, (maps > 0.99).float()]
    weights = {term: 1.0, "probe": 1.0} | ({"kld": 1.0, "nss": 0.1} if guided else {})

    def forward(model: nn.Module, *views: Tensor) -> Outputs:
        return model(*views, joint=True, stop_gradient=False)

    def loss(outputs: Outputs, rows: Sequence[Tensor]) -> Tensor:
        labels, maps, fixations = rows
        return objective(outputs, Targets(labels, maps, fixations, 0.1), weights=weights)[0]

    def update() -> None:
        step(images, targets, forward=forward, loss=loss)
        if student.momentum is not None:
            student.momentum.follow(student, momentum=0.99)

    return update


def lightly_steps() -> dict[str, Callable[[int], Way]]:
    """How each method's step of n images is made with lightly."""
    from lightly.loss import BarlowTwinsLoss, NegativeCosineSimilarity, NTXentLoss, VICRegLoss
    from lightly.models.modules import heads
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    cosine = NegativeCosineSimilarity()
    plain = {
        "contrastive": (heads.SimCLRProjectionHead(512, 512, OUT), NTXentLoss()),
        "barlow_twins": (heads.BarlowTwinsProjectionHead(512, HIDDEN, HIDDEN), BarlowTwinsLoss()),
        "vicreg": (heads.VICRegProjectionHead(512, HIDDEN, HIDDEN, num_layers=3), VICRegLoss()),
    }
    predicting = {
        "simsiam": (heads.SimSiamProjectionHead(512, HIDDEN, OUT), cosine, False),
        "byol": (heads.BYOLProjectionHead(512, HIDDEN, OUT), cosine, True),
        "moco": (heads.BYOLProjectionHead(512, HIDDEN, OUT), NTXentLoss(), True),
    }

    def of_pairs(head: nn.Module, criterion: Any) -> Callable[[int], Way]:
        return lambda n: lightly_step(head, lambda z0, z1: criterion(z0, z1), n=n)

    def of_predictions(head: nn.Module, criterion: Any, follows: bool) -> Callable[[int], Way]:
        def make(n: int) -> Way:
            return lightly_predicting_step(
                head,
                heads.BYOLPredictionHead(OUT, HIDDEN, OUT),
                criterion,
                n=n,
                update_momentum=update_momentum if follows else None,
                freeze=deactivate_requires_grad,
            )

        return make

    made = {term: of_pairs(*parts) for term, parts in plain.items()}
    return made | {term: of_predictions(*parts) for term, parts in predicting.items()}


def lightly_step(head: nn.Module, criterion: Callable[..., Tensor], *, n: int) -> Way:
    """One update of lightly's examples of a loss of two projections."""
    model = backbone_with(head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)
    views = [torch.rand(n, 3, SIZE, SIZE) for _ in range(2)]

    def step() -> None:
        loss = criterion(*(model(view) for view in views))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def lightly_predicting_step(
    head: nn.Module,
    predict: nn.Module,
    criterion: Callable[..., Tensor],
    *,
    n: int,
    update_momentum: Callable[..., None] | None,
    freeze: Callable[[nn.Module], None],
) -> Way:
    """One update of lightly's examples of SimSiam and, with `update_momentum`, of BYOL."""
    model = backbone_with(head)
    target = model
    if update_momentum is not None:
        target = copy.deepcopy(model)
        freeze(target)
    optimizer = torch.optim.SGD([*model.parameters(), *predict.parameters()], lr=0.06)
    views = [torch.rand(n, 3, SIZE, SIZE) for _ in range(2)]

    def step() -> None:
        if update_momentum is not None:
            update_momentum(model, target, m=0.99)
        z = [model(view) for view in views]
        p = [predict(each) for each in z]
        k = [each.detach() for each in (z if target is model else map(target, views))]
        loss = 0.5 * (criterion(p[0], k[1]) + criterion(p[1], k[0]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def backbone_with(head: nn.Module) -> nn.Module:
    """ResNet-18 without its classifier, and a head."""
    backbone = nn.Sequential(*list(resnet18().children())[:-1])
    return nn.Sequential(backbone, nn.Flatten(), head)


if __name__ == "__main__":
    main()
