"""Sources of data: digits, CIFAR, IDX files, folders and CSV lists."""

from .folder import read_split
from .locate import KINDS, data_root, open_splits

__all__ = ["KINDS", "data_root", "open_splits", "read_split"]
