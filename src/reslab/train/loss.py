"""What training makes small."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.data.stream import Batch


class CrossEntropy:
    """The mean cross-entropy of a batch; mixed images count for both of their labels.

    class_weights: one for each class, None for equal ones; label_smoothing: the share given to all classes alike.
    With weights it is sum(weight of the label x loss) / n over the n images, so that it is the mean of the losses of
    its parts, and an image counts the same in any company. torch's own weighted loss divides by the sum of the weights,
    and weighs the share of each class in the smoothing by that class: where one is rare, what every image gives away
    goes to it, and beyond some 1:19 of two classes the best answer to a common image is the rare class.
    """

    def __init__(self, device: torch.device, class_weights: Sequence[float] | None, label_smoothing: float) -> None:
        self._weights = None if class_weights is None else torch.tensor(class_weights, device=device)
        self._smoothing = label_smoothing

    def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss of logits [n, num_classes], a scalar."""
        loss = self._against(logits, batch.labels)
        if batch.other_labels is None:
            return loss
        return batch.lam * loss + (1 - batch.lam) * self._against(logits, batch.other_labels)

    def _against(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self._weights is None:
            return F.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        losses = F.cross_entropy(logits, labels, label_smoothing=self._smoothing, reduction="none")
        return (self._weights[labels] * losses).mean()
