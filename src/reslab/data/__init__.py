"""Images and labels: where they come from, how they become batches."""

from .dataset import ArrayDataset, Dataset, FileDataset, Splits

__all__ = ["ArrayDataset", "Dataset", "FileDataset", "Splits"]
