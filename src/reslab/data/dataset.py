"""Labelled images: in memory, or as files."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from reslab.errors import RunError

from .draws import SPLIT, permutation


@dataclass(frozen=True, slots=True)
class ArrayDataset:
    """Images of one size in memory: uint8 [n, channels, height, width], labels int64 [n]."""

    name: str
    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_channels(self) -> int:
        return self.images.shape[1]

    def subset(self, indices: Tensor) -> "ArrayDataset":
        """Return the samples at `indices`, in that order."""
        return ArrayDataset(self.name, self.images[indices], self.labels[indices], self.class_names)

    def fingerprint(self) -> str:
        """Return a hash of every pixel and label, to tell whether two runs saw the same data."""
        digest = hashlib.sha256(repr((self.class_names, tuple(self.images.shape))).encode())
        digest.update(self.images.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class FileDataset:
    """Images as files, decoded when they are needed; labels int64 [n]."""

    name: str
    paths: tuple[Path, ...]
    labels: Tensor
    class_names: tuple[str, ...]
    num_channels: int = 3

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> "FileDataset":
        """Return the samples at `indices`, in that order."""
        paths = tuple(self.paths[i] for i in indices.tolist())
        return FileDataset(self.name, paths, self.labels[indices], self.class_names, self.num_channels)

    def fingerprint(self) -> str:
        """Return a hash of every file's class, name and size, to tell whether two runs saw the same data."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for path, label in zip(self.paths, self.labels.tolist(), strict=True):
            digest.update(f"{label}/{path.name}/{path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]


Dataset = ArrayDataset | FileDataset


@dataclass(frozen=True, slots=True)
class Splits:
    """The parts of a data set; `test` is for the end, `validation` is for whatever is chosen."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None

    def part(self, split: str) -> Dataset:
        """Return one part by name; RunError says which parts there are."""
        dataset = {"train": self.train, "validation": self.validation, "test": self.test}.get(split)
        if dataset is None:
            there = [name for name in ("train", "validation", "test") if getattr(self, name) is not None]
            raise RunError(f"{self.train.name} has no split {split!r}; there are: {', '.join(there)}.")
        return dataset

    def together(self) -> Dataset:
        """Return all parts as one data set."""
        return _together([part for part in (self.train, self.validation, self.test) if part is not None])


def _together(parts: list[Dataset]) -> Dataset:
    first, labels = parts[0], torch.cat([part.labels for part in parts])
    if isinstance(first, ArrayDataset):
        return replace(first, images=torch.cat([part.images for part in parts]), labels=labels)  # type: ignore[union-attr]
    return replace(first, paths=tuple(path for part in parts for path in part.paths), labels=labels)  # type: ignore[union-attr]


def number_as(dataset: Dataset, class_names: tuple[str, ...]) -> Dataset:
    """Return a data set with the labels that its classes have in `class_names`; it may have fewer classes.

    RunError names classes that are not among them.
    """
    number_of = {name: number for number, name in enumerate(class_names)}
    unknown = [name for name in dataset.class_names if name not in number_of]
    if unknown:
        shown = ", ".join(map(repr, unknown[:5])) + (" and others" if len(unknown) > 5 else "")
        raise RunError(
            f"{dataset.name} has {len(unknown)} of {len(dataset.class_names)} classes that the model does not know: "
            f"{shown}. It knows: {', '.join(map(repr, class_names[:5]))}{', ...' if len(class_names) > 5 else ''}."
        )
    numbers = torch.tensor([number_of[name] for name in dataset.class_names])
    return replace(dataset, labels=numbers[dataset.labels], class_names=class_names)


def stratified_indices(labels: Tensor, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return (kept, held out) indices, both ascending, with `size` held out in the proportions of the classes.

    Rounding gives the remaining places to the classes with the largest fractions (the largest-remainder method). Of
    every class at least one sample is kept, so `size` is at most the samples less the classes that have any.
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
    """Return how many of each class are held out; counts: samples of each class, int64 [num_classes]."""
    quotas = counts.double() * size / counts.sum()
    taken = quotas.floor().long()
    remainder = torch.argsort(quotas - taken, descending=True, stable=True)[: size - int(taken.sum())]
    taken[remainder] += 1
    most = (counts - 1).clamp(min=0)
    freed = int((taken - most).clamp(min=0).sum())
    taken = taken.minimum(most)
    for _ in range(freed):  # to the class that is furthest below its part, of those that have samples to spare
        taken[torch.where(taken < most, quotas - taken, -torch.inf).argmax()] += 1
    return taken


def hold_out(dataset: Dataset, size: int, seed: int, setting: str = "validation_size") -> tuple[Dataset, Dataset]:
    """Split a data set into (training, held out) parts, stratified by class and reproducible from the seed.

    Training keeps an image of every class. RunError, which names the `setting` that gave the size, where there are not
    as many images.
    """
    num_classes = len(dataset.labels.unique())
    if not 0 < size <= len(dataset) - num_classes:
        raise RunError(
            f"{setting} is {size}, but {dataset.name} has {len(dataset)} training images to hold it out of, and one of "
            f"each of {num_classes} classes has to stay: at most {len(dataset) - num_classes} can be held out."
        )
    kept, held = stratified_indices(dataset.labels, size, seed)
    return dataset.subset(kept), dataset.subset(held)


def balanced_weights(labels: Tensor, num_classes: int) -> tuple[float, ...]:
    """Return a weight for each class, the inverse of how frequent it is: n / (classes x count), 0 for an empty one.

    They average 1 over the n images.
    """
    counts = torch.bincount(labels, minlength=num_classes).double()
    present = int((counts > 0).sum())
    return tuple((len(labels) / (present * counts)).where(counts > 0, 0).tolist())
