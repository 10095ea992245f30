"""CIFAR-10 and CIFAR-100 in the official binary and python layouts, from an archive or an unpacked folder."""

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
    """One official archive: its files, and the records in them; of a binary record's label bytes the last counts."""

    name: Literal["cifar10", "cifar100"]
    archive: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: str
    records: tuple[int, int]  # in each training file, in the test file
    names: str
    is_binary: bool
    label_bytes: int = 1

    @property
    def num_classes(self) -> int:
        return 10 if self.name == "cifar10" else 100

    @property
    def url(self) -> str:
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
    """Return (train, None, test) from an archive or from the folder that holds its files; images uint8 [n, 3, 32, 32].

    RunError names the file that is missing, truncated or not what it should be.
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
            raise RunError(f"{name} cannot be read ({error.strerror}); unpack the official archive again.") from None

    return read


def _archive_reader(archive: tarfile.TarFile) -> Read:
    members = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}

    def read(name: str) -> bytes:
        member = members.get(name)
        file = archive.extractfile(member) if member else None
        if file is None:
            raise RunError(f"holds no file {name!r}; it is not the official archive.")
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
        listed = _unpickle(layout.names, content, key)
        names = tuple(_text(name) for name in listed) if isinstance(listed, list) else ()
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
        found = f"{len(pixels)} images and {len(labels)} labels"
        raise RunError(f"{name}: holds {found}, not {expected} of each; it is cut off or not the official file.")
    outside = labels[(labels < 0) | (labels >= layout.num_classes)]
    if len(outside):
        raise RunError(
            f"{name}: has a label {outside[0]} outside 0 .. {layout.num_classes - 1}; it is not the official file."
        )
    return pixels, labels


def _binary(layout: Layout, name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    size = layout.label_bytes + _PIXELS
    if len(content) % size:
        raise RunError(f"{name}: {len(content)} bytes are no whole number of records of {size} bytes; it is cut off.")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    # CIFAR-100 has a coarse label first; the fine one is the last byte before the pixels
    return records[:, layout.label_bytes :].copy(), records[:, layout.label_bytes - 1]


def _python(layout: Layout, name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    key = b"labels" if layout.name == "cifar10" else b"fine_labels"
    pixels = np.asarray(_unpickle(name, content, b"data"))
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != _PIXELS:
        raise RunError(f"{name}: its data is {pixels.dtype} {list(pixels.shape)}, not uint8 [n, {_PIXELS}].")
    labels = np.asarray(_unpickle(name, content, key))
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise RunError(f"{name}: its labels are {labels.dtype} {list(labels.shape)}, not a list of whole numbers.")
    return pixels, labels


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


class _Refused(pickle.UnpicklingError):
    """A pickle asked for something that arrays and lists do not need."""


class _ArraysOnly(pickle.Unpickler):
    """Reads the python archives' dictionaries of lists and arrays, and refuses to call anything else."""

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
        raise RunError(f"{name}: refused, because {error}; the official files hold arrays and lists only.") from None
    except Exception as error:
        raise RunError(f"{name}: damaged or not an official file ({type(error).__name__}: {error}).") from None
