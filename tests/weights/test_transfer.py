"""What is taken of a model file's weights: the body whole, the head by the classes' names, the stem for grey images."""

import base64
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from reslab.artifacts.model_file import ModelCard, ModelFile, load_model, save_model
from reslab.builders import build_preprocess
from reslab.cli.commands.convert import conversion_command
from reslab.cli.main import run
from reslab.config import override
from reslab.data import FileDataset
from reslab.errors import NotConverted, RunError, UsageError
from reslab.models import ResNet, build, create_model
from reslab.recipes import recipe
from reslab.spec import ModelSpec, PreprocessSpec
from reslab.spec.families import model_spec
from reslab.weights.transfer import check_same_body, preprocess_like, read_start, transfer_weights

PATH = Path("start.safetensors")
INPUTS = PreprocessSpec(channels=3, height=16, width=16, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3))


def _spec(num_classes: int, in_channels: int = 3) -> ModelSpec:
    return model_spec("cifar_resnet8", num_classes=num_classes, in_channels=in_channels)


def _network(seed: int, spec: ModelSpec) -> ResNet:
    torch.manual_seed(seed)
    model = build(spec).eval()
    assert isinstance(model, ResNet)
    for name, buffer in model.named_buffers():
        if "running_var" in name:
            buffer.uniform_(0.5, 1.5)
    torch.nn.init.normal_(model.fc.bias)
    return model


def _file(class_names: Sequence[str], in_channels: int = 3) -> ModelFile:
    card = ModelCard(preprocess=INPUTS, class_names=tuple(class_names), recipe="test")
    return ModelFile(_network(1, _spec(len(class_names), in_channels)), card)


def _start(there: Sequence[str], here: Sequence[str]) -> tuple[ModelFile, ResNet, ResNet, str]:
    """The file, the network that starts from it, that network as it was before, and what was said."""
    file, model = _file(there), _network(2, _spec(len(here)))
    before = _network(2, _spec(len(here)))
    return file, model, before, transfer_weights(file, model, here, PATH)


def _row(model: object, number: int) -> Tensor:
    assert isinstance(model, ResNet)
    return torch.cat([model.fc.weight[number], model.fc.bias[number : number + 1]])


def _body(model: object) -> dict[str, Tensor]:
    assert isinstance(model, ResNet)
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("fc.")}


