"""Labelled images, in memory or as files, and their division into splits."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from reslab.errors import RunError, first_few

from .draws import SPLIT, permutation


@dataclass(frozen=True, slots=True)
class ArrayDataset:
    """Images of one size in memory.

    Attributes:
        name: The data set's name, for errors and reports.
        images: uint8 [n, channels, height, width].
        labels: int64 [n].
        class_names: The name of each label.
    """

    name: str
    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_channels(self) -> int:
        """Channels of the images."""
        return self.images.shape[1]

    def subset(self, indices: Tensor) -> "ArrayDataset":
        """Select samples.

        Args:
            indices: int64 [k].

        Returns:
            The samples at `indices`, in that order.
        """
        return ArrayDataset(self.name, self.images[indices], self.labels[indices], self.class_names)

    def fingerprint(self) -> str:
        """Hash every pixel and label, to tell whether two runs used the same data."""
        digest = hashlib.sha256(repr((self.class_names, tuple(self.images.shape))).encode())
        digest.update(self.images.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class FileDataset:
    """Images as files, decoded when they are needed.

    Attributes:
        name: The data set's name, for errors and reports.
        paths: The image files.
        labels: int64 [n].
        class_names: The name of each label.
        num_channels: Channels that every file is decoded to.
    """

    name: str
    paths: tuple[Path, ...]
    labels: Tensor
    class_names: tuple[str, ...]
    num_channels: int = 3

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> "FileDataset":
        """Select samples.

        Args:
            indices: int64 [k].

        Returns:
            The samples at `indices`, in that order.
        """
        paths = tuple(self.paths[i] for i in indices.tolist())
        return FileDataset(self.name, paths, self.labels[indices], self.class_names, self.num_channels)

    def fingerprint(self) -> str:
        """Hash every file's class, name and size, to tell whether two runs used the same data."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for path, label in zip(self.paths, self.labels.tolist(), strict=True):
            digest.update(f"{label}/{path.name}/{path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]


Dataset = ArrayDataset | FileDataset


@dataclass(frozen=True, slots=True)
class Splits:
    """The parts of a data set.

    Attributes:
        train: Images that the network trains on.
        validation: Images by which weights and settings are selected; None if there are none.
        test: Images for the final error only, by which nothing is selected; None if there are none.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset | None

    def part(self, split: str) -> Dataset:
        """Return one part by name.

        Args:
            split: "train", "validation" or "test".

        Returns:
            The part.

        Raises:
            RunError: The data set does not have this part.
        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        dataset = parts.get(split)
        if dataset is None:
            names = [name for name, part in parts.items() if part is not None]
            raise RunError(f"{self.train.name} has no split {split!r}; it has: {', '.join(names)}.")
        return dataset

    def together(self) -> Dataset:
        """Join all parts into one data set."""
        return _together([part for part in (self.train, self.validation, self.test) if part is not None])


def _together(parts: list[Dataset]) -> Dataset:
    first, labels = parts[0], torch.cat([part.labels for part in parts])
    if isinstance(first, ArrayDataset):
        return replace(first, images=torch.cat([part.images for part in parts]), labels=labels)  # type: ignore[union-attr]
    return replace(first, paths=tuple(path for part in parts for path in part.paths), labels=labels)  # type: ignore[union-attr]


def number_as(dataset: Dataset, class_names: tuple[str, ...]) -> Dataset:
    """Give a data set's labels the class numbers of a model; the data set may have fewer classes.

    Args:
        dataset: The data set.
        class_names: The model's classes, in the order of its outputs.

    Returns:
        The data set with the model's labels and class names.

    Raises:
        RunError: A class of the data set is not among `class_names`.
    """
    number_of = {name: number for number, name in enumerate(class_names)}
    unknown = [name for name in dataset.class_names if name not in number_of]
    if unknown:
        raise RunError(
            f"the model does not know {len(unknown)} of the {len(dataset.class_names)} classes of {dataset.name}: "
            f"{first_few(map(repr, unknown))}. It knows: {first_few(map(repr, class_names))}."
        )
    numbers = torch.tensor([number_of[name] for name in dataset.class_names])
    return replace(dataset, labels=numbers[dataset.labels], class_names=class_names)


def stratified_indices(labels: Tensor, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Choose samples to hold out, in the proportions of the classes.

    Each class's share of `size` is rounded down, and the samples still missing come from the classes that lost most by
    it (the largest-remainder method). At least one sample of every class is kept.

    Args:
        labels: int64 [n].
        size: Samples to hold out; at most n minus the number of classes that have samples.
        seed: Seed of the choice.

    Returns:
        The indices (kept, held out), each int64 and ascending.
    """
    counts = torch.bincount(labels)
    taken = _places(counts, size)
    held = torch.zeros(len(labels), dtype=torch.bool)
    order = permutation(seed, SPLIT, 0, len(labels))
    for label in range(len(counts)):
        members = order[labels[order] == label]
        held[members[: int(taken[label])]] = True
    return torch.nonzero(~held).flatten(), torch.nonzero(held).flatten()


def _places(counts: Tensor, size: int) -> Tensor:
    """Return how many of the `counts` samples of each class are held out, int64 [num_classes]."""
    quotas = counts.double() * size / counts.sum()
    taken = quotas.floor().long()
    remainder = torch.argsort(quotas - taken, descending=True, stable=True)[: size - int(taken.sum())]
    taken[remainder] += 1
    most = (counts - 1).clamp(min=0)
    freed = int((taken - most).clamp(min=0).sum())
    taken = taken.minimum(most)
    for _ in range(freed):  # take one more of the class furthest below its quota that still has samples to spare
        taken[torch.where(taken < most, quotas - taken, -torch.inf).argmax()] += 1
    return taken


def hold_out(dataset: Dataset, size: int, seed: int, setting: str = "validation_size") -> tuple[Dataset, Dataset]:
    """Split a data set into a training and a held-out part, stratified by class and reproducible from the seed.

    Args:
        dataset: The data set.
        size: Images to hold out; training keeps at least one image of every class.
        seed: Seed of the choice.
        setting: The name of the setting that `size` comes from, for error messages.

    Returns:
        The parts (training, held out).

    Raises:
        RunError: The data set is too small.
    """
    num_classes = len(dataset.labels.unique())
    if not 0 < size <= len(dataset) - num_classes:
        raise RunError(
            f"{setting} is {size}, but {dataset.name} has {len(dataset)} training images, and one of each of "
            f"{num_classes} classes must remain: at most {len(dataset) - num_classes} can be held out."
        )
    kept, held = stratified_indices(dataset.labels, size, seed)
    return dataset.subset(kept), dataset.subset(held)


def balanced_weights(labels: Tensor, num_classes: int) -> tuple[float, ...]:
    """Weight each class by the inverse of its frequency: n / (classes with images x count).

    The mean weight of the images is 1.

    Args:
        labels: int64 [n].
        num_classes: Number of classes; those without images have weight 0.

    Returns:
        One weight for each class.
    """
    counts = torch.bincount(labels, minlength=num_classes).double()
    present = int((counts > 0).sum())
    return tuple((len(labels) / (present * counts)).where(counts > 0, 0).tolist())
