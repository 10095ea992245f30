"""The evaluation view of images in memory; that of photos is tested with the photos."""

import pytest
import torch

from reslab.data.dataset import ArrayDataset, Dataset, FileDataset
from reslab.data.preprocess import Normalizer, measure_preprocess
from reslab.data.views import batches
from reslab.errors import RunError
from reslab.spec import PreprocessSpec

CPU = torch.device("cpu")


def make_dataset(length: int = 11) -> ArrayDataset:
    images = torch.randint(0, 256, (length, 3, 4, 5), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return ArrayDataset("noise", images, torch.arange(length), tuple(map(str, range(length))))


def test_images_in_memory_are_shown_as_they_are_in_order() -> None:
    dataset = make_dataset()
    spec = measure_preprocess(dataset, mean="pixel", scale="std")
    seen = list(batches(dataset, spec, batch_size=4, device=CPU))
    assert [len(batch.labels) for batch in seen] == [4, 4, 3]
    assert torch.equal(torch.cat([batch.images for batch in seen]), Normalizer(spec, CPU)(dataset.images))
    assert torch.cat([batch.labels for batch in seen]).tolist() == list(range(11))


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_ranks_share_the_samples_and_take_every_nth(world_size: int) -> None:
    dataset = make_dataset()
    spec = measure_preprocess(dataset, mean="channel", scale="none")
    for rank in range(world_size):
        shown = batches(dataset, spec, batch_size=2, device=CPU, rank=rank, world_size=world_size)
        assert torch.cat([batch.labels for batch in shown]).tolist() == list(range(rank, 11, world_size))


@pytest.mark.parametrize("rank", [2, 3])
def test_a_rank_beyond_the_last_sample_gets_no_batches(rank: int) -> None:
    dataset = make_dataset(2)
    spec = measure_preprocess(dataset, mean="channel", scale="none")
    files = FileDataset("photos", (), torch.empty(0, dtype=torch.int64), dataset.class_names)
    either: tuple[Dataset, ...] = (dataset, files)
    for data in either:
        assert list(batches(data, spec, batch_size=2, device=CPU, rank=rank, world_size=4)) == []


def test_images_of_another_size_than_the_models_are_refused() -> None:
    spec = PreprocessSpec(channels=3, height=8, width=8, mean=(0.0,) * 3, std=(1.0,) * 3)
    with pytest.raises(RunError, match="noise has images of 3x4x5, but the model takes 3x8x8"):
        list(batches(make_dataset(), spec, batch_size=2, device=CPU))
