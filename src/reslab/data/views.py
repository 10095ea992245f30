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
    chosen = torch.arange(len(dataset))[rank::world_size]
    if not isinstance(dataset, ArrayDataset):
        for indices, images in centre_views(dataset, chosen, spec, batch_size):
            yield Batch(normalize(images.to(device)), dataset.labels[indices].to(device))
        return
    _check_size(dataset.images, dataset.name, spec)
    for indices in full_chunks(chosen, batch_size):
        yield Batch(normalize(dataset.images[indices].to(device)), dataset.labels[indices].to(device))


def _check_size(images: Tensor, name: str, spec: PreprocessSpec) -> None:
    found, wanted = tuple(images.shape[1:]), (spec.channels, spec.height, spec.width)
    if found != wanted:
        raise RunError(
            f"{name} has images of {'x'.join(map(str, found))}, but the model takes {'x'.join(map(str, wanted))}."
        )


def protocol(dataset: Dataset, spec: PreprocessSpec) -> str:
    """Say in words how each image is shown to the network."""
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
