"""IDX files, the format of MNIST and Fashion-MNIST, plain or gzipped."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch

from reslab.data.dataset import ArrayDataset, Splits
from reslab.errors import RunError, counted

_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_UBYTE = 0x08


def find_idx(folder: Path, part: str, what: str) -> Path | None:
    """Find one of the four files, in any usual spelling.

    Args:
        folder: Where the files are.
        part: "train" or "t10k".
        what: "images-idx3" or "labels-idx1".

    Returns:
        The file; None if it does not exist.
    """
    names = [f"{part}-{what}-ubyte", f"{part}-{what.replace('-', '.')}-ubyte"]
    candidates = (folder / f"{name}{suffix}" for name in names for suffix in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def load_idx(folder: Path) -> Splits:
    """Read MNIST or a data set of the same format.

    The files do not name their classes. They are Fashion-MNIST's if the folder (or the one around `raw`) has "fashion"
    in its name, else digits.

    Args:
        folder: The folder of the four files.

    Returns:
        Training and test, without validation; images uint8 [n, 1, h, w].

    Raises:
        RunError: A file is missing, damaged or cut off, or the numbers of images and labels differ.
    """
    resolved = folder.resolve()
    is_fashion = "fashion" in (resolved.parent if resolved.name == "raw" else resolved).name.lower()
    train, test = (_part(folder, part, "fashion-mnist" if is_fashion else "mnist") for part in ("train", "t10k"))
    num_classes = int(max(train.labels.max(), test.labels.max())) + 1
    names = _FASHION if is_fashion and num_classes == len(_FASHION) else tuple(map(str, range(num_classes)))
    return Splits(
        ArrayDataset(train.name, train.images, train.labels, names), None,
        ArrayDataset(test.name, test.images, test.labels, names),
    )  # fmt: skip


def _part(folder: Path, part: str, name: str) -> ArrayDataset:
    images = read_idx(_existing(folder, part, "images-idx3"), num_dimensions=3)
    labels = read_idx(_existing(folder, part, "labels-idx1"), num_dimensions=1)
    if not len(images):
        raise RunError(f"{folder}: the {part} files contain no images.")
    if len(images) != len(labels):
        raise RunError(f"{folder}: the {part} files have {len(images)} images, but {len(labels)} labels.")
    return ArrayDataset(name, torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels.astype(np.int64)), ())


def _existing(folder: Path, part: str, what: str) -> Path:
    path = find_idx(folder, part, what)
    if path is None:
        raise RunError(f"{folder}: {part}-{what}-ubyte (or .gz) is missing; an IDX data set has four files.")
    return path


def read_idx(path: Path, *, num_dimensions: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or gzipped.

    Args:
        path: The file.
        num_dimensions: Dimensions that the array must have.

    Returns:
        The array, uint8.

    Raises:
        RunError: The file cannot be read, or its header or size is wrong.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"{path}: cannot be read; it may be damaged or cut off: {error}.") from None
    header = 4 + 4 * num_dimensions
    if len(content) < header or content[:4] != bytes((0, 0, _UBYTE, num_dimensions)):
        raise RunError(f"{path}: not an IDX file of unsigned bytes with {counted(num_dimensions, 'dimension')}.")
    shape = np.frombuffer(content, ">u4", num_dimensions, offset=4).astype(int)
    expected = int(shape.prod())
    if len(content) - header != expected:
        raise RunError(
            f"{path}: has {len(content) - header} values, but its header says {expected}; it is damaged or cut off."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()
