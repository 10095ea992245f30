"""Whether probabilities mean what they say: calibration errors, and the temperature that corrects them."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import UsageError

from .intervals import Interval, wilson

TEMPERATURES = (0.02, 50.0)  # a fit ends here: answers that are all right have no best temperature above 0

_TINY = torch.finfo(torch.float32).tiny  # the least probability that counts; its logarithm is -87.3
_ROWS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Bin:
    """The samples whose confidence is in (low, high]; the first bin has 0 too.

    Attributes:
        low: The bin's lower end.
        high: Its upper end.
        count: Samples in the bin.
        confidence: Their mean confidence; None for an empty bin, as in the next two.
        accuracy: The fraction of them that is right.
        interval: Wilson's interval of 95 % of that.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well probabilities are calibrated; errors are fractions of 1.

    Attributes:
        total: Answers.
        ece: Expected calibration error, the sum over bins of count / n x |accuracy - confidence| (Guo et al. 2017,
            Eq. 3).
        mce: Maximum calibration error, the largest |accuracy - confidence| of a bin that is not empty (their Eq. 5).
        brier: Mean over samples of the sum over classes of (probability - [class is the label])^2 (Brier 1950), from 0
            to 2.
        nll: Mean negative logarithm of the label's probability, in nats; a probability below 1.2e-38 counts as that.
        bins: The bins of the reliability diagram.
    """

    total: int
    ece: float
    mce: float
    brier: float
    nll: float
    bins: tuple[Bin, ...]


def measure_calibration(probabilities: Tensor, labels: Tensor, num_bins: int = 15) -> Calibration:
    """Measure how well probabilities are calibrated; confidence is that of the most probable class.

    Args:
        probabilities: [n, num_classes], rows that sum to 1.
        labels: int64 [n].
        num_bins: Bins of equal width; Guo et al. 2017 take 15.

    Raises:
        UsageError: There are no samples or no bins.
    """
    if len(labels) == 0 or num_bins < 1:
        raise UsageError(f"calibration of {len(labels)} samples in {num_bins} bins; both must be at least 1.")
    confidence, prediction = probabilities.double().max(1)
    is_right = prediction == labels
    edges = torch.linspace(0, 1, num_bins + 1, dtype=torch.float64)
    # the first edge that is not below the confidence ends its bin; a sum of rounded views may exceed 1
    place = (torch.bucketize(confidence, edges) - 1).clamp(0, num_bins - 1)
    bins = tuple(
        _bin(edges[number].item(), edges[number + 1].item(), confidence[place == number], is_right[place == number])
        for number in range(num_bins)
    )
    gaps = [abs(b.accuracy - b.confidence) for b in bins if b.accuracy is not None and b.confidence is not None]
    counts = [b.count for b in bins if b.count]
    return Calibration(
        total=len(labels),
        ece=sum(count * gap for count, gap in zip(counts, gaps, strict=True)) / len(labels),
        mce=max(gaps),
        brier=_brier(probabilities, labels),
        nll=-_log(probabilities.gather(1, labels[:, None])).mean().item(),
        bins=bins,
    )


def _bin(low: float, high: float, confidence: Tensor, is_right: Tensor) -> Bin:
    count = len(confidence)
    if count == 0:
        return Bin(low, high, 0, None, None, None)
    right = int(is_right.sum())
    return Bin(low, high, count, confidence.mean().item(), right / count, wilson(right, count))


def _brier(probabilities: Tensor, labels: Tensor) -> float:
    # sum_c (p_c - y_c)^2 = sum_c p_c^2 - 2 p_label + 1, without a second matrix
    squares = sum(part.double().square().sum().item() for part in probabilities.split(_ROWS_AT_ONCE))
    own = probabilities.gather(1, labels[:, None]).double().sum().item()
    return (squares - 2 * own) / len(labels) + 1


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.double().clamp(min=_TINY).log()


# --- temperature ------------------------------------------------------------------------------------------------------


def apply_temperature(scores: Tensor, temperature: float) -> Tensor:
    """Return softmax(scores / temperature), in the type of `scores`.

    Args:
        scores: Logits, or logarithms of probabilities, [n, num_classes]. Both give the same, as they differ by a
            constant in each row.
        temperature: Above 1 the probabilities become more even, below 1 less.
    """
    return F.softmax(scores / temperature, dim=1)


def recalibrated(probabilities: Tensor, temperature: float) -> Tensor:
    """Return probabilities at a temperature: p^(1/T), scaled to sum to 1.

    Args:
        probabilities: At temperature 1, [n, num_classes].
        temperature: Above 1 the probabilities become more even, below 1 less.

    Returns:
        float32 [n, num_classes].
    """
    return torch.cat(
        [apply_temperature(_log(rows), temperature).float() for rows in probabilities.split(_ROWS_AT_ONCE)]
    )


def fit_temperature(probabilities: Tensor, labels: Tensor) -> float:
    """Fit the temperature with the least negative log-likelihood on validation samples (Guo et al. 2017).

    Fitted in float64: the likelihood is convex in 1/T, and Newton's method, kept inside a bracket, finds the zero of
    its derivative. Answers that are all right (or no better than the opposite) have their best value at an end of
    `TEMPERATURES`.

    Args:
        probabilities: At temperature 1, [n, num_classes]; of one view or averaged.
        labels: int64 [n].

    Raises:
        UsageError: There are no samples.
    """
    if len(labels) == 0:
        raise UsageError("a temperature is fitted on samples, and there are none; hold out a validation part.")
    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]  # of the inverse temperature
    if _slope(probabilities, labels, low)[0] >= 0:
        return TEMPERATURES[1]
    if _slope(probabilities, labels, high)[0] <= 0:
        return TEMPERATURES[0]
    inverse = 1.0
    for _ in range(100):
        slope, curvature = _slope(probabilities, labels, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        newton = inverse - slope / curvature if curvature > 0 else math.nan
        following = newton if low < newton < high else (low + high) / 2
        if abs(following - inverse) <= 1e-12 * inverse:
            break
        inverse = following
    return 1 / inverse


def _slope(probabilities: Tensor, labels: Tensor, inverse: float) -> tuple[float, float]:
    """Return the first and the second derivative of the mean negative log-likelihood by the inverse temperature.

    With s = log p and q = softmax(s / T) they are E_q[s] - s_label and the variance of s under q.
    """
    slope = curvature = 0.0
    for rows, own in zip(probabilities.split(_ROWS_AT_ONCE), labels.split(_ROWS_AT_ONCE), strict=True):
        scores = _log(rows)
        weights = F.softmax(scores * inverse, dim=1)
        mean = (weights * scores).sum(1, keepdim=True)
        slope += (mean - scores.gather(1, own[:, None])).sum().item()
        curvature += (weights * (scores - mean).square()).sum().item()
    return slope / len(labels), curvature / len(labels)
