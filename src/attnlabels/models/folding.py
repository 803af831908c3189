"""Batch normalisation folded into the convolution before it, for a network that no longer trains.

In evaluation a BN layer is one gain and one shift a channel, which the kernel and a bias of the
convolution can carry (Jacob et al., CVPR 2018, section 3.2): equal but for rounding, and a pass
over every map less. Folded weights may also be cast to bfloat16 as they stand; BN's statistics
would lose digits that matter.
"""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> None:
    """Fold, in place, each BN of `network` into the convolution registered right before it.

    So torchvision's and timm's ResNets register them (`conv1`, `bn1`, ...). Raises ValueError for
    a network in training, whose BN has statistics of the batch, and for a BN after anything else.
    """
    if network.training:
        raise ValueError("a network in training mode has no fixed BN to fold; call eval() first")
    for parent in network.modules():
        before: tuple[str, nn.Module] = ("", parent)
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                if not isinstance(before[1], nn.Conv2d):
                    raise ValueError(
                        f"{name} of {type(parent).__name__} follows no convolution, so it cannot "
                        "be folded into one"
                    )
                setattr(parent, before[0], fuse_conv_bn_eval(before[1], child))
                setattr(parent, name, nn.Identity())
            before = (name, child)
