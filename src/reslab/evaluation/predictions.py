"""What networks answer: for every sample the class probabilities, averaged over the views of a protocol."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reslab.data.dataset import Dataset
from reslab.data.preprocess import Normalizer
from reslab.errors import UsageError
from reslab.models import VGG, Network
from reslab.models.folding import fold_batch_norm
from reslab.spec import PreprocessSpec

from .protocols import Protocol, check_protocol, views

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Answers:
    """A network's answers to every sample of a split, in its order.

    probabilities: float32 [n, num_classes], on the CPU; labels: int64 [n]; split: whose samples; protocol: in words.
    members: how many networks were averaged.
    """

    probabilities: Tensor
    labels: Tensor
    split: str
    protocol: str
    members: int = 1

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predictions(self) -> Tensor:
        """The most probable class of each sample, int64 [n]; the first of equals."""
        return self.probabilities.argmax(1)

    @property
    def are_finite(self) -> bool:
        """Whether every probability is a number; not where a network's logits overflow."""
        return bool(self.probabilities.isfinite().all())

    def __str__(self) -> str:
        networks = f", ensemble of {self.members} networks (softmax averaged)" if self.members > 1 else ""
        return f"{self.split} split, {len(self)} samples, {self.protocol}{networks}"


@torch.no_grad()
def answer(
    model: Network,
    preprocess: PreprocessSpec,
    dataset: Dataset,
    protocol: Protocol | None = None,
    *,
    split: str,
    batch_size: int = 128,
    on_progress: OnProgress | None = None,
) -> Answers:
    """Run a network over all views of a data set, in eval mode, in its precision (float32) and on its device.

    Softmax outputs are averaged over the views, as in the paper's 10-crop testing (Sec. 3.4, after ref. 21). Memory
    grows with n x num_classes only. The model given stays as it is. For "multi-scale" a per-pixel mean image counts
    as its channel means, because it has one size only.

    on_progress: called with (views done, views in all) after each batch.

    Raises UsageError for a protocol that the data or the network has no views for, RunError for a bad file.
    """
    protocol = protocol or Protocol()
    check_protocol(protocol, dataset, preprocess)
    words = protocol.describe(dataset, preprocess)
    if protocol.name == "multi-scale":
        if isinstance(model, VGG):
            raise UsageError("protocol 'multi-scale' needs a fully convolutional network; VGG takes one size only.")
        preprocess = replace(preprocess, mean_image=None)
    network = model if isinstance(model, VGG) else fold_batch_norm(model)  # as `reslab.evaluation.evaluate` does it
    weight = next(network.parameters())
    device, dtype = weight.device, weight.dtype
    normalize = Normalizer(preprocess, device)
    sums = torch.zeros(len(dataset), model.spec.num_classes)
    done, total = 0, len(dataset) * protocol.num_views
    for found in views(protocol, dataset, preprocess, batch_size):
        images = normalize(found.images.to(device)).to(dtype).contiguous(memory_format=torch.channels_last)
        # in double precision, so that the answers' order is that of the logits
        softmax = network(images).double().softmax(1)
        sums.index_add_(0, found.indices, (softmax / protocol.num_views).float().cpu())
        done += len(images)
        if on_progress:
            on_progress(done, total)
    return Answers(sums, dataset.labels, split, words)


def ensemble(answers: Iterable[Answers]) -> Answers:
    """Return the mean of several networks' probabilities (the paper's Table 5 has ensembles, and leaves open of what).

    One by one, so that a generator keeps no more than two in memory. Networks may have views of their own sizes.
    Raises UsageError unless all are of the same samples and classes, and where there are none.
    """
    first: Answers | None = None
    sums, count = torch.empty(0), 0
    protocols: list[str] = []
    for found in answers:
        if first is None:
            first, sums = found, torch.zeros_like(found.probabilities, dtype=torch.float64)
        _check_alike(first, found)
        sums += found.probabilities
        count += 1
        if found.protocol not in protocols:
            protocols.append(found.protocol)
    if first is None:
        raise UsageError("an ensemble needs the answers of at least one network; none were given.")
    return replace(first, probabilities=(sums / count).float(), protocol=" | ".join(protocols), members=count)


def _check_alike(first: Answers, other: Answers) -> None:
    if other.probabilities.shape != first.probabilities.shape or not torch.equal(other.labels, first.labels):
        shapes = " and ".join(" x ".join(map(str, found.probabilities.shape)) for found in (first, other))
        raise UsageError(
            f"the members of an ensemble must answer the same samples with the same classes; found {shapes} "
            "(samples x classes)" + (", with other labels." if other.labels.shape == first.labels.shape else ".")
        )
    if other.split != first.split:
        raise UsageError(f"one member answered the split {first.split!r} and another {other.split!r}; take one split.")