def test_the_same_classes_in_the_same_order_take_everything() -> None:
    file, model, _, said = _start(["a", "b", "c"], ["a", "b", "c"])
    assert all(torch.equal(tensor, file.model.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert said == "the head is the file's"


def test_the_same_classes_in_another_order_give_the_same_logits_in_that_order() -> None:
    file, model, _, said = _start(["a", "b", "c"], ["c", "a", "b"])
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(model(images), file.model(images)[:, [2, 0, 1]])
    assert said == "the head's 3 rows are the file's, by class name"


def test_classes_that_the_file_lacks_start_as_the_initialisation_has_them() -> None:
    file, model, before, said = _start(["a", "b", "c"], ["d", "c", "e", "a"])
    for here, there in ((1, 2), (3, 0)):
        assert torch.equal(_row(model, here), _row(file.model, there))
    for new in (0, 2):
        assert torch.equal(_row(model, new), _row(before, new))
    assert all(torch.equal(tensor, _body(file.model)[name]) for name, tensor in _body(model).items())
    assert said == "2 rows of the head are the file's, by class name; new: d, e"


def test_without_a_class_in_common_the_whole_head_is_new() -> None:
    file, model, before, said = _start(["a", "b"], ["x", "y"])
    assert torch.equal(model.fc.weight, before.fc.weight)
    assert all(torch.equal(tensor, _body(file.model)[name]) for name, tensor in _body(model).items())
    assert said == "the head is new: no class has the same name"


@pytest.mark.parametrize("here", [["class 0", "class 1"], ["class 1", "class 0", "cat"]])
def test_numbers_are_no_names(here: list[str]) -> None:
    _, model, before, said = _start(["class 0", "class 1"], here)
    assert torch.equal(model.fc.weight, before.fc.weight)
    assert said == "the head is new: the file's classes are numbered, not named"


def test_a_name_that_the_file_has_twice_is_not_guessed() -> None:
    _, model, before, said = _start(["crane", "dog", "crane"], ["crane", "dog"])
    assert torch.equal(_row(model, 0), _row(before, 0))
    assert said == "1 rows of the head are the file's, by class name; new: crane"


def test_a_grey_image_gives_the_responses_of_its_colour_version() -> None:
    file, model = _file(["a", "b"]), _network(2, _spec(2, in_channels=1)).double()
    transfer_weights(file, model, ["a", "b"], PATH)
    grey = torch.randn(2, 1, 16, 16).double()
    expected = file.model.double()(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(model(grey), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("there", "here"), [(1, 3), (3, 4)])
def test_other_changes_of_channels_are_refused(there: int, here: int) -> None:
    with pytest.raises(UsageError, match=rf"takes images of {there} channels?, but the data has {here}"):
        transfer_weights(_file(["a", "b"], there), _network(2, _spec(2, here)), ["a", "b"], PATH)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (model_spec("cifar_resnet14"), r"num_blocks \(2, 2, 2\) against .*set model\.num_blocks to \(2, 2, 2\)\.$"),
        (model_spec("cifar_resnet8", shortcut="B"), r"shortcut 'B' against 'A'.*set model\.shortcut to 'B'\.$"),
        (model_spec("cifar_resnet8", zero_pad="split"), "zero_pad 'split' against 'after'"),
        (model_spec("cifar_resnet8", norm="none"), "norm 'none' against 'batch'"),
        (replace(model_spec("cifar_resnet8"), widths=(16, 32, 128)), r"widths \(16, 32, 128\) against"),
    ],
)
def test_another_body_is_refused_with_the_fields_that_differ(other: ModelSpec, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_same_body(PATH, other, _spec(10))


def test_where_a_bottleneck_has_its_stride_is_part_of_the_network() -> None:
    with pytest.raises(UsageError, match=r"stride_on '3x3' against '1x1'\).*set model\.stride_on to '3x3'"):
        check_same_body(PATH, model_spec("resnet50_v1_5"), model_spec("resnet50"))


@pytest.mark.parametrize(
    ("name", "source"), [("resnet18", "torchvision"), ("cifar_resnet8", "cifar")], ids=["torchvision", "cifar"]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_elsewhere_are_refused_with_a_command_that_converts_them(
    name: str, source: str, suffix: str, tmp_path: Path
) -> None:
    state = build(model_spec(name, num_classes=3, shortcut="B")).state_dict()
    path = tmp_path / f"my weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    with pytest.raises(NotConverted, match=f"Convert it first, with source '{source}'") as refused:
        read_start(path)
    command = conversion_command(refused.value)
    assert command.endswith(f"--source {source}")
    assert run(shlex.split(command.removeprefix("reslab "))) == 0
    assert read_start(tmp_path / "my weights-reslab.safetensors").spec.num_classes == 3


def test_a_folder_is_no_weights(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is a folder; use the model file in it \(in a run, .*/model\.safetensors\)"):
        read_start(tmp_path)


def test_the_command_for_weights_with_their_average_says_which_to_take(tmp_path: Path) -> None:
    state = build(model_spec("resnet18", num_classes=3)).state_dict()
    path = tmp_path / "timm.pth"
    torch.save({"state_dict": state, "state_dict_ema": state}, path)
    with pytest.raises(NotConverted, match="source 'torchvision' and use_ema=True") as refused:
        read_start(path)
    command = conversion_command(refused.value)
    assert command.endswith("--source torchvision --ema")
    assert run(shlex.split(command.removeprefix("reslab "))) == 0


def test_from_python_a_name_on_the_hub_is_converted_first() -> None:
    with pytest.raises(UsageError, match=r"convert it first with reslab\.weights\.hub\.convert_into_cache"):
        read_start(Path("hf-hub:timm/resnet18"))


def test_a_model_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = _file(["a", "b"])
    save_model(tmp_path / "m.safetensors", file.model, file.card)
    found = read_start(tmp_path / "m.safetensors")
    assert (found.spec, found.card) == (file.spec, load_model(tmp_path / "m.safetensors").card)


def test_inputs_keep_the_runs_sizes_and_take_the_weights_mean_and_deviation() -> None:
    own = PreprocessSpec(channels=3, height=8, width=8, short_side=9, mean=(0.0,) * 3, std=(1.0,) * 3)
    assert preprocess_like(INPUTS, own) == replace(own, mean=INPUTS.mean, std=INPUTS.std)


def test_a_mean_image_is_taken_where_the_sizes_agree() -> None:
    image = base64.b64encode(bytes(4 * 3 * 16 * 16)).decode()
    given = replace(INPUTS, mean_image=image)
    assert preprocess_like(given, INPUTS).mean_image == image
    assert preprocess_like(given, replace(INPUTS, width=8)).mean_image is None


def test_grey_images_take_the_average_over_the_channels() -> None:
    grey = PreprocessSpec(channels=1, height=8, width=8, mean=(0.0,), std=(1.0,))
    found = preprocess_like(INPUTS, grey)
    assert found.mean == pytest.approx((0.5,))
    assert found.std == pytest.approx((0.2,))
    with pytest.raises(UsageError, match=r"have 1 channel and the data has 3"):
        preprocess_like(grey, INPUTS)


@pytest.mark.parametrize(
    ("data", "keeps_it"), [({}, True), ({"initial_size": 24}, False), ({"photos": {"size": 40}}, False)]
)
def test_a_mean_image_of_the_weights_is_taken_only_where_all_views_have_its_size(
    data: dict[str, Any], keeps_it: bool, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (50, 50), (200, 30, 90)).save(tmp_path / "a" / "1.png")
    photos = FileDataset("photos", (tmp_path / "a" / "1.png",), torch.zeros(1, dtype=torch.int64), ("a",))
    size = data.get("photos", {"size": 32})["size"]
    image = base64.b64encode(torch.full((3, size, size), 0.4).numpy().tobytes()).decode()
    known = PreprocessSpec(channels=3, height=size, width=size, mean=(0.4,) * 3, std=(1.0,) * 3, mean_image=image)
    card = ModelCard(preprocess=known, class_names=("a", "b"), recipe="r")
    save_model(tmp_path / "w.safetensors", create_model("resnet18", num_classes=2), card)
    views = {"mean": "weights", "augment": {"min_short_side": 36, "max_short_side": 48, "crop_size": 32}, **data}
    config = override(recipe("imagenet-resnet18"), {"data": views, "weights": str(tmp_path / "w.safetensors")})
    found = build_preprocess(config.data, photos, config.weights)
    assert (found.mean_image == image) is keeps_it
    assert (found.mean_image is None) is not keeps_it
    assert found.mean == (0.4, 0.4, 0.4)
