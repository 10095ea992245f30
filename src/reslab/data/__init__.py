"""Images and labels: sources, checks, augmentation and batches."""

from .dataset import ArrayDataset, Dataset, FileDataset, Splits

__all__ = ["ArrayDataset", "Dataset", "FileDataset", "Splits"]
