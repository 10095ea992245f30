"""Worst, least certain and mislabelled samples: small cases by hand, planted label noise found."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestNeighbors

from reslab.analysis import least_certain, likely_mislabelled, neighbour_votes, penultimate_features, worst_mistakes
from reslab.analysis.label_errors import Ranking
from reslab.artifacts.model_file import load_model
from reslab.data.preprocess import Normalizer, measure_preprocess
from reslab.data.sources import open_splits
from reslab.errors import UsageError
from reslab.evaluation import predict_split
from reslab.models import create_model

CPU = torch.device("cpu")
RECORDED = Path(__file__).parents[2] / "results" / "cifar-resnet20" / "0.safetensors"
PROBABILITIES = torch.tensor([[0.90, 0.08, 0.02], [0.50, 0.45, 0.05], [0.01, 0.01, 0.98], [0.20, 0.70, 0.10]])
LABELS = torch.tensor([0, 1, 0, 2])


def plant(labels: torch.Tensor, num_classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return labels of which 2 % are another class, drawn evenly, and which those are."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(labels), generator=generator)[: len(labels) // 50]
    noisy = labels.clone()
    noisy[chosen] += torch.randint(1, num_classes, (len(chosen),), generator=generator)
    return noisy % num_classes, chosen


def share_found(ranking: Ranking, planted: torch.Tensor) -> float:
    """How many of the planted are among the first 3 %."""
    return torch.isin(planted, ranking.first(len(ranking) * 3 // 100).indices).double().mean().item()


def test_worst_mistakes_are_wrong_answers_by_their_loss() -> None:
    found = worst_mistakes(PROBABILITIES, LABELS)
    assert found.indices.tolist() == [2, 3, 1]
    assert found.suggestions.tolist() == [2, 1, 0]
    torch.testing.assert_close(found.scores, -torch.tensor([0.01, 0.10, 0.45]).double().log(), rtol=1e-6, atol=0)


def test_the_least_certain_have_the_smallest_margin() -> None:
    found = least_certain(PROBABILITIES)
    assert found.indices.tolist() == [1, 3, 0, 2]
    assert found.suggestions.tolist() == [1, 0, 1, 0]
    torch.testing.assert_close(found.scores, torch.tensor([0.95, 0.5, 0.18, 0.03]).double(), rtol=0, atol=1e-6)


def test_the_mislabelled_have_the_greatest_odds_against_their_label() -> None:
    found = likely_mislabelled(PROBABILITIES, LABELS)
    assert found.indices.tolist() == [2, 3, 1, 0]
    assert found.suggestions.tolist() == [2, 1, 0, 1]
    assert found.scores[1].item() == pytest.approx(torch.tensor(7.0).log().item(), rel=1e-5)
    assert found.scores[3] < 0
    # a certain zero for the label is a great score, not an infinite one
    assert likely_mislabelled(torch.tensor([[1.0, 0.0]]), torch.tensor([1])).scores.isfinite().all()
    # neighbours that stand by the label take it down
    votes = torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.96, 0.02, 0.02], [0.1, 0.8, 0.1]])
    assert likely_mislabelled(PROBABILITIES, LABELS, votes).indices.tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("rows_at_once", [1, 64, 1000])
def test_neighbour_votes_are_scikit_learns_neighbours(monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    monkeypatch.setattr("reslab.analysis.label_errors._SIMILARITIES_AT_ONCE", rows_at_once * 300)
    generator = torch.Generator().manual_seed(0)
    found_features = torch.randn(300, 12, generator=generator)
    labels = torch.randint(0, 4, (300,), generator=generator)
    found = neighbour_votes(found_features, labels, 4, k=7)
    others = NearestNeighbors(n_neighbors=7, metric="cosine").fit(found_features)
    nearest = others.kneighbors(return_distance=False)  # without a query it leaves the point itself out
    expected = F.one_hot(labels[torch.from_numpy(nearest)], 4).sum(1)
    torch.testing.assert_close(found, (expected + 0.25) / 8)
    with pytest.raises(UsageError, match="k is 300; allowed for 300 samples: 1 to 299"):
        neighbour_votes(found_features, labels, 4, k=300)


@pytest.mark.parametrize("epochs", [2, 15])
def test_planted_label_noise_is_found_in_the_networks_own_training_images(epochs: int) -> None:
    """After 2 epochs the network has not learned the wrong labels; after 15 it knows them by heart."""
    train = open_splits("digits", None).train
    noisy, planted = plant(train.labels, 10)
    dataset = replace(train, labels=noisy)
    spec = measure_preprocess(dataset, mean="channel", scale="std")  # type: ignore[arg-type]
    images = Normalizer(spec, CPU)(dataset.images)  # type: ignore[union-attr]
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = create_model("cifar_resnet8", num_classes=10, in_channels=1)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=generator).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[chosen]), noisy[chosen]).backward()
            optimizer.step()
    answers = predict_split(model, dataset, spec, split="train")
    wrong_learned = (answers.classes[planted] == noisy[planted]).double().mean()
    assert wrong_learned < 0.1 if epochs == 2 else wrong_learned > 0.9
    votes = neighbour_votes(penultimate_features(model, images.split(256)), noisy, 10)
    assert share_found(likely_mislabelled(answers.probabilities, noisy, votes), planted) >= 0.8


def test_planted_label_noise_is_found_in_cifars_test_images(data_root: Path) -> None:
    loaded = load_model(RECORDED)
    test = open_splits("cifar10", str(data_root / "cifar-10-batches-bin")).part("test")
    part = test.subset(torch.arange(2500))
    answers = predict_split(loaded.model, part, loaded.card.preprocess, split="test")
    for seed in range(3):
        noisy, planted = plant(part.labels, 10, seed)
        assert share_found(likely_mislabelled(answers.probabilities, noisy), planted) >= 0.85
