"""Write the package's embedded digits from scikit-learn's copy of the UCI test set.

    python tools/make_digits.py src/reslab/data/sources/digits.npz

"Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998), UCI Machine Learning Repository,
CC BY 4.0. The split is fixed here, once: stratified by class, in the proportions 60 : 20 : 20.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

SEED = 20151210
PARTS = (0.6, 0.2, 0.2)


def main(path: Path) -> None:
    digits: Any = load_digits()
    images = digits.images.astype(np.uint8)  # 0 .. 16
    labels = digits.target.astype(np.uint8)
    random = np.random.default_rng(SEED)
    split = np.empty(len(labels), np.uint8)
    for label in range(10):
        members = random.permutation(np.flatnonzero(labels == label))
        bounds = np.round(np.cumsum(PARTS[:2]) * len(members)).astype(int)
        for number, part in enumerate(np.split(members, bounds)):
            split[part] = number
    np.savez_compressed(path, images=images, labels=labels, split=split)
    print(f"{path}: {np.bincount(split).tolist()} images for training, validation, test; {path.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
