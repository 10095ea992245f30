"""The embedded data set: 1,797 real handwritten digits of 8x8 pixels.

"Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998), UCI Machine Learning Repository,
CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). `tools/make_digits.py` makes the array file.
"""

from importlib.resources import as_file, files

import numpy as np
import torch

from reslab.data.dataset import ArrayDataset, Splits

NAME = "digits"
_GREY_LEVELS = 16  # the set counts the black pixels of 4x4 cells: 0 .. 16


def load_digits() -> Splits:
    """Load the digits in a fixed stratified split, 60 : 20 : 20.

    Returns:
        Training, validation and test; images uint8 [n, 1, 8, 8].
    """
    with as_file(files("reslab.data.sources") / "digits.npz") as path, np.load(path) as arrays:
        grey = arrays["images"].astype(np.float64) * 255 / _GREY_LEVELS
        images = torch.from_numpy(np.rint(grey).astype(np.uint8)).unsqueeze(1)
        labels = torch.from_numpy(arrays["labels"].astype(np.int64))
        split = torch.from_numpy(arrays["split"].astype(np.int64))
    everything = ArrayDataset(NAME, images, labels, tuple(str(digit) for digit in range(10)))
    train, validation, test = (everything.subset(torch.nonzero(split == part).flatten()) for part in range(3))
    return Splits(train, validation, test)
