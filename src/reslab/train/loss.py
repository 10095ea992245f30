"""The training loss."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.data.stream import Batch


class CrossEntropy:
    """The mean cross-entropy of a batch; a mixed image counts for both of its labels.

    With class weights it is sum(weight of the label x loss) / n over the n images. So a batch's loss is the mean of its
    micro-batches' losses, and an image counts the same whatever the other images are. torch's weighted loss does
    neither: it divides by the sum of the weights. It also weighs label smoothing by class, which gives a rare class
    most of what every image gives away: from about 1:19 of two classes on, the loss of a common image is lowest for a
    prediction of the rare class.

    Args:
        device: Where the logits are.
        class_weights: A weight for each class; None for equal weights.
        label_smoothing: The probability that is spread evenly over all classes (Szegedy et al. 2016).
    """

    def __init__(self, device: torch.device, class_weights: Sequence[float] | None, label_smoothing: float) -> None:
        self._weights = None if class_weights is None else torch.tensor(class_weights, device=device)
        self._smoothing = label_smoothing

    def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss.

        Args:
            logits: float32 [n, num_classes].
            batch: The batch that they were computed for.

        Returns:
            A scalar.
        """
        loss = self._against(logits, batch.labels)
        if batch.other_labels is None:
            return loss
        return batch.lam * loss + (1 - batch.lam) * self._against(logits, batch.other_labels)

    def _against(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self._weights is None:
            return F.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        losses = F.cross_entropy(logits, labels, label_smoothing=self._smoothing, reduction="none")
        return (self._weights[labels] * losses).mean()
