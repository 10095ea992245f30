"""The words that errors are made of."""

import pytest

from reslab.errors import counted


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (1_078, "image", "1,078 images"),
        (1, "class", "1 class"),
        (3, "class", "3 classes"),
        (2, "micro-batch", "2 micro-batches"),
        (2, "branch", "2 branches"),
        (16, "epoch", "16 epochs"),
        (2, "process", "2 processes"),
    ],
)
def test_a_number_and_its_noun_agree(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
