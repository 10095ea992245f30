"""CIFAR-10 in the official binary layout."""

from pathlib import Path

import numpy as np
import torch

from reslab.errors import Failure

from ..dataset import ArrayDataset, Splits

_RECORD = 1 + 3 * 32 * 32  # a label byte, then the planes R, G, B


def load_cifar10(root: Path) -> Splits:
    """Return (train, None, test) from `root/cifar-10-batches-bin` or that folder itself."""
    folder = root / "cifar-10-batches-bin"
    folder = folder if folder.is_dir() else root
    if not (folder / "test_batch.bin").is_file():
        raise Failure(f"{folder}: holds no CIFAR-10 in the binary layout (test_batch.bin is missing).")
    names = tuple((folder / "batches.meta.txt").read_text().split())
    train = [folder / f"data_batch_{number}.bin" for number in range(1, 6)]
    return Splits(_read(train, names), None, _read([folder / "test_batch.bin"], names))


def _read(paths: list[Path], class_names: tuple[str, ...]) -> ArrayDataset:
    records = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, _RECORD) for path in paths])
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy())
    return ArrayDataset("cifar10", images, torch.from_numpy(records[:, 0].astype(np.int64)), class_names)
