"""The peers, written from their documented defaults: nothing of reslab but its networks (parity is tested)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from reslab.data.sources import open_splits

_CIFAR_MEAN, _CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
PHOTO_MEAN, PHOTO_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _to_tensor(picture: Image.Image, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """torchvision's ToTensor and Normalize."""
    tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
    return tensor.sub_(torch.tensor(mean).view(-1, 1, 1)).div_(torch.tensor(std).view(-1, 1, 1))


class CifarPil(Dataset):
    """torchvision.datasets.CIFAR10 with RandomHorizontalFlip, RandomCrop(32, 4), ToTensor, Normalize, by Pillow."""

    def __init__(self) -> None:
        train = open_splits("cifar10", None).train
        self._images = train.images.permute(0, 2, 3, 1).contiguous().numpy()  # type: ignore[union-attr]
        self._labels = train.labels.tolist()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self._images[index])
        if torch.rand(1) < 0.5:
            picture = ImageOps.mirror(picture)
        picture = ImageOps.expand(picture, 4)
        left, top = torch.randint(0, 9, (2,)).tolist()
        return _to_tensor(picture.crop((left, top, left + 32, top + 32)), _CIFAR_MEAN, _CIFAR_STD), self._labels[index]


class PhotosPil(Dataset):
    """torchvision.datasets.ImageFolder with RandomResizedCrop's work: decode, crop, resize, flip, normalise, by Pillow.

    The crop is the one reslab's recipe takes (short side resized, then a crop), so that both do the same work.
    """

    def __init__(self, folder: Path, min_short_side: int, max_short_side: int, crop_size: int) -> None:
        train = open_splits("folder", str(folder)).train
        self._paths, self._labels = train.paths, train.labels.tolist()  # type: ignore[union-attr]
        self._min, self._max, self._crop = min_short_side, max_short_side, crop_size

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self._paths[index]) as file:
            picture = file.convert("RGB")
        short = int(torch.randint(self._min, self._max + 1, (1,)))
        scale = short / min(picture.size)
        size = (max(short, round(picture.width * scale)), max(short, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
        left = int(torch.randint(0, size[0] - self._crop + 1, (1,)))
        top = int(torch.randint(0, size[1] - self._crop + 1, (1,)))
        picture = picture.crop((left, top, left + self._crop, top + self._crop))
        if torch.rand(1) < 0.5:
            picture = ImageOps.mirror(picture)
        return _to_tensor(picture, PHOTO_MEAN, PHOTO_STD), self._labels[index]


def endless(dataset: Dataset, batch_size: int, workers: int) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return a function that gives the next batch of a shuffled DataLoader, epoch after epoch."""
    loader = DataLoader(
        dataset, batch_size, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )
    batches = iter(loader)

    def following() -> tuple[Tensor, Tensor]:
        nonlocal batches
        try:
            return next(batches)
        except StopIteration:
            batches = iter(loader)
            return next(batches)

    return following


def training_step(
    model: nn.Module, *, lr: float, weight_decay: float, bf16: bool, channels_last: bool
) -> Callable[[Tensor, Tensor], None]:
    """Return the loop's body as the public trainers have it, with SGD and momentum 0.9."""
    if channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=weight_decay)

    def step(images: Tensor, labels: Tensor) -> None:
        if channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return step


class CifarInMemory:
    """All images as one tensor, cropped and flipped batch by batch: the fast tutorials' input pipeline."""

    def __init__(self, batch_size: int) -> None:
        train = open_splits("cifar10", None).train
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (_CIFAR_MEAN, _CIFAR_STD))
        self._images = F.pad((train.images.float() / 255 - mean) / std, (4,) * 4)  # type: ignore[union-attr]
        self._labels, self._batch_size = train.labels, batch_size
        self._order, self._at = torch.randperm(len(self._labels)), 0

    def __call__(self) -> tuple[Tensor, Tensor]:
        if self._at + self._batch_size > len(self._order):
            self._order, self._at = torch.randperm(len(self._labels)), 0
        index = self._order[self._at : self._at + self._batch_size]
        self._at += self._batch_size
        windows = self._images[index].unfold(2, 32, 1).unfold(3, 32, 1)
        left, top = torch.randint(0, 9, (2, len(index)))
        images = windows[torch.arange(len(index)), :, top, left]
        flips = torch.rand(len(index), 1, 1, 1) < 0.5
        return torch.where(flips, images.flip(-1), images), self._labels[index]
