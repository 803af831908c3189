"""Time a training step against lightly's SimCLR step and against the machine. Wants lightly.

    pip install lightly && python benchmarks/train_step.py

ResNet-18 at 64 pixels, batches of 128 images, one thread, in turns. Ours sees three views an image
(two and the clean one, with the attention loss), in bfloat16 and channels last where the machine
has it; lightly's example (examples/pytorch/simclr.py) two, in float32. Both times are an image of
a view. The machine's rate is that of a product of bfloat16 matrices, 2,048 a side; ours is that of
the step's convolutions and products, counted by torch, over all of its time. Leaves with status 1
if a limit is missed. About two minutes on one core.
"""

from collections.abc import Callable, Sequence

import torch
from ratios import Bound, in_turns, ratios, report
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from attnlabels.losses.objective import Targets, objective
from attnlabels.models.attention_head import AttentionHead
from attnlabels.models.encoder import Encoder
from attnlabels.models.projector import projector
from attnlabels.models.student import Outputs, Student
from attnlabels.processes.world import World
from attnlabels.training.step import Step

SIZE, SIDE = 64, 2048
LEAST_FASTER, LEAST_SHARE = 1.7, 0.6
WEIGHTS = {"contrastive": 1.0, "kld": 1.0, "nss": 0.1, "probe": 1.0}


def main() -> None:
    try:
        from lightly.loss import NTXentLoss
        from lightly.models.modules import SimCLRProjectionHead
    except ImportError:
        raise SystemExit(
            "benchmarks/train_step.py: compares with lightly; pip install lightly"
        ) from None
    torch.set_num_threads(1)
    head = SimCLRProjectionHead(512, 512, 128)
    report(*measure(lightly_step(head, NTXentLoss(), n=128), n=128, rounds=5))


def measure(
    theirs: Callable[[], object], *, n: int, rounds: int
) -> tuple[dict[str, list[float]], list[Bound]]:
    ours = our_step(n)
    with FlopCounterMode(display=False) as counter:
        ours()
    left = torch.randn(SIDE, SIDE, dtype=torch.bfloat16)
    names = f"ours, {3 * n} images", f"lightly's, {2 * n} images", "product of matrices"
    seconds = in_turns(dict(zip(names, (ours, theirs, lambda: left @ left))), rounds=rounds)
    step, other, product = seconds.values()
    faster = [3 / 2 * each for each in ratios(other, step)]
    rates = [counter.get_total_flops() / a / (2 * SIDE**3 / b) for a, b in zip(step, product)]
    return seconds, [
        Bound("images a second over lightly's", faster, LEAST_FASTER, True, ""),
        Bound("share of the machine's rate", rates, LEAST_SHARE, True, ""),
    ]


def our_step(n: int) -> Callable[[], None]:
    """One update of the guided run, as src/train_simclr.py makes it."""
    torch.manual_seed(0)
    encoder = Encoder("resnet18", width=64, stem="imagenet", taps="stages", zero_init=True)
    attention = AttentionHead(select="local_mean_max", output="spatial_softmax", size=SIZE // 4)
    student = Student(
        encoder, projector(512, layers=2, n_outputs=128), attention, nn.Linear(512, 1000)
    )
    student.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.06, momentum=0.9)
    step = Step(student, optimizer, world=World(0, 1, torch.device("cpu")), precision="bf16")
    images = [torch.rand(n, SIZE, SIZE, 3).permute(0, 3, 1, 2) for _ in range(3)]
    maps = torch.rand(n, SIZE // 4, SIZE // 4)
    targets = [torch.arange(n), maps, (maps > 0.99).float()]

    def forward(model: nn.Module, *views: Tensor) -> Outputs:
        return model(*views, joint=True, stop_gradient=False)

    def loss(outputs: Outputs, rows: Sequence[Tensor]) -> Tensor:
        labels, maps, fixations = rows
        return objective(outputs, Targets(labels, maps, fixations, 0.1), weights=WEIGHTS)[0]

    return lambda: step(images, targets, forward=forward, loss=loss)


def lightly_step(
    head: nn.Module, criterion: Callable[[Tensor, Tensor], Tensor], *, n: int
) -> Callable[[], None]:
    """One update of lightly's example: two views, one after the other, in float32."""
    backbone = nn.Sequential(*list(resnet18().children())[:-1])
    model = nn.Sequential(backbone, nn.Flatten(), head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)
    views = [torch.rand(n, 3, SIZE, SIZE) for _ in range(2)]

    def step() -> None:
        loss = criterion(*(model(view) for view in views))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    main()
