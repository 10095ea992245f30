"""Where data comes from: `open_splits` finds it and reads it."""

import os
from pathlib import Path

from reslab.errors import Failure

from ..dataset import Splits
from .cifar import load_cifar10
from .digits import load_digits

__all__ = ["open_splits"]


def open_splits(kind: str, path: str | None) -> Splits:
    """Return the data of a kind, from `path` or from under RESLAB_DATA."""
    if kind == "digits":
        return load_digits()
    root = path or os.environ.get("RESLAB_DATA")
    if root is None:
        raise Failure("where is CIFAR-10? Give --data PATH, or set RESLAB_DATA to the folder that holds it.")
    return load_cifar10(Path(root))
