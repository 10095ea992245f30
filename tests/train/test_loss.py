"""What training makes small, against the same written out in float64."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.artifacts.model_file import ModelCard
from reslab.builders import build_train_options
from reslab.config import RunConfig, override
from reslab.data import ArrayDataset
from reslab.data.augment import no_augment
from reslab.data.dataset import balanced_weights
from reslab.data.preprocess import Normalizer, measure_preprocess
from reslab.data.stream import Batch, MemoryStream
from reslab.engines.training import Engine
from reslab.models import build
from reslab.optim import LearningRate, make_sgd
from reslab.optim.schedules import constant
from reslab.recipes import recipe
from reslab.spec.families import model_spec
from reslab.train import Trainer, TrainOptions
from reslab.train.loss import CrossEntropy

CPU = torch.device("cpu")
SKEWED = torch.tensor([0] * 9 + [1] + [0] * 5 + [2])  # 14, 1 and 1 of three classes
NAMES = ("common", "rare", "odd")
WEIGHTS = balanced_weights(SKEWED, 3)


def skewed_data() -> ArrayDataset:
    images = torch.randint(0, 256, (16, 1, 8, 8), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    return ArrayDataset("skewed", images, SKEWED, NAMES)


def make_trainer(accumulation: int, label_smoothing: float = 0.0) -> Trainer:
    torch.manual_seed(0)
    data = skewed_data()
    preprocess = measure_preprocess(data, mean="channel", scale="std")
    # with batch norm, a piece would have statistics of its own
    model = build(replace(model_spec("cifar_resnet8", in_channels=1, num_classes=3), norm="none"))
    return Trainer(
        model,
        make_sgd(model, lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0, decay_norm_and_bias=True),
        LearningRate(0.1, constant(), constant()),
        MemoryStream(data, Normalizer(preprocess, CPU), no_augment, batch_size=16, seed=0, device=CPU),
        TrainOptions(iterations=1, accumulation=accumulation, class_weights=WEIGHTS, label_smoothing=label_smoothing),
        card=ModelCard(preprocess=preprocess, class_names=NAMES, recipe="test"),
        device=CPU,
    )


def written_out(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """The mean over the images of w[y] (-(1 - e) log p[y] - e / K sum over k of log p[k])."""
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    surprise = -(logits - logits.exp().sum(1, keepdim=True).log())
    own = surprise[torch.arange(len(labels)), labels]
    return (weights[labels] * ((1 - smoothing) * own + smoothing * surprise.mean(1))).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("pieces", [1, 2, 4, 16])
def test_with_class_weights_any_number_of_pieces_gives_the_gradients_of_the_whole_batch(
    pieces: int, smoothing: float
) -> None:
    trainer = make_trainer(pieces, smoothing)
    batch = trainer.stream.batch(0)
    reference = deepcopy(trainer.model).double().train()
    expected = written_out(reference(batch.images.double()), batch.labels, smoothing)
    expected.backward()
    assert trainer.forward_backward(batch).item() == pytest.approx(expected.item(), rel=1e-5)
    for ours, theirs in zip(trainer.model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-6)  # type: ignore[union-attr]


def test_over_the_training_set_it_is_torchs_weighted_mean() -> None:
    logits = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
    ours = CrossEntropy(CPU, WEIGHTS, 0.0)
    theirs = F.cross_entropy(logits, SKEWED, weight=torch.tensor(WEIGHTS))
    # the weights average 1 over the training set, so that n is the sum of the weights
    torch.testing.assert_close(ours(logits, Batch(torch.empty(0), SKEWED)), theirs)
    part = slice(8, 12)
    scale = torch.tensor(WEIGHTS)[SKEWED[part]].sum() / 4
    theirs = scale * F.cross_entropy(logits[part], SKEWED[part], weight=torch.tensor(WEIGHTS))
    torch.testing.assert_close(ours(logits[part], Batch(torch.empty(0), SKEWED[part])), theirs)


@pytest.mark.parametrize("common", [19, 99, 999])
def test_however_rare_a_class_the_best_answer_to_an_image_is_its_own(common: int) -> None:
    labels = torch.tensor([0] * common + [1])
    objective = CrossEntropy(CPU, balanced_weights(labels, 2), 0.1)
    logits = torch.zeros(2, 2, requires_grad=True)  # of all images of each class, which look alike
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective(logits[labels], Batch(torch.empty(0), labels))
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(logits.softmax(1), torch.tensor([[0.95, 0.05], [0.05, 0.95]]), atol=1e-3, rtol=0)


def test_without_class_weights_it_is_torchs_to_the_bit() -> None:
    logits = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
    for smoothing in (0.0, 0.1):
        ours = CrossEntropy(CPU, None, smoothing)(logits, Batch(torch.empty(0), SKEWED))
        assert torch.equal(ours, F.cross_entropy(logits, SKEWED, label_smoothing=smoothing))


def test_mixed_images_count_with_the_weights_of_both_labels() -> None:
    logits = torch.randn(16, 3, generator=torch.Generator().manual_seed(1)).double()
    batch = Batch(torch.empty(0), SKEWED, SKEWED.roll(1), 0.3)
    expected = 0.3 * written_out(logits, SKEWED, 0.1) + 0.7 * written_out(logits, SKEWED.roll(1), 0.1)
    found = CrossEntropy(CPU, WEIGHTS, 0.1)(logits.float(), batch)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def _loop_of(config: RunConfig) -> TrainOptions:
    chosen = Engine(precision="fp32", fused_norm=False, compiled=False, reason="test")
    data = replace(skewed_data(), class_names=(*NAMES, "absent"))
    return build_train_options(config, chosen, data)


def test_weights_average_one_over_the_images_that_are_shown() -> None:
    config = override(recipe("digits-resnet20"), {"train": {"class_weights": "balanced"}})
    natural = _loop_of(config).class_weights
    assert natural is not None
    assert natural == (*WEIGHTS, 0.0)
    balanced = _loop_of(override(config, {"data": {"sampling": "balanced"}})).class_weights
    assert balanced is not None
    assert sum(balanced[:3]) / 3 == pytest.approx(1)  # every class is shown as often, but the absent one
    assert balanced == pytest.approx([3 * weight / sum(WEIGHTS) for weight in natural])
    assert _loop_of(recipe("digits-resnet20")).class_weights is None
