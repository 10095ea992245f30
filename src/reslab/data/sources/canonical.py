"""One order of the images for everybody, whichever copy of a data set they have."""

import hashlib

import torch

from reslab.data.dataset import ArrayDataset, Splits


def in_canonical_order(splits: Splits) -> Splits:
    """Sort the images of every part by the hash of their content.

    Archives of one data set differ in the order of their records, and a run's batches, its held-out part and its
    fingerprint all follow that order. In the canonical order they are the same for every copy. The hash spreads
    classes and brightness evenly, so that the first thousand images are a fair sample.

    Args:
        splits: The parts of a data set; image files stay as they are, since they are sorted by class and name.

    Returns:
        The same parts. Equal images with equal labels may change places, which nothing can tell.
    """
    train, validation, test = (
        _sorted(part) if isinstance(part, ArrayDataset) else part
        for part in (splits.train, splits.validation, splits.test)
    )
    assert train is not None
    return Splits(train, validation, test)


def _sorted(dataset: ArrayDataset) -> ArrayDataset:
    hashes = [
        hashlib.sha256(image.tobytes() + label.to_bytes(8, "little")).digest()
        for image, label in zip(dataset.images.contiguous().numpy(), dataset.labels.tolist(), strict=True)
    ]
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    return dataset.subset(torch.tensor(order, dtype=torch.int64))
