"""Search for data: by the content of a path, or by its kind below the data folder."""

import os
import tarfile
from pathlib import Path
from typing import Literal

from reslab.data.dataset import Splits
from reslab.errors import RunError, UsageError, check_choice
from reslab.system.paths import cache_folder

from .canonical import in_canonical_order
from .cifar import LAYOUTS, Layout, load_cifar
from .digits import load_digits
from .download import download
from .folder import is_image_folder, load_folder
from .idx import find_idx, load_idx

KINDS = ("auto", "digits", "cifar10", "cifar100", "idx", "folder")
Order = Literal["canonical", "archive"]
_IDX_FOLDERS = (
    "mnist",
    "MNIST",
    "MNIST/raw",
    "fashion-mnist",
    "fashion_mnist",
    "FashionMNIST",
    "FashionMNIST/raw",
    ".",
)
_DATA_SETS = (
    "CIFAR-10 or CIFAR-100 (official archive or its folder), an image folder with train/<class>/*, "
    "a folder of class folders, a CSV file of path,label, or the four IDX files of MNIST or Fashion-MNIST"
)


def data_root() -> Path:
    """Return the folder for downloaded data: $RESLAB_DATA, or the user's cache folder."""
    root = os.environ.get("RESLAB_DATA")
    return Path(root).expanduser() if root else cache_folder()


def open_splits(kind: str, path: str | None, *, channels: int | None = None, order: Order = "canonical") -> Splits:
    """Open a data set at a path or below the data folder; CIFAR is downloaded if it is in neither.

    Args:
        kind: "digits", "cifar10", "cifar100", "idx" or "folder". "auto" recognises the data by the content of `path`;
            without a path it is the embedded digits.
        path: Where the data is; None: below `data_root()`.
        channels: Channels that image files are decoded to; None: 3.
        order: "canonical" sorts the images of an archive by their content, "archive" leaves them as its files hold
            them. The digits are embedded in one order, and image files are sorted by class and name.

    Returns:
        The splits.

    Raises:
        UsageError: The kind does not exist, or takes no path.
        RunError: The path does not exist or has other content, or the data cannot be read or downloaded.
    """
    check_choice("data kind", kind, KINDS)
    if kind == "digits" or (kind == "auto" and path is None):
        if path is not None:
            raise UsageError(
                f"data.path is {path!r}, but data kind 'digits' is embedded in the package and takes no path; leave "
                "data.path out."
            )
        return load_digits()
    if path is not None:
        splits = _open_at(Path(path).expanduser(), kind, channels or 3)
    else:
        splits = _open_below(data_root(), kind)
    return in_canonical_order(splits) if order == "canonical" else splits


def _open_at(path: Path, kind: str, channels: int) -> Splits:
    if not path.exists():
        raise RunError(f"{path} does not exist. The data (data.path) can be {_DATA_SETS}.")
    for source, layout in filter(None, (_cifar_at(path, layout) for layout in LAYOUTS)):
        if kind in ("auto", layout.name):
            return load_cifar(source, layout)
    if kind in ("auto", "idx") and path.is_dir() and find_idx(path, "train", "images-idx3"):
        return load_idx(path)
    if kind == "folder" or (kind == "auto" and (_is_list(path) or is_image_folder(path))):
        return load_folder(path, channels)
    expected = "a data set" if kind == "auto" else f"data of kind {kind!r}"
    raise RunError(f"{path} is not {expected}. The data (data.path) can be {_DATA_SETS}.")


def _is_list(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and path.is_file()


def _cifar_at(path: Path, layout: Layout) -> tuple[Path, Layout] | None:
    """Return the archive or folder with the files of a layout: the path itself, or the official folder inside it."""
    if path.is_dir():
        return next(((folder, layout) for folder in (path, path / layout.folder) if _is_cifar(folder, layout)), None)
    return (path, layout) if layout.folder in _top_folders(path) else None


def _is_cifar(folder: Path, layout: Layout) -> bool:
    """Recognise a folder of a layout, complete or not."""
    if folder.is_dir() and folder.name == layout.folder:
        return True
    # "train", "test" and "meta" are names that any folder may have, so one of them is not enough
    has_images = any((folder / name).is_file() for name in (*layout.train, layout.test))
    return has_images and (folder / layout.names).is_file()


def _top_folders(path: Path) -> set[str]:
    """Return the top folder of an archive's first member; empty for a file that is not an archive."""
    try:
        with tarfile.open(path) as archive:
            first = archive.next()
            return set() if first is None else {first.name.strip("./").split("/")[0]}
    except (tarfile.TarError, OSError, EOFError):
        return set()


def _open_below(root: Path, kind: str) -> Splits:
    if kind == "idx":
        for name in _IDX_FOLDERS:
            if find_idx(root / name, "train", "images-idx3"):
                return load_idx(root / name)
        raise RunError(f"{root} has no IDX files; put MNIST's four files into {root / 'mnist'}, or set data.path.")
    if kind == "folder":
        raise RunError(
            "data.path is not set. Set it to a folder of images (train/<class>/* and val/<class>/*, or class folders), "
            "or to a CSV file of path,label."
        )
    layouts = [layout for layout in LAYOUTS if layout.name == kind]
    for layout in layouts:
        for source in (root / layout.folder, root / layout.archive):
            if source.exists():
                return load_cifar(source, layout)
    official = layouts[0]
    download(official.url, root / official.archive, official.md5)
    return load_cifar(root / official.archive, official)
