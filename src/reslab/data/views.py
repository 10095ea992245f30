"""One evaluation view of every sample of a data set."""

from collections.abc import Iterator

import torch
from torch import Tensor

from reslab.errors import RunError
from reslab.spec import PreprocessSpec

from .dataset import ArrayDataset, Dataset
from .images.photos import centre_views, full_chunks
from .preprocess import Normalizer
from .stream import Batch


def batches(
    dataset: Dataset,
    spec: PreprocessSpec,
    *,
    batch_size: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """Iterate over a data set once, normalised; rank r of W takes samples r, r + W, r + 2 W and so on.

    Images in memory keep their size (paper Sec. 4.2: "the single view of the original 32x32 image"); photos are resized
    as `spec.resize_mode` says (see `reslab.data.images.picture.view`).

    Args:
        dataset: The images.
        spec: The network's input.
        batch_size: Samples in a batch.
        device: Where to put the batches.
        rank: This process's rank.
        world_size: Number of processes.

    Yields:
        Batches of normalised images with their labels.

    Raises:
        RunError: A file cannot be read, or images in memory do not have the input size.
    """
    normalize = Normalizer(spec, device)
    for indices, images in single_views(dataset, spec, torch.arange(len(dataset))[rank::world_size], batch_size):
        yield Batch(normalize(images.to(device)), dataset.labels[indices].to(device))


def single_views(
    dataset: Dataset, spec: PreprocessSpec, samples: Tensor, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over some samples of a data set, before normalisation.

    Args:
        dataset: The images.
        spec: The network's input.
        samples: Positions of the samples, int64 [n].
        batch_size: Samples in a batch.

    Yields:
        (positions, views): int64 [m] and uint8 [m, channels, height, width].

    Raises:
        RunError: A file cannot be read, or images in memory do not have the input size.
    """
    if not isinstance(dataset, ArrayDataset):
        yield from centre_views(dataset, samples, spec, batch_size)
        return
    check_size(dataset, spec)
    for indices in full_chunks(samples, batch_size):
        yield indices, dataset.images[indices]


def check_size(dataset: ArrayDataset, spec: PreprocessSpec) -> None:
    """Check that images in memory have the network's input size.

    Args:
        dataset: The images.
        spec: The network's input.

    Raises:
        RunError: They have another size or number of channels.
    """
    size, model_size = tuple(dataset.images.shape[1:]), (spec.channels, spec.height, spec.width)
    if size != model_size:
        raise RunError(
            f"{dataset.name} has images of {'x'.join(map(str, size))}, but the model takes "
            f"{'x'.join(map(str, model_size))}."
        )


def describe_view(dataset: Dataset, spec: PreprocessSpec) -> str:
    """Describe the evaluation view in words, for reports.

    Args:
        dataset: The images.
        spec: The network's input.

    Returns:
        For example "single centre crop 224x224 of short side 256, fp32".
    """
    size = f"{spec.height}x{spec.width}"
    match spec.resize_mode:
        case _ if isinstance(dataset, ArrayDataset) or (spec.resize_mode == "crop" and spec.short_side is None):
            return "single original view, fp32"
        case "crop":
            return f"single centre crop {size} of short side {spec.short_side}, fp32"
        case "letterbox":
            return f"single whole picture letterboxed into {size}, fp32"
        case "squash":
            return f"single whole picture squashed to {size}, fp32"
