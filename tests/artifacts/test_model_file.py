"""The model file: everything in one file, equal bytes for equal content, foreign files refused."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from reslab.artifacts.documents import ReportedCounts
from reslab.artifacts.model_file import ModelCard, load_card, load_model, model_bytes, save_model
from reslab.errors import RunError, UsageError
from reslab.models import create_model
from reslab.spec import PreprocessSpec

CARD = ModelCard(
    preprocess=PreprocessSpec(channels=3, height=32, width=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)),
    class_names=("Katze", "犬"),
    recipe="cifar-resnet8",
    metrics=ReportedCounts(split="test", protocol="x", correct=9, total=10, loss=0.5, error=10.0),
)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cifar_resnet8", {"shortcut": "A", "zero_pad": "split"}),
        ("cifar_resnet8", {"shortcut": "C", "norm": "none"}),
        ("cifar_plain8", {"in_channels": 1}),
        ("cifar_resnet8", {"zero_init_residual": True}),
    ],
)
def test_a_model_comes_back_whole(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=2, **options)
    model(torch.randn(4, model.spec.in_channels, 32, 32))  # moves the running statistics
    model = model.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    channels = model.spec.in_channels
    inputs = replace(CARD.preprocess, channels=channels, mean=(0.5,) * channels, std=(0.2,) * channels)
    card = replace(CARD, preprocess=inputs)
    save_model(tmp_path / "model.safetensors", model, card)
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.spec == model.spec
    assert loaded.card == card
    images = torch.randn(2, model.spec.in_channels, 32, 32)
    torch.testing.assert_close(loaded.model(images), model(images))
    assert not loaded.model.training


def test_equal_models_make_equal_bytes() -> None:
    torch.manual_seed(0)
    model = create_model("cifar_resnet8", num_classes=2)
    assert model_bytes(model, CARD) == model_bytes(model, CARD)


def test_a_temperature_comes_back_and_a_file_without_one_has_none(tmp_path: Path) -> None:
    model = create_model("cifar_resnet8", num_classes=2)
    save_model(tmp_path / "cold.safetensors", model, replace(CARD, temperature=1.7))
    save_model(tmp_path / "plain.safetensors", model, CARD)
    assert load_model(tmp_path / "cold.safetensors").card.temperature == 1.7
    assert load_card(tmp_path / "cold.safetensors") == replace(CARD, temperature=1.7)
    assert load_model(tmp_path / "plain.safetensors").card.temperature is None


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_a_positive_number(temperature: float) -> None:
    with pytest.raises(UsageError, match="allowed: a positive number, which divides logits"):
        replace(CARD, temperature=temperature)


def test_names_of_tensors_carry_no_wrapper_prefix() -> None:
    model = create_model("cifar_resnet8", num_classes=2)
    for block in model.blocks():  # type: ignore[union-attr]
        block.compile(dynamic=False)
    names = safetensors.torch.load(model_bytes(model, CARD)).keys()
    assert not [name for name in names if "module." in name or "_orig_mod" in name]
    assert set(names) == set(create_model("cifar_resnet8", num_classes=2).state_dict())


def test_foreign_and_damaged_files_are_named(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, foreign)
    with pytest.raises(RunError, match=r"foreign\.safetensors: holds tensors, but does not describe"):
        load_model(foreign)
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(RunError, match=r"notes\.txt: cannot be read as a model file"):
        load_model(text)
    with pytest.raises(RunError, match=r"absent\.safetensors"):
        load_model(tmp_path / "absent.safetensors")
    whole = model_bytes(create_model("cifar_resnet8", num_classes=2), CARD)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"cut\.safetensors"):
        load_model(cut)


def test_metadata_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, create_model("cifar_resnet8", num_classes=2), CARD)
    content = bytearray(path.read_bytes())
    content[100:103] = b"gar"
    path.write_bytes(content)
    for read in (load_model, load_card):
        with pytest.raises(RunError, match=r"model\.safetensors: damaged or not a model file"):
            read(path)


def test_metadata_with_anything_missing_or_of_another_type_is_damaged(tmp_path: Path) -> None:
    model = create_model("cifar_resnet8", num_classes=2)
    path = tmp_path / "model.safetensors"
    save_model(path, model, replace(CARD, temperature=1.5))
    whole = json.loads(safetensors.safe_open(path, framework="pt").metadata()["reslab"])
    tensors = model.state_dict()
    damaged = [1, [], None, *_without_each(whole), *_with_others(whole)]
    assert len(damaged) > 80
    for document in damaged:
        safetensors.torch.save_file(tensors, path, {"reslab": json.dumps(document)})
        with pytest.raises(RunError, match=r"model\.safetensors: damaged or not"):
            load_model(path)


def _without_each(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Copies that lack one key that nothing stands in for, also of the parts."""
    has_default = {
        "temperature",
        "metrics",
        "resize_mode",
        "short_side",
        "mean_image",
        "in_channels",
        "zero_pad",
        "norm",
    }
    for key in set(values) - has_default - {"zero_init_residual"}:
        yield {name: value for name, value in values.items() if name != key}
    for part in ("model", "preprocess"):
        yield from ({**values, part: inner} for inner in (_without_each(values[part]) if part in values else ()))


def _with_others(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Copies in which one value has another type, also of the parts."""
    for key in set(values) - {"mean_image", "metrics"}:
        others: list[Any] = ["x", -1.5, {"a": 1}, ["x"], [[]]]
        if key in ("recipe", "class_names"):
            others = [1, {"a": 1}, [1]]
        yield from ({**values, key: other} for other in others)
    for part in ("model", "preprocess"):
        yield from ({**values, part: inner} for inner in (_with_others(values[part]) if part in values else ()))


def test_names_and_channels_of_another_network_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = create_model("cifar_resnet8", num_classes=2)
    save_model(path, model, replace(CARD, class_names=("a", "b", "c")))
    with pytest.raises(RunError, match="it has 3 class names, and a network of 2"):
        load_model(path)
    save_model(path, create_model("cifar_resnet8", num_classes=2, in_channels=1), CARD)
    with pytest.raises(RunError, match="it has 3 input channels, and a network of 1"):
        load_model(path)


def test_a_file_of_half_precision_is_loaded_in_float32(tmp_path: Path) -> None:
    model = create_model("cifar_resnet8", num_classes=2)
    save_model(tmp_path / "half.safetensors", model.half(), CARD)
    tensors = load_model(tmp_path / "half.safetensors").model.state_dict()
    assert {tensor.dtype for name, tensor in tensors.items() if "num_batches" not in name} == {torch.float32}


def test_a_recipe_whose_name_is_no_text_is_spelt_out(tmp_path: Path) -> None:
    card = replace(CARD, recipe="s\udce9.pth")
    save_model(tmp_path / "m.safetensors", create_model("cifar_resnet8", num_classes=2), card)
    assert load_model(tmp_path / "m.safetensors").card.recipe == r"s\udce9.pth"
