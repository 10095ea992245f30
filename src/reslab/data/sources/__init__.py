"""Where data comes from: `open_splits` finds it, recognises it and reads it."""

from .folder import read_split
from .locate import KINDS, data_root, open_splits

__all__ = ["KINDS", "data_root", "open_splits", "read_split"]
