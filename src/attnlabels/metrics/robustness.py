"""Corruption errors of ImageNet-C (Hendrycks and Dietterich, ICLR 2019, section 4)."""

from collections.abc import Iterable, Mapping
from statistics import fmean

# Top-1 error of AlexNet, the mean over the five severities; normalises the mean corruption error.
# Digits as in OpenMMLab's metric `CorruptionError`. None is known for the four extra corruptions.
ALEXNET_ERROR = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
ALEXNET_CLEAN_ERROR = 0.435  # the paper's Table 1; torchvision's weights err on 0.4348

Top1 = Mapping[str, Mapping[int, float]]  # accuracy, 0..1, by corruption and severity 1..5


def mce(top1: Top1) -> float:
    """Mean corruption error over the 15 standard corruptions; 1 is as bad as AlexNet.

    CE_c = sum_s E_sc / sum_s E_sc(AlexNet); corruptions beyond the 15 are left out.
    """
    error = {c: 1 - mean for c, mean in mean_by_corruption(top1).items()}
    return fmean(error[c] / ALEXNET_ERROR[c] for c in _standard(error))


def relative_mce(top1: Top1, *, clean: float) -> float:
    """`mce` of what corruption adds to the error on clean images; `clean` is their accuracy.

    CE_c = sum_s (E_sc - E_clean) / sum_s (E_sc(AlexNet) - E_clean(AlexNet)).
    """
    _require_accuracy(clean, "the clean accuracy")
    added = {c: clean - mean for c, mean in mean_by_corruption(top1).items()}
    return fmean(added[c] / (ALEXNET_ERROR[c] - ALEXNET_CLEAN_ERROR) for c in _standard(added))


def mean_by_corruption(top1: Top1) -> dict[str, float]:
    """Each corruption's accuracy, the mean over its five severities.

    Raises ValueError naming the corruption if a severity is missing or a value is no accuracy.
    """
    for corruption, by_severity in top1.items():
        if sorted(by_severity) != [1, 2, 3, 4, 5]:
            raise ValueError(
                f"{corruption} has the severities {sorted(by_severity)}, expected 1 to 5; "
                "score all five"
            )
        for severity, accuracy in by_severity.items():
            _require_accuracy(accuracy, f"{corruption} at severity {severity}")
    return {corruption: fmean(top1[corruption].values()) for corruption in top1}


def mean_top1(top1: Top1, corruptions: Iterable[str]) -> float:
    """Mean accuracy over `corruptions` and all their severities."""
    means = mean_by_corruption(top1)
    return fmean(means[c] for c in _present(means, corruptions))


def retained(top1: Top1, *, clean: float) -> float:
    """The share of the clean accuracy that is left on the 15 standard corruptions."""
    _require_accuracy(clean, "the clean accuracy")
    if clean == 0:
        raise ValueError("the clean accuracy is 0, no share of it can be left; mend the classifier")
    return mean_top1(top1, ALEXNET_ERROR) / clean


def robustness(
    top1: Top1, *, clean: float, generated: bool, of_imagenet: bool
) -> dict[str, int | float | dict[str, float]]:
    """What a report says of a set: overall numbers, then each corruption by severity.

    `mean` is over the 15 standard corruptions and `mean_extra` over the others, if there are any;
    `generated` is 1 where the images were corrupted by us: such scores compare with no published
    ones. Published images add `mce` and `relative_mce` if their classes are ImageNet's own 1,000
    (`of_imagenet`): AlexNet's errors, by which these divide, are of ImageNet-C's own images.
    """
    others = [c for c in top1 if c not in ALEXNET_ERROR]
    scores: dict[str, int | float | dict[str, float]] = {
        "generated": int(generated),
        "clean": clean,
        "mean": mean_top1(top1, ALEXNET_ERROR),
    }
    if others:
        scores["mean_extra"] = mean_top1(top1, others)
    scores["retained"] = retained(top1, clean=clean)
    if of_imagenet and not generated:
        scores |= {"mce": mce(top1), "relative_mce": relative_mce(top1, clean=clean)}
    for corruption, mean in mean_by_corruption(top1).items():
        by_severity = {str(s): accuracy for s, accuracy in sorted(top1[corruption].items())}
        scores[corruption] = {"mean": mean, **by_severity}
    return scores


def _standard(values: Mapping[str, float]) -> list[str]:
    return _present(values, ALEXNET_ERROR)


def _present(values: Mapping[str, float], corruptions: Iterable[str]) -> list[str]:
    wanted = list(corruptions)
    missing = [c for c in wanted if c not in values]
    if missing:
        raise ValueError(f"no accuracy for {', '.join(missing)}; score all {len(wanted)}")
    return wanted


def _require_accuracy(value: float, what: str) -> None:
    if not 0 <= value <= 1:  # false for NaN too
        raise ValueError(f"{what} is {value}, expected an accuracy from 0 to 1")
