"""What a report shows of images: what was planted comes first, on the page and in its lists."""

from pathlib import Path

import pytest
import torch

from reslab.data import ArrayDataset, Splits
from reslab.data.sources import open_splits
from reslab.modelfile import load_model
from reslab.progress import counting
from reslab.report import judge, write_model_report

RECORDED = Path(__file__).parents[2] / "results" / "cifar-resnet20" / "0.safetensors"


@pytest.fixture(scope="module")
def cifar(data_root: Path) -> Splits:
    return open_splits("cifar10", str(data_root / "cifar-10-batches-bin"))


def test_planted_wrong_labels_and_copies_are_in_the_first_3_percent_that_a_report_lists(
    cifar: Splits, tmp_path: Path
) -> None:
    test, train = cifar.part("test"), cifar.train
    assert isinstance(test, ArrayDataset)
    assert isinstance(train, ArrayDataset)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(2000, generator=generator)
    renamed, copied = chosen[:40], chosen[40:60]
    labels, images = test.labels[:2000].clone(), test.images[:2000].clone()
    labels[renamed] = (labels[renamed] + torch.randint(1, 10, (40,), generator=generator)) % 10
    images[copied] = (0.9 * train.images[copied].flip(-1) + 12).to(torch.uint8)  # mirrored, of less contrast
    labels[copied] = train.labels[copied]
    spoiled = ArrayDataset("cifar10", images, labels, test.class_names)
    loaded = load_model(RECORDED)
    found = judge(
        loaded.model, loaded.card, spoiled, split="test", train=train.subset(torch.arange(4000)), watch=counting
    )
    assert (len(found["suspects"]), len(found["duplicates"])) == (60, 60)  # 3 % of the images
    suspected = {row["index"] for row in found["suspects"]}
    assert len(suspected & set(renamed.tolist())) >= 36  # 9 of 10
    pairs = {(row["index"], row["match"], row["is_mirrored"]) for row in found["duplicates"]}
    assert pairs >= {(index, index, True) for index in copied.tolist()}
    page = write_model_report(found, tmp_path / "page.html", name="m", recipe="r", metrics={}, command="c")
    text = page.read_text()
    assert all(f"<td>image {index}</td>" in text for index in suspected)
    assert page.stat().st_size < 1_000_000


def test_of_training_images_the_neighbours_are_asked_too(cifar: Splits) -> None:
    train = cifar.train.subset(torch.arange(300))
    loaded = load_model(RECORDED)
    found = judge(loaded.model, loaded.card, train, split="train", train=None, watch=counting)
    by_network = judge(loaded.model, loaded.card, train, split="validation", train=None, watch=counting)
    assert found["duplicates"] is None
    assert found["suspects"] != by_network["suspects"]
    assert found["scores"]["classes"] == by_network["scores"]["classes"]
