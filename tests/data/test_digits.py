"""The embedded digits, against scikit-learn's copy."""

import pytest
import torch

from reslab.data.dataset import hold_out, stratified_indices
from reslab.data.sources.digits import load_digits
from reslab.errors import RunError


def test_every_digit_of_the_uci_set_is_there_once() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    splits = load_digits()
    parts = [splits.train, splits.validation, splits.test]
    ours = torch.cat([part.images for part in parts]).squeeze(1).double() * 16 / 255  # type: ignore[union-attr]
    labels = torch.cat([part.labels for part in parts])  # type: ignore[union-attr]
    key = [(*image.round().int().flatten().tolist(), label) for image, label in zip(ours, labels.tolist(), strict=True)]
    expected = [
        (*image.astype(int).flatten().tolist(), label)
        for image, label in zip(theirs.images, theirs.target, strict=True)
    ]
    assert sorted(key) == sorted(expected)


def test_the_split_is_fixed_and_stratified() -> None:
    splits = load_digits()
    assert (len(splits.train), len(splits.part("validation")), len(splits.part("test"))) == (1078, 360, 359)
    shares = [torch.bincount(part.labels) / len(part) for part in (splits.train, splits.part("test"))]
    assert (shares[0] - shares[1]).abs().max() < 0.01
    assert splits.train.fingerprint() == load_digits().train.fingerprint()


def test_holding_out_is_stratified_disjoint_and_repeatable() -> None:
    labels = load_digits().train.labels
    kept, held = stratified_indices(labels, 108, seed=5)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert len(held) == 108
    assert (torch.bincount(labels[held]) - torch.bincount(labels) * 108 / len(labels)).abs().max() < 1
    assert torch.equal(held, stratified_indices(labels, 108, seed=5)[1])
    assert not torch.equal(held, stratified_indices(labels, 108, seed=6)[1])


def test_holding_out_everything_is_refused() -> None:
    with pytest.raises(RunError, match="1078 training images"):
        hold_out(load_digits().train, 1078, 0)
