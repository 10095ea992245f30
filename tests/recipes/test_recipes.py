"""Recipes against the paper's numbers (Sec. 3.4, 4.2)."""

import subprocess
import sys

import pytest

from reslab.config import PadCrop, Plateau, ScaleCrop, Sgd, StepDecay, UntilTrainingError
from reslab.errors import UsageError
from reslab.recipes import DEVIATIONS, RECIPES, find_recipe, recipe, recipe_names


def test_all_recipes_of_the_issue_are_there() -> None:
    kinds = ("plain", "resnet")
    expected = [f"digits-{kind}{depth}" for kind in kinds for depth in (20, 56)]
    expected += [f"cifar-{kind}{depth}" for kind in kinds for depth in (20, 32, 44, 56, 110, 1202)]
    expected += [f"{name}-{size}" for name in expected if name.startswith("cifar-") for size in ("small", "fast")]
    expected += [f"imagenet-{kind}{depth}" for kind in kinds for depth in (18, 34)]
    expected += [f"imagenet-resnet{depth}" for depth in (50, 101, 152)] + ["folder"]
    assert sorted(recipe_names()) == sorted(expected)


@pytest.mark.parametrize("kind", ["plain", "resnet"])
@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110, 1202])
def test_cifar_recipes_are_section_4_2(kind: str, depth: int) -> None:
    config = recipe(f"cifar-{kind}{depth}")
    optim, train = config.optim, config.train
    assert isinstance(optim, Sgd)
    assert (optim.lr, optim.momentum, optim.nesterov, optim.weight_decay) == (0.1, 0.9, False, 1e-4)
    assert optim.decay_norm_and_bias
    assert (train.batch_size, train.iterations, config.evaluation.select) == (128, 64_000, "last")
    assert config.schedule == StepDecay(milestones=(32_000, 48_000), gamma=0.1)
    assert config.data.augment == PadCrop(padding=4, flip=True)
    assert (config.data.mean, config.data.validation_size) == ("pixel", 0)
    assert config.model.depth == depth
    assert config.model.shortcut == ("A" if kind == "resnet" else "none")
    assert not config.model.zero_init_residual
    if depth >= 110:
        assert config.warmup == UntilTrainingError(factor=0.1, below_percent=80.0)
    else:
        assert config.warmup.kind == "none"


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("imagenet")])
def test_imagenet_recipes_are_section_3_4(name: str) -> None:
    config = recipe(name)
    assert (config.optim.lr, config.optim.momentum, config.optim.weight_decay) == (0.1, 0.9, 1e-4)
    assert (config.train.batch_size, config.train.iterations) == (256, 600_000)
    assert isinstance(config.schedule, Plateau)
    assert config.schedule.factor == 0.1
    assert config.data.augment == ScaleCrop(min_short_side=256, max_short_side=480, crop_size=224, color_std=0.1)
    assert config.evaluation.monitor == "validation"
    if config.model.block == "bottleneck":
        assert config.model.stride_on == "1x1"
        assert config.model.shortcut == "B"


def test_the_digits_twins_differ_in_their_network_only() -> None:
    configs = [recipe(name) for name in RECIPES if name.startswith("digits")]
    for config in configs:
        assert (config.data, config.train, config.optim, config.schedule, config.warmup) == (
            configs[0].data, configs[0].train, configs[0].optim, configs[0].schedule, configs[0].warmup,
        )  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_its_source_expectation_cost_and_differences(name: str) -> None:
    notes = RECIPES[name].notes
    assert RECIPES[name].make().recipe == name
    assert notes.source
    assert notes.expected
    assert notes.cost
    assert len(notes.differences) >= 2


def test_the_expected_errors_are_table_6s() -> None:
    errors = {20: "8.75", 32: "7.51", 44: "7.17", 56: "6.97", 110: "6.43", 1202: "7.93"}
    assert all(error in find_recipe(f"cifar-resnet{depth}").notes.expected for depth, error in errors.items())


@pytest.mark.parametrize(
    ("what", "some_that_differ", "some_that_do_not"),
    [
        (
            "training images of CIFAR-10",
            ["cifar-plain56", "cifar-plain56-small"],
            ["digits-plain56", "imagenet-plain34"],
        ),
        ("padding of the crops", ["cifar-resnet20", "cifar-resnet20-small"], ["cifar-resnet20-fast", "folder"]),
        (
            "batch norm on CIFAR",
            ["cifar-resnet20-small", "cifar-resnet20-fast"],
            ["digits-resnet20", "imagenet-plain18"],
        ),
        ("batch norm on photos", ["imagenet-resnet50", "folder"], ["cifar-resnet20"]),
        ("momentum", ["digits-resnet20", "imagenet-resnet50"], ["cifar-resnet20-fast", "folder"]),
        ("input scale", ["digits-plain20", "cifar-resnet20", "imagenet-resnet18"], ["cifar-resnet20-fast", "folder"]),
        ("where option A's zeros go", ["digits-resnet20", "cifar-resnet20"], ["cifar-plain20", "imagenet-resnet18"]),
        ("ResNet-18's shortcuts", ["imagenet-resnet18"], ["imagenet-plain18", "imagenet-resnet34"]),
        ("precision", ["digits-plain20", "cifar-resnet20", "imagenet-resnet50", "folder"], []),
        ("warm-up of 1202 layers", ["cifar-resnet1202"], ["cifar-resnet110", "cifar-resnet1202-small"]),
        ("max-pool of the ImageNet stem", ["imagenet-plain34", "imagenet-resnet50"], ["cifar-resnet20"]),
        ("reported error of photos", ["imagenet-resnet152"], ["cifar-resnet110"]),
    ],
)
def test_a_page_lists_what_its_configuration_has(
    what: str, some_that_differ: list[str], some_that_do_not: list[str]
) -> None:
    def has(name: str) -> bool:
        return any(text.startswith(f"{what}: ") for text in RECIPES[name].notes.differences)

    assert all(has(name) for name in some_that_differ)
    assert not any(has(name) for name in some_that_do_not)


def test_no_difference_is_listed_that_no_recipe_has() -> None:
    found = [text for item in RECIPES.values() for text in item.notes.differences]
    for one in DEVIATIONS:
        assert one.sentence() in found, one.what


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'cifar-resnet56'"):
        recipe("cifar_resnet56")


def test_recipes_do_without_torch() -> None:
    code = "import sys, reslab.recipes as r; [x.make() for x in r.RECIPES.values()]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
