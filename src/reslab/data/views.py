"""The evaluation view of every sample, once."""

from collections.abc import Iterator

import torch

from reslab.spec import PreprocessSpec

from .dataset import ArrayDataset
from .preprocess import Normalizer
from .stream import Batch


def batches(
    dataset: ArrayDataset, spec: PreprocessSpec, *, batch_size: int, device: torch.device, rank: int = 0, world_size: int = 1
) -> Iterator[Batch]:
    """Yield the single original view of every sample once; rank r takes samples r, r + world_size, ..."""
    normalize = Normalizer(spec, device)
    for chosen in torch.arange(rank, len(dataset), world_size).split(batch_size):
        yield Batch(normalize(dataset.images[chosen].to(device)), dataset.labels[chosen].to(device))
