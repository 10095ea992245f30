"""What is planned for a folder of photos: always possible, always with reasons, and the user's options come first."""

from dataclasses import replace
from typing import Any

import pytest

from reslab.config import from_dict, to_dict
from reslab.errors import RunError, UsageError
from reslab.recipes.folder import NOMINAL, FolderFacts, FolderOptions, FolderPlan, plan_folder
from reslab.spec import ModelSpec
from reslab.spec.families import model_spec


def planned(options: FolderOptions | None = None, *, rate: float = 1000.0, **changes: Any) -> FolderPlan:
    def measured(spec: ModelSpec, size: int, batch_size: int) -> float:
        return rate

    return plan_folder(replace(NOMINAL, **changes), "photos", options or FolderOptions(), measured)


def epochs_of(plan: FolderPlan, num_train: int) -> float:
    return plan.config.train.iterations * plan.config.train.batch_size / num_train


@pytest.mark.parametrize("num_images", [50, 400, 9469, 60_000, 1_000_000])
@pytest.mark.parametrize("short_side", [28, 64, 128, 375, 3000])
@pytest.mark.parametrize("has_gpu", [False, True])
@pytest.mark.parametrize("parts", [(), ("validation",), ("test",), ("validation", "test")])
def test_every_folder_gets_a_config_that_is_valid_and_holds_out_enough(
    num_images: int, short_side: int, has_gpu: bool, parts: tuple[str, ...]
) -> None:
    plan = planned(num_images=num_images, num_classes=5, short_side=short_side, has_gpu=has_gpu, parts=parts)
    config = plan.config
    assert from_dict(to_dict(config)) == config
    held = config.data.validation_size + config.data.test_size
    if "validation" in parts and "test" in parts:
        assert held == 0
    else:
        assert config.data.validation_size >= 5
    assert (config.data.test_size > 0) == (parts == ())
    assert held < num_images / 2
    assert config.train.batch_size <= num_images - held
    assert config.data.photos.size is not None
    assert config.data.photos.size <= max(short_side, 32)
    assert config.evaluation.monitor == "validation"
    assert len(plan.reasons) >= 6


def test_val_without_test_is_the_test_set_and_the_plan_says_so() -> None:
    plan = planned(parts=("validation",))
    assert plan.config.data.validation_is == "test"
    assert "val is kept as the test set" in plan.reasons[0]


def test_small_pictures_get_a_cifar_network_and_large_data_on_a_gpu_a_deeper_one() -> None:
    assert planned(short_side=32).config.model.family == "cifar"
    assert planned(short_side=128).config.model.depth == 18
    assert planned(num_images=1_000_000, has_gpu=True, short_side=375).config.model.depth == 50
    assert planned(num_images=1_000_000, has_gpu=True, short_side=375).config.data.photos.size == 224


def test_a_slow_machine_trains_fewer_epochs_and_says_how_long() -> None:
    fast, slow = planned(rate=1000), planned(rate=150)
    assert epochs_of(fast, 9000) == pytest.approx(67, abs=1)
    assert 16 <= epochs_of(slow, 9000) < 67
    reason = next(reason for reason in slow.reasons if "epochs" in reason)
    assert "what this CPU does in 40 minutes" in reason
    assert "about 39 minutes here" in reason or "about 40 minutes here" in reason
    assert epochs_of(planned(rate=0.1), 9000) == pytest.approx(16, abs=0.1)


def test_wishes_come_first() -> None:
    plan = planned(FolderOptions(model="resnet34", epochs=3, size=96, batch_size=50), parts=("validation", "test"))
    assert plan.config.model.depth == 34
    assert plan.config.data.photos.size == 96
    assert plan.config.train.batch_size == 50
    assert plan.config.train.iterations == 3 * 10_000 // 50


def test_skewed_classes_are_weighed_and_the_plan_says_so() -> None:
    plan = planned(smallest_class=20, largest_class=900)
    assert plan.config.train.class_weights == "balanced"
    assert any("20 to 900" in reason for reason in plan.reasons)
    assert planned().config.train.class_weights == "none"


def test_from_weights_the_network_the_size_and_the_normalisation_are_theirs() -> None:
    start = model_spec("resnet50_v1_5", num_classes=1000)
    plan = planned(FolderOptions(start=start, start_size=224, weights="w.safetensors"))
    config = plan.config
    assert config.model == replace(start, num_classes=10)
    assert (config.data.photos.size, config.data.mean, config.weights) == (224, "weights", "w.safetensors")
    assert config.optim.lr < planned().config.optim.lr
    assert config.train.iterations < planned().config.train.iterations


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (FolderOptions(epochs=0), "epochs is 0"),
        (FolderOptions(size=4), "size is 4"),
        (FolderOptions(model="resnet19"), "no resnet of depth 19"),
        (FolderOptions(model="resnet18", weights="w.safetensors"), "leave model out"),
        (FolderOptions(model="vgg16"), "model is VGG-16, which takes images of 224x224 pixels"),
        (FolderOptions(start=model_spec("vgg16"), weights="w.safetensors"), "the weights' network is VGG-16"),
    ],
)
def test_wishes_that_cannot_be_are_refused(options: FolderOptions, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        plan_folder(NOMINAL, "photos", options)


def test_pictures_of_which_none_can_be_held_out_are_too_few() -> None:
    few = replace(NOMINAL, num_images=3, num_classes=2, smallest_class=1, largest_class=2, parts=())
    with pytest.raises(RunError, match=r"photos: has 3 training images, too few to hold any out"):
        plan_folder(few, "photos", FolderOptions())
    assert (
        plan_folder(replace(few, parts=("validation", "test")), "photos", FolderOptions()).config.data.validation_size
        == 0
    )


def test_grey_pictures_get_one_channel_and_no_colours() -> None:
    facts = FolderFacts(**{**{name: getattr(NOMINAL, name) for name in NOMINAL.__slots__}, "channels": 1})
    config = plan_folder(facts, "photos", FolderOptions()).config
    assert config.model.in_channels == 1
    assert config.data.channels == 1
    assert getattr(config.data.augment, "color_std", None) == 0.0
