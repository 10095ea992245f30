"""What a report shows of images: what was planted comes first, on the page and in its lists."""

import base64
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from reslab import create_model
from reslab.artifacts.model_file import ModelCard, load_model
from reslab.data import ArrayDataset, FileDataset, Splits
from reslab.data.sources import open_splits
from reslab.report import judge, write_model_report
from reslab.spec import PreprocessSpec
from reslab.system.progress import counting

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
    assert found.duplicates is not None
    assert (len(found.suspects), len(found.duplicates)) == (60, 60)  # 3 % of the images
    suspected = {row.index for row in found.suspects}
    assert len(suspected & set(renamed.tolist())) >= 36  # 9 of 10
    pairs = {(row.index, row.match, row.is_mirrored) for row in found.duplicates}
    assert pairs >= {(index, index, True) for index in copied.tolist()}
    page = write_model_report(found, tmp_path / "page.html", name="m", recipe="r", metrics=None, command="c")
    text = page.read_text()
    assert all(f"<td>image {index}</td>" in text for index in suspected)
    assert page.stat().st_size < 1_000_000


def test_of_training_images_the_neighbours_are_asked_too(cifar: Splits) -> None:
    train = cifar.train.subset(torch.arange(300))
    loaded = load_model(RECORDED)
    found = judge(loaded.model, loaded.card, train, split="train", train=None, watch=counting)
    by_network = judge(loaded.model, loaded.card, train, split="validation", train=None, watch=counting)
    assert found.duplicates is None
    assert found.suspects != by_network.suspects
    assert found.scores.classes == by_network.scores.classes


def test_photos_are_named_by_class_folder_and_file_and_shown_as_the_network_sees_them(
    imagenette: Path, tmp_path: Path
) -> None:
    photos = open_splits("folder", str(imagenette))
    some = photos.part("validation").subset(torch.arange(0, 3000, 120))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = create_model("resnet18", num_classes=10).eval()
    spec = PreprocessSpec(
        channels=3, height=112, width=112, short_side=128, mean=(120.0, 115.0, 105.0), std=(70.0, 70.0, 70.0)
    )
    card = ModelCard(preprocess=spec, class_names=some.class_names, recipe="folder", temperature=2.0)
    train = photos.train.subset(torch.arange(40))
    found = judge(model, card, some, split="validation", train=train, watch=counting)
    assert isinstance(some, FileDataset)
    shown = found.galleries.uncertain[0]
    assert shown.name == "/".join(some.paths[shown.index].parts[-2:])
    with Image.open(BytesIO(base64.b64decode(shown.picture.split(",")[1]))) as picture:
        assert picture.size == (112, 112)
    assert found.scores.temperature == 2.0
    page = write_model_report(found, tmp_path / "page.html", name="m", recipe="r", metrics=None, command="c")
    assert "at the model file&#39;s temperature 2.000" in page.read_text()
    assert page.stat().st_size < 2_000_000
