"""The evaluation view of every sample, once."""

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
    """Yield every sample once over all processes: rank r takes samples r, r + world_size, ...

    Images in memory are shown as they are (paper Sec. 4.2: "the single view of the original 32x32 image"), photos as
    `spec.resize_mode` says (see `reslab.data.images.picture.view`). RunError when images in memory do not have the size
    that the spec asks for.
    """
    normalize = Normalizer(spec, device)
    for indices, images in single_views(dataset, spec, torch.arange(len(dataset))[rank::world_size], batch_size):
        yield Batch(normalize(images.to(device)), dataset.labels[indices].to(device))


def single_views(
    dataset: Dataset, spec: PreprocessSpec, samples: Tensor, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the samples at `samples` in batches: their positions, int64 [n], and uint8 [n, channels, height, width].

    Raises:
        RunError: A file cannot be read, or images in memory do not have the size that `spec` asks for.
    """
    if not isinstance(dataset, ArrayDataset):
        yield from centre_views(dataset, samples, spec, batch_size)
        return
    check_size(dataset, spec)
    for indices in full_chunks(samples, batch_size):
        yield indices, dataset.images[indices]


def check_size(dataset: ArrayDataset, spec: PreprocessSpec) -> None:
    """Raise RunError unless images in memory have the size that the model takes."""
    size, model_size = tuple(dataset.images.shape[1:]), (spec.channels, spec.height, spec.width)
    if size != model_size:
        raise RunError(
            f"{dataset.name} has images of {'x'.join(map(str, size))}, but the model takes "
            f"{'x'.join(map(str, model_size))}."
        )


def describe_view(dataset: Dataset, spec: PreprocessSpec) -> str:
    """Describe in words how each image is shown to the network."""
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
