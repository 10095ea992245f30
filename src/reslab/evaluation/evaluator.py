"""Run a network over a data set, to count its right and wrong answers or to get each sample's class probabilities."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.data.dataset import Dataset
from reslab.data.preprocess import Normalizer
from reslab.distributed import World, sum_over_ranks
from reslab.errors import UsageError
from reslab.models import VGG, Network
from reslab.models.folding import fold_batch_norm
from reslab.models.modes import eval_mode
from reslab.spec import PreprocessSpec

from .metrics import Evaluation
from .predictions import Predictions
from .protocols import Protocol, protocol_views


@torch.no_grad()
def view_logits(
    model: Network,
    dataset: Dataset,
    preprocess: PreprocessSpec,
    protocol: Protocol | None = None,
    *,
    batch_size: int,
    world: World | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the logits of every view of a data set, in eval mode, on the network's device and in its precision.

    To save time, a copy of the network runs with batch norm folded into its convolutions, which changes the logits by
    rounding only. A per-pixel mean image fits one input size only, so the protocol "multi-scale" subtracts the
    mean image's channel means instead.

    Args:
        model: The network; not changed.
        dataset: The samples.
        preprocess: How the network takes its images.
        protocol: Which views to use; by default those of "center", one per sample.
        batch_size: How many views of the model's own input size make a batch. Views of other sizes are batched so that
            no batch has more pixels than that; a single view with more pixels is a batch by itself.
        world: The processes that share the samples: rank r of n takes samples r, r + n, ...; by default, this process
            takes all.

    Yields:
        The index of each view's sample, int64 [m] on the CPU, and the logits [m, num_classes] on the device.

    Raises:
        UsageError: The protocol does not fit the data or the network.
        RunError: A file cannot be read, or images in memory do not have the model's size.
    """
    protocol, world = protocol or Protocol(), world or World()
    if protocol.name == "multi-scale" and isinstance(model, VGG):
        raise UsageError("protocol 'multi-scale' needs a fully convolutional network; VGG takes one size only.")
    network = model if isinstance(model, VGG) else fold_batch_norm(model)
    weight = next(network.parameters())
    device, dtype = weight.device, weight.dtype
    shown = replace(preprocess, mean_image=None) if protocol.name == "multi-scale" else preprocess
    normalize = Normalizer(shown, device)
    samples = torch.arange(len(dataset))[world.rank :: world.size]
    for views in protocol_views(protocol, dataset, preprocess, batch_size, samples):
        images = normalize(views.images.to(device)).to(dtype).contiguous(memory_format=torch.channels_last)
        with eval_mode(network):
            logits = network(images)
        yield views.indices, logits


def evaluate(
    model: Network,
    dataset: Dataset,
    preprocess: PreprocessSpec,
    *,
    batch_size: int = 500,
    world: World | None = None,
) -> Evaluation:
    """Count the samples that a network gets right, one view each (protocol "center"), summed over all processes.

    These counts give the top-1 error that training monitors, runs report and experiments compare.

    Args:
        model: The network, on its device; not changed.
        dataset: The samples; their labels must use the network's class numbers.
        preprocess: How the network takes its images.
        batch_size: How many images go through the network together.
        world: The processes that share the samples; by default, this one alone.

    Raises:
        UsageError: The network and the data differ in their number of classes.
        RunError: A file cannot be read, or images in memory do not have the model's size.
    """
    num_classes = len(dataset.class_names)
    if model.spec.num_classes != num_classes:
        raise UsageError(
            f"the network has {model.spec.num_classes} classes, but the data has {num_classes}; give the data the "
            "network's class numbers (reslab.data.dataset.number_as)."
        )
    device = next(model.parameters()).device
    confusion = torch.zeros(num_classes * num_classes, dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for indices, logits in view_logits(model, dataset, preprocess, batch_size=batch_size, world=world):
        labels = dataset.labels[indices].to(device)
        loss += F.cross_entropy(logits, labels, reduction="sum").double()
        confusion += torch.bincount(labels * num_classes + logits.argmax(1), minlength=num_classes * num_classes)
    sum_over_ranks(confusion)
    sum_over_ranks(loss)
    matrix = confusion.view(num_classes, num_classes).cpu()
    total = int(matrix.sum())
    return Evaluation(int(matrix.diagonal().sum()), total, loss.item() / max(total, 1), matrix)


def predict_split(
    model: Network,
    dataset: Dataset,
    preprocess: PreprocessSpec,
    protocol: Protocol | None = None,
    *,
    split: str,
    batch_size: int = 128,
    on_progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Return the class probabilities of every sample: softmax outputs, averaged over the views of a protocol.

    The paper's 10-crop testing averages like this (Sec. 3.4, citing reference 21). Memory grows only with the
    number of samples times the number of classes.

    Args:
        model: The network, on its device; not changed.
        dataset: The samples of one split.
        preprocess: How the network takes its images.
        protocol: Which views to use; by default those of "center", one per sample.
        split: The split's name, which the predictions keep.
        batch_size: How many views of the model's own input size make a batch. Views of other sizes are batched so that
            no batch has more pixels than that; a single view with more pixels is a batch by itself.
        on_progress: Called with (views done, views in all) after each batch.

    Raises:
        UsageError: The protocol does not fit the data or the network.
        RunError: A file cannot be read, or images in memory do not have the model's size.
    """
    protocol = protocol or Protocol()
    sums = torch.zeros(len(dataset), model.spec.num_classes)
    done, total = 0, len(dataset) * protocol.num_views
    for indices, logits in view_logits(model, dataset, preprocess, protocol, batch_size=batch_size):
        # in float64, because float32 rounding inside the softmax would make more of the close probabilities equal
        softmax = logits.double().softmax(1)
        sums.index_add_(0, indices, (softmax / protocol.num_views).float().cpu())
        done += len(indices)
        if on_progress:
            on_progress(done, total)
    return Predictions(sums, dataset.labels, split, protocol.describe(dataset, preprocess))
