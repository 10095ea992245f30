"""The one definition of top-1 error, used by training, the command and the tests."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from reslab.data import Dataset, views
from reslab.data.stream import Batch
from reslab.distributed import World, sum_over_ranks
from reslab.errors import UsageError
from reslab.evaluation.metrics import Evaluation
from reslab.models import ResNet
from reslab.models.folding import fold_batch_norm
from reslab.spec import PreprocessSpec

_BATCH = 500


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[Batch], *, num_classes: int, device: torch.device) -> Evaluation:
    """Count what `model` gets right, in eval mode and float32, summed over all processes.

    batches: this process's samples, each once; labels in [0, num_classes).
    Batch norm is folded into the convolutions first: the same function up to rounding, in less time.

    Raises UsageError for a network with another number of classes.
    """
    network = fold_batch_norm(model) if isinstance(model, ResNet) else model
    was_training = network.training
    network.eval()
    confusion = torch.zeros(num_classes * num_classes, dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for batch in batches:
        images = batch.images.contiguous(memory_format=torch.channels_last)
        logits = network(images)
        if logits.shape[1] != num_classes:
            raise UsageError(
                f"the network answers with {logits.shape[1]} classes, and the data has {num_classes}; number the "
                "data's classes as the network's (reslab.data.dataset.number_as)."
            )
        loss += F.cross_entropy(logits, batch.labels, reduction="sum").double()
        cells = batch.labels * num_classes + logits.argmax(1)
        confusion += torch.bincount(cells, minlength=num_classes * num_classes)
    network.train(was_training)
    sum_over_ranks(confusion)
    sum_over_ranks(loss)
    matrix = confusion.view(num_classes, num_classes).cpu()
    total = int(matrix.sum())
    return Evaluation(int(matrix.diagonal().sum()), total, loss.item() / max(total, 1), matrix)


def evaluate_on(
    model: nn.Module, dataset: Dataset, preprocess: PreprocessSpec, device: torch.device, world: World | None = None
) -> tuple[Evaluation, str]:
    """Evaluate a network on a data set, every sample once over all processes; return it with its protocol in words."""
    world = world or World()
    batches = views.batches(
        dataset, preprocess, batch_size=_BATCH, device=device, rank=world.rank, world_size=world.size
    )
    found = evaluate(model, batches, num_classes=len(dataset.class_names), device=device)
    return found, views.protocol(dataset, preprocess)
