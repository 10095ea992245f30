"""Names of networks: which are accepted, and what is said of the others."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reslab.artifacts.reader import checked
from reslab.errors import UsageError
from reslab.models import create_model
from reslab.spec import ModelSpec, PreprocessSpec
from reslab.spec.families import model_names, model_spec


@given(st.integers(-10, 2000))
def test_cifar_depths_are_6n_plus_2_and_others_name_the_nearest(depth: int) -> None:
    if depth >= 8 and (depth - 2) % 6 == 0:
        assert model_spec(f"cifar_resnet{depth}").depth == depth
        return
    with pytest.raises(UsageError, match=f"depth is {depth}; CIFAR networks have 6n") as caught:
        model_spec(f"cifar_resnet{depth}")
    nearest = int(str(caught.value).rsplit("cifar_resnet", 1)[1].rstrip("."))
    assert (nearest - 2) % 6 == 0
    assert abs(nearest - depth) <= 3 or nearest == 8


@pytest.mark.parametrize("name", model_names())
def test_every_name_has_the_depth_it_says_and_survives_json(name: str) -> None:
    spec = model_spec(name)
    digits = "".join(character for character in name.split("_v1")[0] if character.isdigit())
    assert spec.depth == int(digits)
    assert spec.is_plain == ("plain" in name or "vgg" in name)
    assert checked(json.loads(json.dumps(asdict(spec))), ModelSpec, "spec") == spec


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet35", {}, r"no resnet of depth 35.*allowed: 18, 34, 50, 101, 152.*Nearest: resnet34"),
        ("resnet18_v1_5", {}, r"only bottlenecks .* have two versions. Use resnet18"),
        ("vgg11", {}, r"no VGG of depth 11; allowed: 16, 19"),
        ("rensnet50", {}, r"Did you mean 'resnet50'"),
        ("resnet50", {"shortcut": "D"}, r"shortcut is 'D'; allowed: 'A', 'B', 'C'"),
        ("plain34", {"shortcut": "A"}, r"'plain34' has no shortcuts"),
        ("resnet50", {"num_classes": 1}, r"num_classes is 1; a classifier needs at least 2"),
        ("resnet50", {"in_channels": 0}, r"in_channels is 0"),
        ("resnet50", {"zero_pad": "before"}, r"zero_pad is 'before'; allowed: 'after', 'split'"),
        ("resnet50", {"norm": "layer"}, r"norm is 'layer'; allowed: 'batch', 'none'"),
        ("resnet50", {"stem": "cifer"}, r"Did you mean 'cifar'"),
        ("plain34", {"zero_init_residual": True}, r"needs norm='batch' and a shortcut"),
        ("resnet50", {"colour": "red"}, r"unexpected keyword argument 'colour'; options: in_channels"),
        ("vgg16", {"checkpoint_activations": True}, r"VGG has no blocks"),
    ],
)
def test_a_wrong_name_or_option_is_a_value_error_that_helps(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        create_model(name, **options)  # type: ignore[arg-type]


def test_combinations_that_make_no_network_are_refused() -> None:
    good = asdict(model_spec("resnet50"))
    bad: list[tuple[dict[str, object], str]] = [
        ({"block": "basic"}, "only a 'bottleneck' has a 1x1 layer"),
        ({"widths": (64, 128)}, "for 4 stages"),
        ({"num_blocks": (3, 0, 6, 3)}, "at least 1 block"),
        ({"family": "vgg"}, "family 'vgg' needs block='conv'"),
        ({"shortcut": "A", "widths": (64, 128, 64, 512)}, "cannot go from 512 down to 256"),
        (
            {"shortcut": "A", "zero_pad": "split", "block": "basic", "stride_on": "3x3", "widths": (8, 9, 16, 16)},
            "cannot halve 1",
        ),
    ]
    for change, message in bad:
        with pytest.raises(UsageError, match=message):
            ModelSpec(**{**good, **change})  # type: ignore[arg-type]


def test_labels_never_leave_open_which_network_it_is() -> None:
    labels = [model_spec(name).label for name in model_names() if "vgg" not in name and "cifar" not in name]
    assert len(set(labels)) == len(labels)
    assert "v1.5, torchvision's" in model_spec("resnet101_v1_5").label
    assert "v1, the paper's" in model_spec("plain101").label


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": (0.5,)}, "one value for each of 3 channels"),
        ({"std": (1.0, 0.0, 1.0)}, "must be positive"),
        ({"short_side": 16}, "smaller than the crop"),
        ({"height": 0}, "must be at least 1"),
        ({"mean_image": "AAAA"}, "has 3 bytes"),
    ],
)
def test_a_preprocessing_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"channels": 3, "height": 32, "width": 32, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    with pytest.raises(UsageError, match=message):
        PreprocessSpec(**{**good, **change})  # type: ignore[arg-type]
