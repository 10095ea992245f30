"""CIFAR-10 and CIFAR-100 in the official binary and python layouts, packed or unpacked."""

import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from reslab.data.dataset import ArrayDataset, Splits
from reslab.errors import RunError

_PIXELS = 3 * 32 * 32  # planes R, G, B

Read = Callable[[str], bytes]  # from a member's name to its bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one official archive.

    Attributes:
        name: The data set.
        archive: File name of the archive.
        md5: The archive's MD5.
        folder: The folder inside the archive.
        train: Names of the training files.
        test: Name of the test file.
        records: Records in each training file, and in the test file.
        names: Name of the file that lists the classes.
        is_binary: Whether the files are of the binary layout; else they are python pickles.
        label_bytes: Label bytes of a binary record, of which the last is used.
    """

    name: Literal["cifar10", "cifar100"]
    archive: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: str
    records: tuple[int, int]
    names: str
    is_binary: bool
    label_bytes: int = 1

    @property
    def num_classes(self) -> int:
        """Classes of the data set."""
        return 10 if self.name == "cifar10" else 100

    @property
    def url(self) -> str:
        """Address of the archive."""
        return f"https://www.cs.toronto.edu/~kriz/{self.archive}"


_FIVE = tuple(f"data_batch_{number}" for number in range(1, 6))
LAYOUTS = (
    Layout("cifar10", "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", "cifar-10-batches-py",
           _FIVE, "test_batch", (10_000, 10_000), "batches.meta", is_binary=False),
    Layout("cifar10", "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", "cifar-10-batches-bin",
           tuple(f"{name}.bin" for name in _FIVE), "test_batch.bin", (10_000, 10_000), "batches.meta.txt",
           is_binary=True),
    Layout("cifar100", "cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", "cifar-100-python",
           ("train",), "test", (50_000, 10_000), "meta", is_binary=False),
    Layout("cifar100", "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", "cifar-100-binary",
           ("train.bin",), "test.bin", (50_000, 10_000), "fine_label_names.txt", is_binary=True, label_bytes=2),
)  # fmt: skip


def load_cifar(path: Path, layout: Layout) -> Splits:
    """Read CIFAR from an archive, without unpacking it, or from the folder that contains its files.

    Args:
        path: The archive or the folder.
        layout: Its layout.

    Returns:
        Training and test, without validation; images uint8 [n, 3, 32, 32].

    Raises:
        RunError: A file is missing, cut off or not the official one.
    """
    try:
        if path.is_dir():
            return _load(layout, _folder_reader(path))
        with tarfile.open(path) as archive:
            return _load(layout, _archive_reader(archive))
    except RunError as error:
        raise RunError(f"{path}: {error}") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise RunError(
            f"{path}: damaged or cut off ({error}); download {layout.archive} again from {layout.url}."
        ) from None


def _folder_reader(folder: Path) -> Read:
    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise RunError(f"cannot read {name} ({error.strerror}); unpack the official archive again.") from None

    return read


def _archive_reader(archive: tarfile.TarFile) -> Read:
    members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}

    def read(name: str) -> bytes:
        member = members.get(name)
        file = archive.extractfile(member) if member else None
        if file is None:
            raise RunError(f"has no file {name!r}, so it is not the official archive.")
        return file.read()  # nothing is unpacked to disk

    return read


def _load(layout: Layout, read: Read) -> Splits:
    class_names = _class_names(layout, read)
    train = _join(layout, [_records(layout, read, name, layout.records[0]) for name in layout.train], class_names)
    test = _join(layout, [_records(layout, read, layout.test, layout.records[1])], class_names)
    return Splits(train, None, test)


def _join(layout: Layout, parts: list[tuple[np.ndarray, np.ndarray]], class_names: tuple[str, ...]) -> ArrayDataset:
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    images = torch.from_numpy(pixels.reshape(-1, 3, 32, 32))
    return ArrayDataset(layout.name, images, torch.from_numpy(labels.astype(np.int64)), class_names)


def _class_names(layout: Layout, read: Read) -> tuple[str, ...]:
    content = read(layout.names)
    if layout.is_binary:
        names = tuple(_text(content).split())
    else:
        key = b"label_names" if layout.name == "cifar10" else b"fine_label_names"
        values = _unpickle(layout.names, content, key)
        names = tuple(_text(name) for name in values) if isinstance(values, list) else ()
    if len(names) != layout.num_classes:
        raise RunError(
            f"{layout.names}: lists {len(names)} classes, not {layout.num_classes}; unpack the official archive again."
        )
    return names


def _records(layout: Layout, read: Read, name: str, expected: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (pixels uint8 [n, 3072], labels [n]) of one file, checked."""
    content = read(name)
    pixels, labels = _binary(layout, name, content) if layout.is_binary else _python(layout, name, content)
    if len(pixels) != expected or len(labels) != expected:
        raise RunError(
            f"{name}: has {len(pixels)} images and {len(labels)} labels, not {expected} of each; it is cut off or not "
            "the official file."
        )
    outside = labels[(labels < 0) | (labels >= layout.num_classes)]
    if len(outside):
        raise RunError(
            f"{name}: has label {outside[0]}, outside 0 to {layout.num_classes - 1}; it is not the official file."
        )
    return pixels, labels


def _binary(layout: Layout, name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    size = layout.label_bytes + _PIXELS
    if len(content) % size:
        raise RunError(f"{name}: has {len(content)} bytes, not a multiple of a record's {size} bytes; it is cut off.")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    # CIFAR-100 has a coarse label first; the fine label is the last byte before the pixels
    return records[:, layout.label_bytes :].copy(), records[:, layout.label_bytes - 1]


def _python(layout: Layout, name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    key = b"labels" if layout.name == "cifar10" else b"fine_labels"
    pixels = np.asarray(_unpickle(name, content, b"data"))
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != _PIXELS:
        raise RunError(f"{name}: the pixels are {pixels.dtype} {list(pixels.shape)}, not uint8 [n, {_PIXELS}].")
    labels = np.asarray(_unpickle(name, content, key))
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise RunError(f"{name}: the labels are {labels.dtype} {list(labels.shape)}, not a list of whole numbers.")
    return pixels, labels


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


class _Refused(pickle.UnpicklingError):
    """A pickle asked for something that arrays and lists do not need."""


class _ArraysOnly(pickle.Unpickler):
    """An unpickler for lists and arrays that refuses to call anything else."""

    _ALLOWED = frozenset(
        (module, name)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy", "_codecs")
        for name in ("_reconstruct", "ndarray", "dtype", "encode")
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise _Refused(f"it asks to call {module}.{name}")
        if module == "numpy.core.multiarray":  # the archives were written long before numpy 2 moved it
            module = "numpy._core.multiarray"
        return super().find_class(module, name)


def _unpickle(name: str, content: bytes, key: bytes) -> Any:
    try:
        values = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        return values[key] if key in values else values[key.decode()]
    except _Refused as error:
        raise RunError(f"{name}: refused, because {error}; the official files contain only arrays and lists.") from None
    except Exception as error:
        raise RunError(f"{name}: damaged or not an official file ({type(error).__name__}: {error}).") from None
