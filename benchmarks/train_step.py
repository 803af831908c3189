"""Time a training step against lightly's SimCLR step and against the machine. Wants lightly.

    pip install lightly && python benchmarks/train_step.py

ResNet-18 at 64 pixels, batches of 128 images, one thread, in turns. Ours sees three views an image
(two and the clean one, with the attention loss), channels last; lightly's example
(examples/pytorch/simclr.py) two. Both times are an image of a view, both are taken in fp32 and,
where the processor has instructions for it, under autocast to bf16, and compared at equal precision
and each side's best. The machine's rate is that of a product of matrices, 2,048 a side, in the
better precision of the two; ours is that of the step's convolutions and products, counted by torch,
over all of its time. Leaves with status 1 if a limit is missed. Two to four minutes on one core.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

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
from attnlabels.pipeline.machine import processor
from attnlabels.processes.precision import Precision
from attnlabels.processes.world import World
from attnlabels.training.step import Step

SIZE, SIDE = 64, 2048
LEAST_FASTER, LEAST_SHARE = 1.0, 0.6
DTYPE = {"fp32": torch.float32, "bf16": torch.bfloat16}
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
    seconds, bounds = measure(
        lambda precision: lightly_step(
            SimCLRProjectionHead(512, 512, 128), NTXentLoss(), n=128, precision=precision
        ),
        n=128,
        rounds=5,
        precisions=precisions(processor()),
    )
    report(seconds, bounds)


def precisions(machine: str) -> list[Precision]:
    """Those that a processor, in the words of `processor`, has instructions for."""
    return ["fp32", "bf16"] if "AMX" in machine or "BF16" in machine else ["fp32"]


def measure(
    theirs: Callable[[Precision], Callable[[], object]],
    *,
    n: int,
    rounds: int,
    precisions: Sequence[Precision],
) -> tuple[dict[str, list[float]], list[Bound]]:
    """Seconds by step and round, and the bounds; `theirs` makes a step of a precision."""
    ways: dict[str, Callable[[], object]] = {}
    flops = {}
    for each in precisions:
        ours = our_step(n, precision=each)
        with FlopCounterMode(display=False) as counter:
            ours()
        flops[each] = counter.get_total_flops()
        left = torch.randn(SIDE, SIDE, dtype=DTYPE[each])
        ways |= {
            f"ours, {3 * n} images, {each}": ours,
            f"lightly's, {2 * n} images, {each}": theirs(each),
            f"product of matrices, {each}": partial(torch.mm, left, left),
        }
    seconds = in_turns(ways, rounds=rounds)
    times = list(seconds.values())
    ours_s, theirs_s, product_s = (dict(zip(precisions, times[i::3])) for i in range(3))
    bounds = [
        faster(f"at equal precision, {each}", ours_s[each], theirs_s[each]) for each in precisions
    ]
    mine, other = best(ours_s), best(theirs_s)
    if len(precisions) > 1:
        bounds.append(faster(f"{mine} over its {other}", ours_s[mine], theirs_s[other]))
    rates = [flops[mine] / a / (2 * SIDE**3 / b) for a, b in zip(ours_s[mine], product_s[mine])]
    return seconds, [
        *bounds,
        Bound(f"share of the machine's rate, {mine}", rates, LEAST_SHARE, True, ""),
    ]


def faster(how: str, ours: Sequence[float], theirs: Sequence[float]) -> Bound:
    """How many times as many images a second as lightly, of which ours are half as many again."""
    times = [3 / 2 * each for each in ratios(theirs, ours)]
    return Bound(f"images a second over lightly's, {how}", times, LEAST_FASTER, True, "")


def best(seconds: Mapping[Precision, Sequence[float]]) -> Precision:
    """The precision of the least time."""
    return min(seconds, key=lambda each: statistics.median(seconds[each]))


def our_step(n: int, *, precision: Precision) -> Callable[[], None]:
    """One update of the guided run, as src/train_simclr.py makes it."""
    torch.manual_seed(0)
    encoder = Encoder("resnet18", width=64, stem="imagenet", taps="stages", zero_init=True)
    attention = AttentionHead(select="local_mean_max", output="spatial_softmax", size=SIZE // 4)
    student = Student(
        encoder, projector(512, layers=2, n_outputs=128), attention, nn.Linear(512, 1000)
    )
    student.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.06, momentum=0.9)
    step = Step(student, optimizer, world=World(0, 1, torch.device("cpu")), precision=precision)
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
    head: nn.Module,
    criterion: Callable[[Tensor, Tensor], Tensor],
    *,
    n: int,
    precision: Precision,
) -> Callable[[], None]:
    """One update of lightly's example: two views, one after the other."""
    backbone = nn.Sequential(*list(resnet18().children())[:-1])
    model = nn.Sequential(backbone, nn.Flatten(), head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)
    views = [torch.rand(n, 3, SIZE, SIZE) for _ in range(2)]

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = criterion(*(model(view) for view in views))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    main()
